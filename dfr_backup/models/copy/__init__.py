from . import backup_backup
from . import backup_copy
from . import backup_trust
