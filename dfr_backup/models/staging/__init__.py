from . import backup_staging
