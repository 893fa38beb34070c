"""Make ``dfr_backup.engine`` importable without Odoo: the addon's own __init__ needs
it."""

import sys
import types
from pathlib import Path

import pytest

package = types.ModuleType("dfr_backup")
package.__path__ = [str(Path(__file__).resolve().parents[2] / "dfr_backup")]
sys.modules.setdefault("dfr_backup", package)


def pytest_addoption(parser):
    parser.addoption(
        "--slow", action="store_true", help="let Info-ZIP read what is large, too"
    )
    parser.addoption(
        "--all-schemas", action="store_true", help="restore every schema, not some"
    )


@pytest.fixture(params=["isal", "zlib"])
def codec(request):
    """Each codec; the one of an optional package only where that is installed."""
    from dfr_backup.engine.archive import deflate

    chosen = deflate.ZLIB if request.param == "zlib" else deflate.default_codec()
    if chosen.name != request.param:
        pytest.skip("the package isal is not installed")
    return chosen
