Labels, states, messages and emails have plainer names: what was renamed is listed under Upgrades in the documentation. The headline of the overview no longer repeats the problem below it.
