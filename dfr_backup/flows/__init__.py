from .backup import BackupFlow
from .scan import ScanFlow
from .verify import VerifyFlow

# the flow of each kind of ``backup.job``
FLOWS = {"backup": BackupFlow, "verify": VerifyFlow, "scan": ScanFlow}
