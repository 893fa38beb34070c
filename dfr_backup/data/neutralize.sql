-- a copy makes no backups, and above all not into the storages of the original
UPDATE backup_plan SET active = false, next_run = NULL;
UPDATE backup_storage SET active = false, sealed_secrets = NULL, external_name = NULL;
UPDATE backup_job SET sealed_secrets = NULL;
-- it watches no server either; a database of an older release has no such table
DO $$ BEGIN
    IF to_regclass('backup_server') IS NOT NULL THEN
        UPDATE backup_server SET active = false, sealed_secrets = NULL;
    END IF;
    -- nor has it made the staging copies of the original
    IF to_regclass('backup_staging') IS NOT NULL THEN
        DELETE FROM backup_staging;
    END IF;
END $$;
-- and nobody outside is told about it, nor may ask
UPDATE backup_plan SET sealed_secrets = NULL;
DELETE FROM ir_config_parameter WHERE key LIKE 'dfr_backup.%_token';
