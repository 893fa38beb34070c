"""Every file of the list is archived, or named with what is wrong with it."""

import errno
import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_cache import forget, holds, need_page_cache

from dfr_backup.engine.archive.prepared import SMALL
from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.errors import Cancelled
from dfr_backup.engine.fileio.page_cache import BEHIND
from dfr_backup.engine.messages import Message
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.sources import filestore
from dfr_backup.engine.sources.filestore import (
    BATCH_FILES,
    NAMED,
    ROOM,
    Attachment,
    archive_filestore,
    walk_filestore,
)

MIB = 1 << 20


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "filestore"
    folder.mkdir()
    return folder


@pytest.fixture
def writer(tmp_path):
    writer = ArchiveWriter.create(tmp_path / "a.zip")
    yield writer
    writer.release()


def put(root, data, name=None):
    """Store a file as Odoo does; return its attachment."""
    sha1 = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    name = name or f"{sha1[:2]}/{sha1}"
    path = root / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return Attachment(name, sha1, len(data), f"attachment of {name}")


def attachment(name):
    return Attachment(name, "", 100, f"attachment of {name}")


def finalize(writer):
    """Complete the archive; return its attachment files by store name."""
    writer.write_checksums()
    writer.add_bytes("manifest.json", b"{}")
    writer.close()
    with zipfile.ZipFile(writer._path) as archive:
        names = [name for name in archive.namelist() if name.startswith("filestore/")]
        assert len(names) == len(set(names))
        return {name.removeprefix("filestore/"): archive.read(name) for name in names}


