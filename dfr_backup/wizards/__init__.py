from . import backup_key_wizard
from . import backup_monitor_token
from . import backup_restore_wizard
from . import backup_setup
from . import backup_setup_forms
