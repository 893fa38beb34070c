from . import backup_step
from . import backup_job
