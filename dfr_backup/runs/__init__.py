from .base import Flow
from .backup import BackupFlow
from .repair import RepairFlow
from .importing import ImportFlow
from .restore import DrillFlow, RestoreFlow
from .scan import ScanFlow
from .verify import VerifyFlow

# the flow of each kind of ``backup.job``
FLOWS: dict[str, type[Flow]] = {
    "backup": BackupFlow,
    "verify": VerifyFlow,
    "scan": ScanFlow,
    "restore": RestoreFlow,
    "drill": DrillFlow,
    "repair": RepairFlow,
    "import": ImportFlow,
}
