from . import backup_backup
from . import backup_copy
from . import backup_menu
from . import backup_trust
from . import copy_name