def content(size, seed=0, shrinks=True):
    rng = random.Random(seed)
    data = rng.randbytes(size // 4 + 1).hex() * 2 if shrinks else rng.randbytes(size)
    return data[:size].encode() if shrinks else data


@settings(deadline=None, max_examples=30)
@given(
    contents=st.sets(st.binary(max_size=200).map(lambda data: data * 40), max_size=12),
    workers=st.integers(1, 4),
)
def test_files_are_archived_in_the_order_of_the_list(
    tmp_path_factory, contents, workers
):
    folder = tmp_path_factory.mktemp("filestore")
    writer = ArchiveWriter.create(folder / "a.zip")
    attachments = [put(folder, data) for data in contents]
    report = archive_filestore(writer, folder, attachments, Progress(), workers=workers)
    assert (report.files, report.bytes) == (len(contents), sum(map(len, contents)))
    assert (report.missing, report.damaged, report.unreadable) == ([], [], [])
    archived = finalize(writer)
    assert list(archived) == [attachment.store_fname for attachment in attachments]
    assert list(archived.values()) == list(contents)


@pytest.mark.parametrize("shrinks", [True, False])
@pytest.mark.parametrize("workers", [None, 1, 4])
def test_small_and_large_files(root, writer, workers, shrinks):
    sizes = [0, 1, 2047, 65_536, MIB, SMALL, SMALL + 1, 9 * MIB + 5] + [3000] * 200
    data = [content(size, seed, shrinks) for seed, size in enumerate(sizes)]
    attachments = [put(root, item) for item in data]
    progress = Progress()
    report = archive_filestore(writer, root, attachments, progress, workers=workers)
    assert (report.files, report.bytes) == (len(sizes), sum(sizes))
    assert progress.done == sum(sizes)
    assert report.damaged == []
    assert list(finalize(writer).values()) == data
    with zipfile.ZipFile(writer._path) as archive:
        packed = archive.getinfo(
            f"filestore/{attachments[-1].store_fname}"
        ).compress_type
    assert packed == (zipfile.ZIP_DEFLATED if shrinks else zipfile.ZIP_STORED)


# === WHAT IS WRONG === #


def test_leaves_the_page_cache_as_it_was(root, writer):
    need_page_cache(root)
    new = [
        put(root, content(size, size))
        for size in (50_000, SMALL + 9, 2 * SMALL, BEHIND + 9)
    ]
    used = [put(root, content(size, size)) for size in (60_000, SMALL + 7)]
    paths = {one: root / one.store_fname for one in new + used}
    for path in paths.values():
        forget(path)
    for one in used:
        paths[one].read_bytes()
    archive_filestore(writer, root, new + used, Progress())
    assert [holds(paths[one]) for one in new] == [False] * len(new)
    assert [holds(paths[one]) for one in used] == [True] * len(used)


def test_missing_files_are_named_and_the_others_archived(root, writer):
    good = [put(root, content(100, seed)) for seed in range(3)]
    lost = [attachment(f"ab/{number:040}") for number in range(NAMED + 5)]
    report = archive_filestore(writer, root, [good[0], *lost, *good[1:]], Progress())
    assert (report.files, report.missing_count) == (3, NAMED + 5)
    assert len(report.missing) == NAMED
    assert report.missing[0].values["file"] == lost[0].label
    assert report.troubles[0].reason.values["reason"] == os.strerror(errno.ENOENT)
    assert len(finalize(writer)) == 3


@pytest.mark.parametrize("size", [500, ROOM + 5])
def test_damaged_file_is_named_and_archived_as_it_is(root, writer, size):
    bad = put(root, content(size))
    (root / bad.store_fname).write_bytes(content(size, seed=1))
    report = archive_filestore(writer, root, [bad], Progress())
    assert (report.files, report.damaged_count) == (1, 1)
    assert report.damaged[0].values["file"] == bad.label
    assert finalize(writer) == {bad.store_fname: content(size, seed=1)}


IRREGULAR = ["link", "link to nothing", "link to itself", "directory", "fifo", "socket"]


@pytest.mark.parametrize("kind", IRREGULAR)
def test_what_is_not_a_regular_file_is_missing(root, writer, tmp_path, kind):
    path = root / "ab" / ("ab" + 38 * "0")
    path.parent.mkdir()
    make(path, kind, tmp_path)
    report = archive_filestore(
        writer, root, [attachment(f"ab/{path.name}")], Progress()
    )
    assert report.missing_count == 1
    assert f"ab/{path.name}" in report.missing[0].values["file"]
    reason = report.troubles[0].reason.values["reason"]
    assert reason == Message(filestore.NOT_REGULAR)
    assert finalize(writer) == {}


def make(path, kind, elsewhere):
    secret = elsewhere / "secret"
    secret.write_bytes(b"not yours")
    if kind.startswith("link"):
        targets = {
            "link": secret,
            "link to nothing": "nothing",
            "link to itself": path.name,
        }
        path.symlink_to(targets[kind])
    elif kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        here = os.open(path.parent, os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "ab/../../secret",
        "{outside}/secret",
        "//{outside}/secret",
        "linked/secret",
        "ab/./x",
        "ab//x",
        "./ab/x",
        "..",
        ".",
        "ab",
        "ab/",
        "/",
        "",
        "a\0b/x",
        "ab/x\0",
        "ab/\udc80",
        "ab/x/y",
        "ab/" + 300 * "x",
        "a" * 5000,
    ],
)
def test_no_name_leads_out_of_the_filestore(root, writer, tmp_path, name):
    outside = tmp_path / "outside"
    for folder in (outside, root / "ab"):
        folder.mkdir()
    (outside / "secret").write_bytes(b"not yours")
    (tmp_path / "secret").write_bytes(b"not yours")
    (root / "ab" / "x").write_bytes(b"x")
    (root / "linked").symlink_to(outside)
    name = name.format(outside=outside)
    report = archive_filestore(writer, root, [attachment(name)], Progress())
    assert (report.files, report.missing_count) == (0, 1)
    assert finalize(writer) == {}


@pytest.mark.parametrize("name", ["ab/back\\slash", "ab/new\nline"])
def test_name_that_no_reader_takes_is_left_out(root, writer, tmp_path, name):
    (root / "ab").mkdir()
    (root / name).write_bytes(b"x")
    attachments = [attachment(name), put(root, b"y")]
    report = archive_filestore(writer, root, attachments, Progress())
    assert (report.files, report.missing_count) == (1, 1)
    assert len(finalize(writer)) == 1


def test_filestore_behind_a_link_is_read(root, writer, tmp_path):
    (tmp_path / "link").symlink_to(root)
    attachments = [put(root, b"x"), put(root, b"y", name="at the root")]
    report = archive_filestore(writer, tmp_path / "link", attachments, Progress())
    assert report.files == 2


def test_folder_that_was_moved_to_another_disk_is_archived(root, writer, tmp_path):
    moved = [put(root, b"moved"), put(root, b"stayed")]
    folder = root / moved[0].store_fname[:2]
    folder.rename(tmp_path / "disk")
    folder.symlink_to(tmp_path / "disk")
    report = archive_filestore(writer, root, moved, Progress())
    assert (report.files, report.missing_count) == (2, 0)
    assert moved[0].store_fname in finalize(writer)


