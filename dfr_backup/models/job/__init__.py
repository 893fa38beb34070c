from . import backup_step
from . import backup_job
from . import backup_job_alerts
from . import backup_job_live
from . import backup_job_upgrade
from . import backup_job_size
from . import backup_overview_runs
