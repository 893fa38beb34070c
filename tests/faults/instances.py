"""The instances of tests/e2e, for the rings beside it: a conftest cannot be imported
by name."""

import contextlib
import importlib.util
import sys
import types
import uuid
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
package = types.ModuleType("dfr_backup")
package.__path__ = [str(TESTS.parent / "dfr_backup")]
sys.modules.setdefault("dfr_backup", package)
sys.path += [str(TESTS / name) for name in ("storages", "e2e", "engine")]

KEEP_TWO = """
    UPDATE backup_plan SET retention = 'custom', keep_last = 2, keep_minimum = 2,
           keep_hourly = 0, keep_daily = 0, keep_weekly = 0, keep_monthly = 0,
           keep_yearly = 0, keep_within_days = 0
"""
OWN_UUID = "UPDATE ir_config_parameter SET value = %s WHERE key = 'database.uuid'"
_spec = importlib.util.spec_from_file_location(
    "e2e_instances", TESTS / "e2e/conftest.py"
)
e2e = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(e2e)


@contextlib.contextmanager
def made_instance(template, folder, name):
    """Yield a clone of the template: one database, one data directory."""
    folder.mkdir(exist_ok=True)
    name = f"{e2e.TEMPLATE.replace('template', 'faults')}_{name}"
    clone = e2e.Instance(name, folder)
    e2e.fill_clone(template, clone)
    clone.sql("UPDATE backup_plan SET retention = 'none'")
    try:
        yield clone
    finally:
        e2e.drop_database(name)


@contextlib.contextmanager
def made_neighbour(template, instance, folder):
    """Yield another database of the server of ``instance``: of its data directory."""
    folder.mkdir(exist_ok=True)
    name = instance.database.replace("faults", "beside")
    other = e2e.Instance(name, folder)
    other.data = instance.data
    other.write_conf(data_dir=str(other.data), dfr_backup_max_running="2")
    e2e.fill_clone(template, other)
    be_another(other)  # or one of the two would be a raw copy
    for one in (instance, other):
        one.be_original()
    other.sql(KEEP_TWO)
    try:
        yield other
    finally:
        e2e.drop_database(name)


def be_another(instance):
    """Let a clone be a database that was never a copy of anything."""
    new = str(uuid.uuid4())
    instance.sql(OWN_UUID, new)
    instance.sql("UPDATE backup_storage SET owner_uuid = %s", new)
