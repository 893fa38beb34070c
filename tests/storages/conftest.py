"""Storages against real servers on loopback. The engine is used without Odoo here, too."""

import sys
import types
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
package = types.ModuleType("dfr_backup")
package.__path__ = [str(TESTS.parent / "dfr_backup")]
sys.modules.setdefault("dfr_backup", package)
sys.path.append(str(TESTS / "engine"))  # storage_contract
