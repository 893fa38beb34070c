from . import backup_restored_mixin
from . import backup_watched_mixin
from . import backup_step
from . import backup_job
