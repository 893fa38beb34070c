"""Side by side: our backup, Odoo's own dump and OCA's auto_backup, on the same
database."""

import sys
import types
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]

# the engine without Odoo, and the servers that its tests start
package = types.ModuleType("dfr_backup")
package.__path__ = [str(REPO / "dfr_backup")]
sys.modules.setdefault("dfr_backup", package)
sys.path.append(str(REPO / "tests" / "storages"))
