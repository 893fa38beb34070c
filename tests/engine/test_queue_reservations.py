"""Disk space that runs of a host reserve: with real files, processes and disks."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from dfr_backup.engine.errors.archive import ArchiveNeedsSpace
from dfr_backup.engine.errors.runs import SpaceReserved
from dfr_backup.engine.queue.folder import Folder
from dfr_backup.engine.queue.reservations import (
    SUFFIX,
    Need,
    Reservations,
    is_one_disk,
)

REPO = Path(__file__).parents[2]
MIB = 1 << 20
SCRIPT = """
import subprocess, sys, time, types
from pathlib import Path
package = types.ModuleType("dfr_backup")
package.__path__ = ["dfr_backup"]
sys.modules["dfr_backup"] = package
from dfr_backup.engine.queue.folder import Folder
from dfr_backup.engine.queue.reservations import Need, Reservations

slots, run, folder, size = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
mine = Reservations(Folder(slots), run)
short = mine.take([Need(Path(folder), int(size))])
child = subprocess.Popen(["sleep", "600"])
print("short" if short else "taken", child.pid, flush=True)
sys.stdin.read()
child.kill()
"""


@pytest.fixture
def slots(tmp_path):
    return tmp_path / "slots"


@pytest.fixture
def disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


def of(slots, run):
    reservations = Reservations(Folder(slots), run)
    return closing_reservations(reservations)


@contextmanager
def closing_reservations(reservations):
    try:
        yield reservations
    finally:
        reservations.release()


def free(folder):
    return shutil.disk_usage(folder).free


def part(folder, share):
    """Return a need of so much of what is free: other tests fill the disk as well."""
    return Need(folder, int(free(folder) * share))


@contextmanager
def process(slots, run, folder, size):
    """Another process that reserves something; yield it and what it says."""
    argv = [sys.executable, "-c", SCRIPT, slots, run, folder, str(size)]
    with subprocess.Popen(
        argv, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        yield running
        running.kill()


def said(running):
    word, child = running.stdout.readline().split()
    return word, int(child)


def files(slots):
    return [path for path in slots.iterdir() if path.name.endswith(SUFFIX)]


def test_two_runs_do_not_get_what_only_one_of_them_can_have(slots, disk):
    with of(slots, "one") as one, of(slots, "two") as two:
        assert one.take([part(disk, 0.6)]) is None
        short = two.take([part(disk, 0.6)])
        assert short.folder == disk
        assert short.needed < short.free < short.needed + short.reserved
        assert short.explained(ArchiveNeedsSpace).code == SpaceReserved.code
        assert len(files(slots)) == 1
        one.release()
        assert two.take([part(disk, 0.6)]) is None
    assert files(slots) == []


def test_what_never_fits_is_no_fault_of_others(slots, disk):
    with of(slots, "one") as one:
        short = one.take([part(disk, 0.6), part(disk, 0.6)])  # both on one disk
        assert (short.reserved, short.folder) == (0, disk)
        assert short.explained(ArchiveNeedsSpace).code == ArchiveNeedsSpace.code
        assert files(slots) == []


def test_what_a_run_had_before_is_replaced_unless_it_is_short(slots, disk):
    with of(slots, "one") as one, of(slots, "two") as two:
        assert one.take([part(disk, 0.5)]) is None
        assert one.take([part(disk, 0.7)]) is None
        assert one.take([part(disk, 1.5)])
        assert two.take([part(disk, 0.5)])
        assert one.take([part(disk, 0.2)]) is None
        assert two.take([part(disk, 0.5)]) is None


def test_what_has_been_written_is_not_counted_twice(slots, disk):
    for mark in ("", "1234abcd"):
        need = Need(disk, 20 * MIB, mark)
        written = disk / "archive-1234abcd.part"
        assert need.left == 20 * MIB
        written.write_bytes(b"x" * 12 * MIB)
        (disk / "another").write_bytes(b"x" * MIB)
        assert 6 * MIB < need.left <= 8 * MIB
        written.write_bytes(b"x" * 30 * MIB)
        assert need.left == 0
        for path in disk.iterdir():
            path.unlink()
    with of(slots, "one") as one, of(slots, "two") as two:
        half = free(disk) // 2
        assert one.take([Need(disk, half + MIB, mark="")]) is None
        short = two.take([Need(disk, half + MIB)])
        (disk / "archive.part").write_bytes(b"x" * 30 * MIB)
        later = two.take([Need(disk, half + MIB)])
        assert 25 * MIB < short.reserved - later.reserved <= 30 * MIB + 8192


def test_a_large_disk_is_reserved_as_well(slots, disk):
    with of(slots, "one") as one, of(slots, "two") as two:
        one.keep([Need(disk, 900 << 40)])
        assert two.take([Need(disk, MIB)]).reserved == 900 << 40


def test_what_is_no_file_of_a_run_does_not_matter(slots, disk):
    with of(slots, "one") as one, of(slots, "two") as two:
        one.keep([part(disk, 0.9)])
        (slots / f"folder{SUFFIX}").mkdir()
        (slots / f"link{SUFFIX}").symlink_to(disk)
        os.mkfifo(slots / f"pipe{SUFFIX}")
        assert two.take([part(disk, 0.5)])


def test_a_run_with_very_many_storages_reserves_most_of_them(slots, disk):
    with of(slots, "one") as one, of(slots, "two") as two:
        one.keep([Need(disk / f"{number:0100d}", MIB, "") for number in range(50)])
        two.keep([])
        assert len(list(two._of_others())) > 10


def test_what_is_kept_is_not_asked_for(slots, disk):
    with of(slots, "one") as one, of(slots, "two") as two:
        one.keep([part(disk, 5)])
        assert two.take([part(disk, 0.01)]).reserved > free(disk)


def test_a_killed_run_reserves_nothing_although_its_child_lives(slots, disk):
    with process(slots, "dead", disk, free(disk) // 2) as running:
        word, child = said(running)
        assert word == "taken"
        try:
            with of(slots, "one") as one:
                assert one.take([part(disk, 0.9)])
                running.send_signal(signal.SIGKILL)
                running.wait()
                os.kill(child, 0)  # it is still there
                assert one.take([part(disk, 0.9)]) is None
                assert len(files(slots)) == 1
        finally:
            os.kill(child, signal.SIGKILL)


def test_of_many_at_once_as_many_get_it_as_there_is_room_for(slots, disk):
    size = int(free(disk) * 0.4)
    processes = [process(slots, f"run{number}", disk, size) for number in range(5)]
    running = [one.__enter__() for one in processes]
    try:
        words = [said(one)[0] for one in running]
        assert sorted(words) == ["short"] * 3 + ["taken"] * 2
    finally:
        for one in running:
            one.stdin.close()
            one.wait()


def test_other_disks_do_not_count(slots, disk):
    other = Path("/dev/shm")
    if is_one_disk(other, disk):
        pytest.skip("one file system has it all")
    with of(slots, "one") as one, of(slots, "two") as two:
        assert one.take([part(other, 0.9)]) is None
        assert two.take([part(disk, 0.9)]) is None
        assert two.take([part(other, 0.5)])


def test_a_folder_that_is_still_to_be_made(slots, disk):
    with of(slots, "one") as one:
        later = disk / "later" / "still"
        assert one.take([Need(later, MIB, mark="x")]) is None
        assert one.take([Need(later, free(disk) * 2)]).folder == later


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        b"{}",
        b"[1]",
        b'[{"disk": 1, "folder": "relative", "bytes": 1, "mark": null}]',
        b'[{"disk": 1, "folder": "/a\\u0000b", "bytes": 1, "mark": null}]',
        b'[{"disk": 1, "folder": "/", "bytes": "1", "mark": null}]',
        b'[{"disk": 1, "folder": "/", "bytes": 1e999, "mark": null}]',
        b'[{"disk": 1, "folder": "/", "bytes": 1, "mark": 1}]',
    ],
)
def test_what_another_server_writes_is_not_believed(slots, disk, content):
    with of(slots, "one") as one, of(slots, "two") as two:
        one.keep([part(disk, 0.9)])
        files(slots)[0].write_bytes(content)
        assert two.take([part(disk, 0.5)]) is None


def test_where_the_folder_cannot_be_used_only_free_space_counts(slots, disk):
    slots.write_bytes(b"")
    with of(slots, "one") as one:
        assert one.take([part(disk, 0.9)]) is None
        assert one.take([part(disk, 1.5)]).reserved == 0
        one.keep([part(disk, 0.9)])
