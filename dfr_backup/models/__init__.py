from . import backup_plan
from . import backup_storage
from . import backup_job
from . import backup_job_supervision
from . import backup_job_run
from . import backup_step
from . import backup_copy
from . import ir_attachment
