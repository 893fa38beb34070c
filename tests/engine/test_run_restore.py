"""A whole restore without Odoo: with the PostgreSQL that the environment names
(PGHOST…)."""

import hashlib
import shutil
import subprocess

import pytest
from memory_context import Copy, Killed, Storage
from packs_world import HereStorage, Server
from run_fixtures import FILES, databases, raising, restore_of, run_sql

from dfr_backup.engine.errors.packs import AttachmentsLost
from dfr_backup.engine.errors.runs import SpaceReserved
from dfr_backup.engine.queue.folder import Folder
from dfr_backup.engine.queue.reservations import Need, Reservations
from dfr_backup.engine.restore.preflight import SPARE


def test_a_backup_becomes_a_database(stored, tmp_path, source, target):
    context = restore_of(stored[:1], tmp_path, source, restore_database=target)
    assert context.job.perform() == "success", [s.error for s in context.job.step_ids]
    assert run_sql(target, "SELECT count(*) FROM body") == [(5000,)]
    files = [p for p in (tmp_path / "filestore" / target).rglob("*") if p.is_file()]
    assert sorted(p.read_bytes() for p in files) == sorted(FILES)
    assert not context.files.work_path().exists()


@pytest.fixture
def incremental(tmp_path, source):
    """The copy of an incremental backup of the same database."""
    server = Server(HereStorage(tmp_path / "packs"), tmp_path / "server")
    server.root = tmp_path / "filestore" / source
    files = [path for path in server.root.rglob("*") if path.is_file()]
    dump = subprocess.run(["pg_dump", source], check=True, capture_output=True).stdout
    names = [str(path.relative_to(server.root)) for path in files]
    key, _packed = server.backup(names, dump)
    known = server.catalogue[key]
    path = server.storage.local_path(key)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Copy(9, key, Storage(9, "S9", path.parent), known.size, sha256)


@pytest.mark.parametrize("kind", ["restore", "drill"])
def test_an_incremental_backup_comes_back(incremental, tmp_path, source, target, kind):
    context = restore_of([incremental], tmp_path, source, kind, restore_database=target)
    assert context.job.perform() == "success", [s.error for s in context.job.step_ids]
    assert (target in databases()) == (kind == "restore")
    if kind == "restore":
        assert run_sql(target, "SELECT count(*) FROM body") == [(5000,)]
        files = [p for p in (tmp_path / "filestore" / target).rglob("*") if p.is_file()]
        assert sorted(p.read_bytes() for p in files) == sorted(FILES)


@pytest.mark.parametrize("kind", ["restore", "drill"])
def test_a_lost_pack_ends_it(incremental, tmp_path, source, target, kind):
    folder = incremental.storage_id.folder
    next(folder.glob("*-files-*.zip")).unlink()
    context = restore_of([incremental], tmp_path, source, kind, restore_database=target)
    assert context.job.perform() == "failure"
    error = context.job._step("check").error
    assert error.code == AttachmentsLost.code
    assert error.message.values["count"] == len(FILES)
    assert incremental.state == "damaged"
    assert not incremental.proven_at
    assert target not in databases()


def test_a_restore_goes_on_without_what_is_lost(incremental, tmp_path, source, target):
    folder = incremental.storage_id.folder
    next(folder.glob("*-files-*.zip")).unlink()
    context = restore_of([incremental], tmp_path, source, restore_database=target)
    context.job.perform()
    accepted = [each["code"] for each in context.job.run_state.to_accept]
    again = restore_of([incremental], tmp_path, source, restore_database=target)
    again.job.restore_accepted = accepted
    assert again.job.perform() == "success", [s.error for s in again.job.step_ids]
    assert again.job._step("filestore").state == "warning"
    assert run_sql(target, "SELECT count(*) FROM body") == [(5000,)]
    assert incremental.state == "damaged"
    assert not [p for p in (tmp_path / "filestore" / target).rglob("*") if p.is_file()]


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


def test_a_restore_leaves_others_their_space(stored, tmp_path, source, target):
    context = restore_of(stored[:1], tmp_path, source, restore_database=target)
    other = Reservations(Folder(context.slots), "another run")
    other.keep([Need(tmp_path, shutil.disk_usage(tmp_path).total)])
    try:
        assert context.job.perform() == "failure"
        assert context.job._step("check").error.code == SpaceReserved.code
        assert context.job._step("create_database").state == "skipped"
        assert target not in databases()
        [accepted] = context.job.run_state.to_accept
        assert accepted["code"] == SpaceReserved.finding
    finally:
        other.release()
    again = restore_of(stored[:1], tmp_path, source, restore_database=target)
    assert again.job.perform() == "success", [s.error for s in again.job.step_ids]


def test_a_restore_reserves_what_it_will_still_write(stored, tmp_path, source, target):
    context = restore_of(stored[:1], tmp_path, source, restore_database=target)
    other, seen = Reservations(Folder(context.slots), "another run"), {}
    for kind in ("create_database", "filestore", "compare"):
        context.at[kind] = lambda kind=kind: seen.setdefault(
            kind, sum(need.left for _disk, need in other._of_others())
        )
    assert context.job.perform() == "success", [s.error for s in context.job.step_ids]
    assert seen["create_database"] > SPARE
    assert seen["filestore"] < 0.9 * seen["create_database"]  # the dump is loaded
    assert seen["compare"] == 0
