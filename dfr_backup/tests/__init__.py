from . import test_backup_job
from . import test_backup_plan
from . import test_backup_storage
from . import test_ir_attachment
from . import test_security
from . import test_backup_catalogue
from . import test_backup_secrets
