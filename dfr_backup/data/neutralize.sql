-- a copy makes no backups, and above all not into the storages of the original
UPDATE backup_plan SET active = false, next_run = NULL;
UPDATE backup_storage SET active = false;
