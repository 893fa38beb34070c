from . import backup_secret_mixin
from . import backup_retention_mixin
from . import backup_copy
from . import backup_storage
from . import backup_storage_s3
from . import backup_storage_sftp

# rclone from . import backup_plan
from . import backup_plan_keeping
from . import backup_step
from . import backup_job
from . import backup_job_supervision
from . import backup_job_run
from . import backup_job_keeping
from . import ir_attachment
