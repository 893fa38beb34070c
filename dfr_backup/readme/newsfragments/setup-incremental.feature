The set-up proposes incremental backups where they pay, with the numbers of this database.
