One click makes a staging copy of the newest verified backup: a neutralized database of its own beside the original.
