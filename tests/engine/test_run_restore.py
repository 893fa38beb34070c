"""A whole restore without Odoo: with the PostgreSQL that the environment names
(PGHOST…)."""

import pytest
from memory_context import Killed
from run_fixtures import FILES, databases, raising, restore_of, run_sql


def test_a_backup_becomes_a_database(stored, tmp_path, source, target):
    context = restore_of(stored[:1], tmp_path, source, restore_database=target)
    assert context.job.perform() == "success", [s.error for s in context.job.step_ids]
    assert run_sql(target, "SELECT count(*) FROM body") == [(5000,)]
    files = [p for p in (tmp_path / "filestore" / target).rglob("*") if p.is_file()]
    assert sorted(p.read_bytes() for p in files) == sorted(FILES)
    assert not context.files.work_path().exists()


def test_a_killed_restore_begins_again(stored, tmp_path, source, target):
    context = restore_of(stored[:1], tmp_path, source, restore_database=target)
    context.at["filestore"] = raising(Killed())
    with pytest.raises(Killed):
        context.job.perform()
    assert target not in databases()
    del context.at["filestore"]
    assert context.job.perform() == "success", [s.error for s in context.job.step_ids]
    assert run_sql(target, "SELECT count(*) FROM body") == [(5000,)]


def test_a_damaged_backup_is_not_restored(stored, tmp_path, source, target):
    copy = stored[0]
    path = copy.storage_id.folder / copy.key
    path.write_bytes(path.read_bytes()[:-100] + bytes(100))
    context = restore_of([copy], tmp_path, source, restore_database=target)
    assert context.job.perform() == "failure"
    assert copy.state == "damaged"
    assert {state for _kind, state in context.job.states[1:]} == {"skipped"}
    assert target not in databases()
