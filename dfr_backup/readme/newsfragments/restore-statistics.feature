A restore gathers the planner's statistics with all cores, and its files reach the disk while the database is still being loaded.
