from . import backup_alerts_mixin
from . import backup_encryption_mixin
from . import backup_plan
