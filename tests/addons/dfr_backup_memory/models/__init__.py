from . import backup_job, backup_storage
