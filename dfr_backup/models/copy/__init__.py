from . import backup_copy
from . import backup_trust
