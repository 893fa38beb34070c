A restore gathers the planner's statistics, and unpacks custom addons from the back office, too. With
`--replace`, the former database comes back by itself when Odoo cannot load the restored one.
