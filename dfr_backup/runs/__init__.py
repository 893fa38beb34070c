from ..runs.base import Flow
from ..runs.backup import BackupFlow
from ..runs.repair import RepairFlow
from ..runs.importing import ImportFlow
from ..runs.restore import DrillFlow, RestoreFlow
from ..runs.scan import ScanFlow
from ..runs.verify import VerifyFlow

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
