from . import backup_key_wizard
