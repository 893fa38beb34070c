from . import backup_server
