from . import backup_location_mixin
from . import backup_original_mixin
from . import backup_storage
from . import backup_storage_kind
from . import backup_storage_s3
from . import backup_storage_sftp
from . import backup_storage_rclone
