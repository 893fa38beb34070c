"""Make ``dfr_backup.engine`` importable without Odoo: the addon's own __init__ needs it."""

import sys
import types
from pathlib import Path

package = types.ModuleType("dfr_backup")
package.__path__ = [str(Path(__file__).resolve().parents[2] / "dfr_backup")]
sys.modules.setdefault("dfr_backup", package)
