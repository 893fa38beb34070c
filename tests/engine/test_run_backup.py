"""A whole backup without Odoo: with the PostgreSQL that the environment names
(PGHOST…)."""

import shutil
import zipfile

import pytest
from memory_context import MAX_ATTEMPTS, Killed, Records
from run_fixtures import FILES, raising, restore_of

from dfr_backup.engine.errors import Cancelled, Deferred
from dfr_backup.engine.errors.dump import GaveWay
from dfr_backup.engine.errors.local import DirectoryMissing
from dfr_backup.engine.errors.runs import UnknownState
from dfr_backup.engine.errors.storage import PartialArchiveGone
from dfr_backup.engine.manifest.names import sidecar_key
from dfr_backup.engine.messages import Message
from dfr_backup.runs import words


def is_whole(storage, job):
    """Tell whether a storage holds all of what was to be saved, and its manifest."""
    path = storage.folder / job.archive_name
    assert (storage.folder / sidecar_key(job.archive_name)).exists()
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    files = {name for name in names if name.startswith("filestore/")}
    return {"dump.sql", "manifest.json"} <= names and len(files) == len(FILES)


def test_a_backup_is_stored_everywhere_and_leaves_nothing_else(backup, storages):
    job = backup.job
    assert job.perform() == "success", job.states
    warned = [step for step in job.step_ids if step.state != "success"]
    assert not [str(line) for step in warned for line in step.log]
    assert all(is_whole(storage, job) for storage in storages)
    assert [copy.state for copy in job.copy_ids] == ["verified", "verified"]
    assert 5000 in job.run_state.rows.values()
    assert not backup.files.work_path().exists()


@pytest.mark.parametrize(
    "killed", ["dump_database", "archive_files", "compress", "upload", "verify"]
)
def test_a_killed_backup_goes_on_where_it_was(backup, storages, killed):
    job = backup.job
    backup.at[killed] = raising(Killed())
    with pytest.raises(Killed):
        job.perform()
    done = [step for step in job.step_ids if step.state == "success"]
    starts = [step.date_start for step in done]
    del backup.at[killed]
    assert job.perform() == "success", job.states
    assert [step.date_start for step in done] == starts  # nothing is done twice
    assert all(is_whole(storage, job) for storage in storages)


def test_a_backup_that_gives_way_waits(backup, storages):
    gave_way = Deferred.because(GaveWay(session="process 7"))
    backup.at["dump_database"] = raising(gave_way)
    assert backup.job.perform() == "pending"
    assert backup.job.waits_for is gave_way
    assert not backup.files.work_path().exists()
    del backup.at["dump_database"]
    assert backup.job.perform() == "success"


def test_the_last_process_only_removes_what_others_have_left(backup, storages):
    job = backup.job
    backup.at["verify"] = raising(Killed())
    with pytest.raises(Killed):
        job.perform()
    del backup.at["verify"]
    job.attempt = MAX_ATTEMPTS
    assert job.perform() == "failure"
    assert job._step("verify").state == "skipped"
    assert not backup.files.work_path().exists()


def test_a_state_of_another_release_is_not_believed(backup, storages):
    job = backup.job
    backup.at["verify"] = raising(Killed())
    with pytest.raises(Killed):
        job.perform()
    dumped = job._step("dump_database").date_start
    del backup.at["verify"]
    job.data = {**job.data, "of_a_later_release": 1}
    assert job.perform() == "success"
    assert job._step("dump_database").date_start > dumped


def test_a_failed_cleanup_is_done_once_more(backup, storages):
    job = backup.job
    job._step("cleanup").state = "failure"
    assert job.perform() == "success"
    assert job._step("cleanup").state == "success"


def test_a_cancelled_backup_leaves_nothing(backup, storages):
    backup.at["upload"] = raising(Cancelled())
    assert backup.job.perform() == "cancelled"
    assert not backup.files.work_path().exists()
    assert not any(list(storage.folder.glob("*.zip*")) for storage in storages)


def test_a_storage_that_fails_makes_it_partial_and_is_tried_again(backup, storages):
    job = backup.job
    storages[1].broken = DirectoryMissing(folder="/gone")
    assert job.perform() == "partial"
    assert job._step("upload", storages[1]).error.code == DirectoryMissing.code
    assert job._step("verify", storages[1]).state == "skipped"
    assert is_whole(storages[0], job)
    assert backup.files.is_archived()  # to be uploaded again
    storages[1].broken = None
    for step in job._uploads_missing():
        step._reset()
    job._step("cleanup")._reset()
    assert job.perform() == "success", job.states
    assert is_whole(storages[1], job)
    assert not backup.files.work_path().exists()


def test_a_lost_archive_is_made_once_more(backup, storages):
    job = backup.job
    backup.at["compress"] = raising(Killed())
    with pytest.raises(Killed):
        job.perform()
    shutil.rmtree(backup.files.work_path())
    backup.files.work_path().mkdir()
    del backup.at["compress"]
    assert job.perform() == "success", job.states
    lines = job._step("initialize").log
    assert any(PartialArchiveGone.template in str(line) for line in lines)
    assert is_whole(storages[0], job)


def test_a_run_that_begins_again_dumps_once_more(backup, storages):
    job = backup.job
    backup.at["verify"] = raising(Killed())
    with pytest.raises(Killed):
        job.perform()
    del backup.at["verify"]
    dumped = job._step("dump_database").date_start
    reason = Message(words.STARTING_AGAIN, problem=UnknownState())
    job.run().begin_again(reason)
    assert job.run_state.manifest is None
    assert not any(list(storage.folder.glob("*.zip*")) for storage in storages)
    assert job.perform() == "success", job.states
    assert job._step("dump_database").date_start > dumped
    assert is_whole(storages[0], job)


def test_copies_are_verified_one_by_one(stored, tmp_path, source):
    first, second = stored
    (second.storage_id.folder / second.key).write_bytes(b"rot")
    context = restore_of([first, second], tmp_path, source, kind="verify")
    assert context.job.perform() == "partial"
    assert (first.state, second.state) == ("verified", "damaged")


def test_records_are_as_odoo_has_them(storages):
    assert not Records()
    assert Records(storages[0]).name == "S1"
    assert Records().browse()._is_closed()
