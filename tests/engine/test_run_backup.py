"""A whole backup without Odoo: with the PostgreSQL that the environment names
(PGHOST…)."""

import contextlib
import os
import shutil
import subprocess
import zipfile

import pytest
from memory_context import MAX_ATTEMPTS, Killed, Records
from run_fixtures import FILES, raising, restore_of

from dfr_backup.engine.errors import Cancelled, Deferred
from dfr_backup.engine.errors.dump import GaveWay
from dfr_backup.engine.errors.local import DirectoryMissing, LocalNoRoom
from dfr_backup.engine.errors.runs import SpaceReserved, UnknownState
from dfr_backup.engine.errors.storage import PartialArchiveGone
from dfr_backup.engine.manifest.names import sidecar_key
from dfr_backup.engine.messages import Message
from dfr_backup.engine.queue.folder import Folder
from dfr_backup.engine.queue.reservations import Need, Reservations
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


def test_a_copy_that_does_not_read_back_is_noted_as_deleted(backup, storages):
    """Its run removes it, and so it stops no prune: nobody has to look for it."""
    job, storage = backup.job, storages[0]

    def rot():
        del backup.at["verify"]
        (storage.folder / job.archive_name).write_bytes(b"rot")

    backup.at["verify"] = rot
    assert job.perform() == "partial", job.states
    first, second = job.copy_ids
    assert (first.state, first.deletion_reason) == ("deleted", "verification")
    assert second.state == "verified"
    assert not (storage.folder / job.archive_name).exists()


def test_records_are_as_odoo_has_them(storages):
    assert not Records()
    assert Records(storages[0]).name == "S1"
    assert Records().browse()._is_closed()


# === SPACE === #


@pytest.fixture
def other(backup):
    """Another run of this host."""
    other = Reservations(Folder(backup.slots), "another run")
    yield other
    other.release()


def taken(backup):
    """Return a need of all that the disk has."""
    return Need(backup.folder, shutil.disk_usage(backup.folder).total)


def is_refused(backup, storages):
    """Tell whether a run has dumped nothing and stored nothing."""
    kept = backup.files.work_path()
    assert not kept.exists() or not list(kept.iterdir())
    return not any(path for storage in storages for path in storage.folder.glob("*"))


def test_a_backup_waits_when_others_will_fill_the_disk(backup, storages, other):
    job = backup.job
    other.keep([taken(backup)])
    for _attempt in range(MAX_ATTEMPTS - 1):
        assert job.perform() == "pending"
        assert job.waits_for.code == SpaceReserved.code
        assert is_refused(backup, storages)
    other.release()
    assert job.perform() == "success", job.states
    assert all(is_whole(storage, job) for storage in storages)


def test_a_backup_that_never_gets_its_space_is_refused(backup, storages, other):
    job = backup.job
    other.keep([taken(backup)])
    job.attempt = MAX_ATTEMPTS - 1
    assert job.perform() == "failure"
    assert job._step("initialize").error.code == SpaceReserved.code
    assert job._step("dump_database").state == "skipped"
    assert is_refused(backup, storages)


def test_a_backup_keeps_its_space_from_others_until_it_ends(backup, storages, other):
    seen = []
    backup.at["dump_database"] = lambda: seen.append(list(other._of_others()))
    assert backup.job.perform() == "success", backup.job.states
    work, linked, copied = [need for _disk, need in seen[0]]
    assert work.folder == backup.files.work_path()
    # the first storage on its disk has another name of the archive
    assert (linked.folder, linked.bytes) == (storages[0].folder, 0)
    assert (copied.folder, copied.bytes) == (storages[1].folder, work.bytes)
    assert list(other._of_others()) == []


def test_the_last_backup_says_how_much_a_copy_takes(backup, storages, other):
    seen = []
    backup.plan.last = 1000
    backup.at["dump_database"] = lambda: seen.append(list(other._of_others()))
    assert backup.job.perform() == "success", backup.job.states
    _work, _linked, copied = [need for _disk, need in seen[0]]
    assert copied.bytes == 1250


def test_a_backup_that_goes_on_says_what_it_still_takes(backup, storages, other):
    job, seen = backup.job, []
    backup.at["archive_files"] = raising(Killed())
    with pytest.raises(Killed):
        job.perform()
    backup.at["archive_files"] = lambda: seen.append(list(other._of_others()))
    other.keep([taken(backup)])
    assert job.perform() == "partial", job.states  # it has its archive all the same
    _disk, need = seen[-1][0]
    assert need.folder == backup.files.work_path()
    assert job._step("upload", storages[1]).error.code == SpaceReserved.code


@contextlib.contextmanager
def small_disk(folder, size):
    if os.geteuid():
        pytest.skip("only root can mount a disk")
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size}"]
    subprocess.run(["mount", *options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_storage_without_room_keeps_no_other_from_its_copy(backup, storages):
    job = backup.job
    with small_disk(storages[1].folder, "64k"):
        assert job.perform() == "partial"
        assert job._step("initialize").state == "warning"
        assert job._step("upload", storages[1]).error.code == LocalNoRoom.code
        assert is_whole(storages[0], job)


def test_a_backup_that_no_storage_has_room_for_is_refused(backup, storages):
    job = backup.job
    with small_disk(storages[0].folder, "64k"), small_disk(storages[1].folder, "64k"):
        assert job.perform() == "failure"
        assert job._step("initialize").error.code == LocalNoRoom.code
        assert job._step("dump_database").state == "skipped"
        assert is_refused(backup, storages)


def test_two_runs_do_not_fill_the_disk_of_a_storage(backup, storages, other):
    job = backup.job
    with small_disk(storages[1].folder, "16m"):
        other.keep([Need(storages[1].folder, 16 << 20)])
        assert job.perform() == "partial"
        assert job._step("upload", storages[1]).error.code == SpaceReserved.code
        assert not list(storages[1].folder.glob("*"))
        other.release()
        for step in job._uploads_missing():
            step._reset()
        job._step("cleanup")._reset()
        assert job.perform() == "success", job.states
        assert is_whole(storages[1], job)
