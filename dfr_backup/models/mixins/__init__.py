from . import backup_secret_mixin
from . import backup_retention_mixin
from . import backup_error_mixin
from . import backup_readonly_mixin
from . import backup_empty_mixin
