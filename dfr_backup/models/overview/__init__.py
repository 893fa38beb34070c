from . import backup_overview