def test_filestore_that_is_not_there_is_all_missing(root, writer, tmp_path):
    report = archive_filestore(
        writer, tmp_path / "nothing", [attachment("ab/x")], Progress()
    )
    assert report.missing_count == 1


UNREADABLE = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import conftest
from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.sources.filestore import archive_filestore, walk_filestore
from dfr_backup.engine.progress import Progress
root = Path(sys.argv[2])
writer = ArchiveWriter.create(Path(sys.argv[3]))
report = archive_filestore(writer, root, list(walk_filestore(root)), Progress())
print(json.dumps(vars(report), default=str))
"""


def without_privileges():
    """Return the start of a command for which permission bits count, also when root
    runs it."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root reads everything, and there is no setpriv")
    dropped = "-dac_override,-dac_read_search,-fowner"
    return ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}"]


def archive_without_privileges(root, tmp_path):
    """Archive all that is there; return the report."""
    script = [
        sys.executable,
        "-c",
        UNREADABLE,
        os.path.dirname(__file__),
        root,
        tmp_path / "a.zip",
    ]
    result = subprocess.run(
        [*without_privileges(), *script], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("size", [500, ROOM + 5])
def test_unreadable_file_is_named_and_the_others_archived(root, tmp_path, size):
    bad, good = put(root, content(size)), put(root, b"good")
    (root / bad.store_fname).chmod(0)
    report = archive_without_privileges(root, tmp_path)
    assert (report["files"], report["bytes"]) == (1, good.size)
    assert (report["unreadable_count"], report["missing_count"]) == (1, 0)
    assert bad.store_fname in report["unreadable"][0]
    assert os.strerror(errno.EACCES) in report["unreadable"][0]


def test_files_of_another_user_are_read(root, tmp_path):
    """Only the owner may ask that reading leaves no trace, and that is not worth a
    failure."""
    files = [put(root, content(100, seed)) for seed in range(200)]
    if os.geteuid():
        pytest.skip("only root can give files away")
    for file in files:
        os.chown(root / file.store_fname, 65534, 65534)
    report = archive_without_privileges(root, tmp_path)
    assert (report["files"], report["unreadable"]) == (200, [])


@pytest.mark.parametrize("mode", [0, 0o100, 0o400])
def test_unreadable_folder_is_named(root, tmp_path, mode):
    bad, good = put(root, b"bad"), put(root, b"good")
    (root / bad.store_fname).parent.chmod(mode)
    report = archive_without_privileges(root, tmp_path)
    assert (report["files"], report["unreadable_count"]) == (1, 1)
    assert report["unreadable"][0].startswith(bad.store_fname[:2])
    assert good.store_fname[:2] != bad.store_fname[:2]


def test_sizes_of_the_database_are_not_believed(root, tmp_path):
    """64 files of 3 MiB, called empty, fit neither into one batch nor into memory."""
    for seed in range(BATCH_FILES):
        put(root, content(3 * MIB, seed, shrinks=False))
    script = MEMORY.format(size=0)
    grown = run_memory(script, root, tmp_path)
    assert grown < 80 << 10  # KiB


def test_memory_does_not_grow_with_the_filestore(root, tmp_path):
    for seed in range(60):
        put(root, content(SMALL, seed, shrinks=False))
    assert run_memory(MEMORY.format(size=SMALL), root, tmp_path) < 90 << 10  # KiB


MEMORY = """
import os, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import conftest
from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.sources.filestore import archive_filestore, walk_filestore
from dfr_backup.engine.progress import Progress
root = Path(sys.argv[2])
files = [a._replace(size={size}) for a in walk_filestore(root)]
writer = ArchiveWriter.create(Path(sys.argv[3]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
report = archive_filestore(writer, root, files, Progress(), workers=4)
assert report.files == len(files) and not report.damaged
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def run_memory(script, root, tmp_path):
    command = [
        sys.executable,
        "-c",
        script,
        os.path.dirname(__file__),
        root,
        tmp_path / "a.zip",
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return int(result.stdout)


@pytest.mark.parametrize("change", [-MIB, MIB])
def test_large_file_that_changes_its_size_is_damaged_not_endless(root, writer, change):
    victim = put(root, content(9 * MIB, shrinks=False))

    def resize(progress):
        if progress.done:  # while it is read
            os.truncate(root / victim.store_fname, 9 * MIB + change)
        progress._next_report = 0

    progress = Progress(resize)
    progress._next_report = 0
    report = archive_filestore(writer, root, [victim], progress)
    assert (report.files, report.damaged_count) == (1, 1 if change < 0 else 0)
    assert report.bytes == 9 * MIB + min(change, 0)


# === INTERRUPTED === #


@pytest.fixture
def mixed(root):
    """A filestore in which a small and a large file are damaged and one is missing;
    return its list, sorted."""
    attachments = [
        put(root, content(3000, seed, shrinks=seed % 2)) for seed in range(150)
    ]
    large = [put(root, content(ROOM + seed, seed)) for seed in (1, 2)]
    with open(root / large[0].store_fname, "r+b") as file:
        file.write(b"other")
    attachments += large
    attachments.sort(key=lambda attachment: attachment.store_fname)
    (root / attachments[20].store_fname).write_bytes(b"other")
    (root / attachments[30].store_fname).unlink()
    return attachments


@pytest.mark.parametrize("order", ["sorted", "any"])
@pytest.mark.parametrize("seed", range(12))
def test_goes_on_where_it_was_interrupted(root, tmp_path, mixed, seed, order):
    rng = random.Random(seed)
    if order == "any":
        rng.shuffle(mixed)
    writer = ArchiveWriter.create(tmp_path / "a.zip")
    writer.add_bytes("dump.sql", b"SELECT 1")
    whole = archive_filestore(writer, root, mixed, Progress())
    size = sum(1 for _ in writer.members()) and writer._path.stat().st_size
    writer.release()
    os.truncate(writer._path, rng.randrange(size))

    writer = ArchiveWriter.resume(writer._path)
    held = {member.name: member.offset for member in writer.members()}
    progress = Progress()
    report = archive_filestore(writer, root, iter(mixed), progress)
    assert report.damaged_count == 2
    for found in (report, whole):  # what was archived before is noted first
        found.troubles.sort(key=lambda trouble: trouble.store_fname)
    assert report == whole
    assert progress.done == whole.bytes
    assert {m.name: m.offset for m in writer.members() if m.name in held} == held
    assert set(finalize(writer)) == {a.store_fname for a in mixed} - {missing(whole)}


def missing(report):
    return report.missing[0].values["reason"].values["file"]


@pytest.mark.parametrize("step", [1, -1])
def test_another_list_than_before_loses_nothing(root, tmp_path, mixed, step):
    writer = ArchiveWriter.create(tmp_path / "a.zip")
    archive_filestore(writer, root, mixed[::2], Progress())
    new = put(root, b"new")
    report = archive_filestore(writer, root, [*mixed[1:], new][::step], Progress())
    assert report.files == len(mixed) - 1
    assert set(finalize(writer)) == {a.store_fname for a in [*mixed, new]} - {
        missing(report)
    }


def test_cancel_is_prompt_and_leaves_no_thread(root, writer, mixed):
    def stop(progress):
        raise Cancelled

    progress = Progress(stop)
    progress._next_report = 0
    with pytest.raises(Cancelled):
        archive_filestore(writer, root, mixed, progress)
    assert not [
        thread for thread in threading.enumerate() if "dfr_backup" in thread.name
    ]
    whole = archive_filestore(writer, root, mixed, Progress())
    assert len(finalize(writer)) == whole.files == len(mixed) - 1


def test_cancel_comes_through_while_waiting_for_a_slow_disk(root, writer, monkeypatch):
    """The one thing that cannot be had for real here: a file system that does not
    answer."""
    slow, asked = put(root, b"slow"), threading.Event()

    def read_slowly(file, size):
        asked.wait(120)
        return b"slow"

    def stop(progress):
        asked.set()
        raise Cancelled

    monkeypatch.setattr(filestore, "read_up_to", read_slowly)
    progress = Progress(stop)
    started = time.monotonic()
    with pytest.raises(Cancelled):
        archive_filestore(writer, root, [slow], progress)
    assert time.monotonic() - started < 60


# === WITHOUT A LIST === #


def test_walk_finds_what_is_named_like_an_attachment(root):
    attachments = [put(root, content(50, seed)) for seed in range(20)]
    put(root, b"", name="checklist/ab")
    (root / "ab").mkdir(exist_ok=True)
    put(root, b"x", name="ab/not a checksum")
    (root / "a file").write_bytes(b"x")
    found = list(walk_filestore(root))
    assert found == sorted(found, key=lambda attachment: attachment.store_fname)
    expected = {(attachment.store_fname, attachment.size) for attachment in attachments}
    assert {
        (attachment.store_fname, attachment.size) for attachment in found
    } == expected
    assert list(walk_filestore(root / "nothing")) == []
