"""Disks that are full, read-only, out of inodes; directories that vanish."""

import contextlib
import os
import shutil
import subprocess

import pytest
from lab import RESTORE, Fault

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="mounts file systems")
ROOM = "64m"
INODES = 40
# what a run may say when a disk is full, read-only, or lost
NO_DISK = {
    "ARCHIVE-01",
    "ARCHIVE-02",
    "ARCHIVE-03",
    "ARCHIVE-07",  # before anything is written
    "LOCAL-06",
    "LOCAL-07",
    "LOCAL-08",  # read-only, before anything is written
    "LOCAL-09",
    "LOCAL-11",
    "STORAGE-02",
    "STORAGE-03",
    "STORAGE-07",
}


@pytest.fixture(autouse=True)
def disturbed(lab):
    """The disk is that of the whole server."""
    if lab.beside:
        lab.beside.disturbed = True


@contextlib.contextmanager
def small_disk(folder, options):
    """Let ``folder`` lie on a small file system of its own; what was in it comes
    back."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


FULL = [
    ("work", "step.initialize.begin"),
    ("work", "postgres.dump.first_bytes"),
    ("work", "step.archive_files.begin"),
    ("work", "step.compress.begin"),
    ("storage", "step.upload.begin"),
    ("storage", "storage.manifest.before"),
]
short = pytest.mark.short


@pytest.mark.parametrize(
    "where, instant",
    [pytest.param(*f, marks=short) if f[1] == "step.upload.begin" else f for f in FULL],
)
@pytest.mark.parametrize("how", ["full", "read-only", "no inodes"])
def test_disk(lab, tmp_path, cell, how, where, instant):
    if how == "read-only" and where == "work" and instant != "step.initialize.begin":
        pytest.skip("a file that is open for writing keeps a disk writable")
    if lab.beside:
        lab.beside.disturbed = where == "work"  # that one is both databases' own
    folder = lab.instance.work if where == "work" else lab.instance.storage
    inodes = f",nr_inodes={INODES}" if how == "no inodes" else ""
    with small_disk(folder, f"size={ROOM},mode=700{inodes}"):
        use_this_location(lab)
        fault = Fault(tmp_path, "wait", instant)
        outcome = lab.run(fault, meanwhile=lambda: break_disk(folder, how))
        mend_disk(folder, how)
        cell(f"{where} {how}", instant, outcome)
        judge(lab, outcome, where)
    lab.forget()
    use_this_location(lab)
    again = lab.run()
    assert again.state == "success", again.errors
    lab.check(again, restore=False)


def use_this_location(lab):
    """Accept the disk that is mounted now, as a button of the storage does: another
    one is no place to write to otherwise."""
    lab.instance.sql("UPDATE backup_storage SET place_id = NULL")


def judge(lab, outcome, where):
    """What could not be written is missing, and the step says so."""
    failed = [kind for kind, state in outcome.steps.items() if state == "failure"]
    if outcome.state == "success":  # what it needed was written already
        lab.check(outcome)
        return
    assert failed
    assert all(outcome.codes.get(kind) for kind in failed), outcome.errors
    assert set(outcome.codes.values()) & NO_DISK, outcome.errors
    # what is on the disk that was broken is removed by the next run at the latest
    assert not lab.still_at_work()
    if where == "storage":
        assert not list(lab.instance.storage.glob("*.json"))
        lab.sql("UPDATE backup_job SET kept_until = now() - interval '1 hour'"
                " WHERE kept_until IS NOT NULL")  # fmt: skip


def break_disk(folder, how):
    if how == "read-only":
        remount(folder, "ro")
    elif how == "full":
        with (
            open(folder / "filler", "wb", buffering=0) as stream,
            contextlib.suppress(OSError),
        ):
            while True:
                stream.write(b"\0" * 4096)
    else:
        with contextlib.suppress(OSError):
            for number in range(INODES):
                (folder / f"inode{number}").touch()


def mend_disk(folder, how):
    if how == "read-only":
        remount(folder, "rw")
    for path in [*folder.glob("filler"), *folder.glob("inode*")]:
        path.unlink()


@pytest.mark.parametrize(
    "instant",
    [
        "postgres.dump.first_bytes",
        "step.archive_files.begin",
        pytest.param("step.compress.begin", marks=short),
        "archive.recorded",
        "step.upload.begin",
        "step.verify.begin",
    ],
)
def test_working_directory_is_deleted(lab, tmp_path, cell, instant):
    fault = Fault(tmp_path, "wait", instant)
    outcome = lab.run(fault, meanwhile=lambda: shutil.rmtree(lab.instance.work))
    cell("working directory deleted", instant, outcome)
    assert outcome.state == "success", outcome.errors
    lab.check(outcome)
    again = lab.run()
    assert again.state == "success", again.errors
    lab.check(again, restore=False)


@pytest.mark.parametrize("instant", ["step.upload.begin", "step.verify.begin"])
def test_storage_is_deleted(lab, tmp_path, cell, instant):
    storage = lab.instance.storage
    aside = storage.with_name("aside")
    fault = Fault(tmp_path, "wait", instant)
    outcome = lab.run(fault, meanwhile=lambda: storage.rename(aside))
    cell("storage unmounted", instant, outcome)
    if storage.exists():
        shutil.rmtree(storage)
    aside.rename(storage)
    assert outcome.state == "failure", outcome
    lab.sql("UPDATE backup_job SET kept_until = now() - interval '1 hour'"
            " WHERE kept_until IS NOT NULL")  # fmt: skip
    again = lab.run()
    assert again.state == "success", again.errors


def test_restore_on_a_full_disk(lab, tmp_path, cell):
    """The files do not fit: the database is removed again, and nothing else has
    changed."""
    lab.run()
    copy = f"{lab.instance.database}_copy"
    with small_disk(lab.instance.data / "filestore", "size=4m,mode=700"):
        outcome = lab.run(code=RESTORE.format(count=1, name=copy))
        cell("restore, disk full", "filestore", outcome)
        assert outcome.state == "failure"
        assert outcome.code in ("RESTORE-01", "RESTORE-02")
        assert not lab.sql("SELECT 1 FROM pg_database WHERE datname = %s", copy)
        lab.check(outcome)
    again = lab.run(code=RESTORE.format(count=1, name=copy))
    lab.drop(copy)
    assert again.state == "success", again.errors
