"""Make ``dfr_backup.engine`` importable without Odoo: the addon's own __init__ needs
it."""

import sys
import types
from pathlib import Path

import pytest

package = types.ModuleType("dfr_backup")
package.__path__ = [str(Path(__file__).resolve().parents[2] / "dfr_backup")]
sys.modules.setdefault("dfr_backup", package)

from run_fixtures import backup, source, storages, stored, target  # noqa: E402, F401


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


@pytest.fixture(autouse=True)
def complete_errors(monkeypatch):
    """Each error that a test meets has a value for every place of its template and its
    remedy, also where a table chose its class."""
    from dfr_backup.engine.errors import EngineError
    from dfr_backup.engine.messages import places

    incomplete, construct = set(), EngineError.__init__

    def checked(error, **values):
        construct(error, **values)
        for text in (error.message, error.hint):
            for name in places(text.template) - set(text.values):
                incomplete.add(f"{type(error).__name__}: {name}")

    monkeypatch.setattr(EngineError, "__init__", checked)
    yield
    assert not incomplete
