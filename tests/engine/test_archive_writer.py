"""The writer makes archives that others read, whatever happens while it does."""

import contextlib
import errno
import hashlib
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_files import open_below
from page_cache import holds, need_page_cache

from dfr_backup.engine.archive import writer as archive_writer
from dfr_backup.engine.archive.deflate import ZLIB, Codec
from dfr_backup.engine.archive.journal import journal_path
from dfr_backup.engine.archive.member_stream import MemberStream
from dfr_backup.engine.archive.prepared import SMALL, prepare
from dfr_backup.engine.archive.writer import CHUNK, ArchiveWriter
from dfr_backup.engine.archive.zip_format import local_header
from dfr_backup.engine.errors import Cancelled
from dfr_backup.engine.errors.archive import (
    ArchiveDiskFull,
    ArchiveNotContinued,
    ArchiveNotWritten,
)
from dfr_backup.engine.fileio import append_file
from dfr_backup.engine.fileio.page_cache import BLOCK
from dfr_backup.engine.manifest.names import CHECKSUMS
from dfr_backup.engine.progress import Progress

GIB = 1 << 30
TEXT = b"".join(
    b"%d\tsome words of a table\t%x\n" % (n, n * 7919) for n in range(40_000)
)
ZEROS = bytes(CHUNK)
NOISE = random.Random(1).randbytes(2 * CHUNK)
# names as zip tools take them: relative, without a component that leads elsewhere
NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]),
    min_size=1,
    max_size=60,
).map(lambda name: f"files/x{name}")


def finalize(writer):
    writer.write_checksums()
    writer.add_bytes("manifest.json", b"{}")
    return writer.close()


def check(path, finalized=None):
    """Let everybody read the archive; return its content without what closes it."""
    if finalized:
        data = path.read_bytes()
        assert finalized.size == len(data)
        assert finalized.sha256 == hashlib.sha256(data).hexdigest()
    unzip_test(path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len(names) == len(set(names))
        assert names[-2:] == [CHECKSUMS, "manifest.json"]
        assert finalized is None or finalized.members == len(names)
        assert {info.external_attr >> 16 for info in archive.infolist()} == {0o100644}
        return {name: archive.read(name) for name in names[:-2]}


def unzip_test(path, *names):
    if shutil.which("unzip"):
        command = ["unzip", "-tqq", path, *names]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr


def add(writer, name, data, how="prepared"):
    """Add a member in one of the ways there are."""
    if how == "prepared":
        writer.add_prepared(prepare(name, data, writer.codec))
    elif how == "file":
        with io.FileIO(os.memfd_create("source"), "r+b") as source:
            source.write(data)
            source.seek(0)
            writer.add_file(name, source.fileno(), len(data))
    else:
        with writer.stream_member(name, compress=how == "deflated") as stream:
            stream.write(data)


# === WHAT IS WRITTEN === #


@settings(deadline=None, max_examples=60)
@given(
    members=st.dictionaries(
        NAMES,
        st.tuples(
            st.binary(max_size=300).map(lambda data: data * 50),
            st.sampled_from(["prepared", "file", "deflated", "stored"]),
        ),
        max_size=8,
    )
)
def test_what_goes_in_comes_out(tmp_path_factory, members):
    path = tmp_path_factory.mktemp("archive") / "a.zip"
    writer = ArchiveWriter.create(path)
    for name, (data, how) in members.items():
        add(writer, name, data, how)
    assert [member.name for member in writer.members()] == list(members)
    finalized = finalize(writer)
    assert check(path, finalized) == {
        name: data for name, (data, _how) in members.items()
    }


@pytest.mark.parametrize("how", ["prepared", "file", "deflated", "stored"])
@pytest.mark.parametrize("size", [0, 1, BLOCK, CHUNK, CHUNK + 1, 2 * CHUNK, SMALL + 9])
def test_every_size_in_every_way(tmp_path, codec, how, size):
    path = tmp_path / "a.zip"
    writer = ArchiveWriter.create(path, codec=codec)
    expected = {}
    for number, source in enumerate((TEXT, NOISE)):
        data = (source * (size // len(source) + 1))[:size]
        expected[f"m{number}"] = data
        add(writer, f"m{number}", data, how)
    assert check(path, finalize(writer)) == expected


def test_checksums_are_what_sha256sum_reads(tmp_path):
    path = tmp_path / "a.zip"
    names = [
        "dump.sql",
        "filestore/ab/x",
        "addons/a b/ü — 漢字.py",
        "two\nlines",
        "back\\slash",
        "both\\\nof them",
        "\\n",
    ]
    writer = ArchiveWriter.create(path)
    for name in names:
        add(writer, name, name.encode())
    count, digest = writer.write_checksums()
    writer.add_bytes("manifest.json", b"{}")
    writer.close()
    assert count == len(names)
    folder = tmp_path / "extracted"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
        assert hashlib.sha256(archive.read(CHECKSUMS)).hexdigest() == digest
    checked = subprocess.run(["sha256sum", "-c", "--strict", CHECKSUMS], cwd=folder)
    assert checked.returncode == 0
    (folder / "dump.sql").write_bytes(b"other")
    checked = subprocess.run(["sha256sum", "-c", "--strict", CHECKSUMS], cwd=folder)
    assert checked.returncode == 1


def test_files_are_private_and_new(tmp_path):
    path, elsewhere = tmp_path / "a.zip", tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine")
    path.symlink_to(elsewhere)
    old = os.umask(0)
    try:
        finalize(ArchiveWriter.create(path))
    finally:
        os.umask(old)
    assert elsewhere.read_bytes() == b"mine"
    assert not path.is_symlink()
    assert {file.stat().st_mode & 0o777 for file in (path, journal_path(path))} == {
        0o600
    }


def test_buffer_of_the_caller_may_be_used_again(tmp_path):
    class Slow(list):
        def update(self, view):
            time.sleep(0.02)
            self.append(bytes(view))

    path, buffer, slow = tmp_path / "a.zip", bytearray(CHUNK), Slow()
    writer = ArchiveWriter.create(path)
    with writer.stream_member("m", digests=[slow]) as stream:
        for number in range(20):
            buffer[:] = bytes([number]) * CHUNK
            stream.write(memoryview(buffer))
    expected = b"".join(bytes([number]) * CHUNK for number in range(20))
    assert check(path, finalize(writer)) == {"m": expected}
    assert b"".join(slow) == expected


def test_digests_get_everything(tmp_path):
    sha1 = hashlib.sha1(usedforsecurity=False)
    writer = ArchiveWriter.create(tmp_path / "a.zip")
    with writer.stream_member("m", digests=[sha1]) as stream:
        stream.write(TEXT)
        stream.write(NOISE)
    assert sha1.digest() == hashlib.sha1(TEXT + NOISE, usedforsecurity=False).digest()
    assert stream.sha256 == hashlib.sha256(TEXT + NOISE).hexdigest()
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


def test_members_may_be_read_while_more_are_added(tmp_path):
    writer = ArchiveWriter.create(tmp_path / "a.zip")
    for number in range(3):
        add(writer, f"m{number}", b"x")
    seen = []
    for member in writer.members():
        seen.append(member.name)
        add(writer, f"more{member.name}", NOISE)
    assert seen == ["m0", "m1", "m2"]
    writer.release()


@pytest.mark.parametrize("change", [-CHUNK, CHUNK])
def test_file_that_changes_its_size_is_taken_as_it_was_read(tmp_path, change):
    source = tmp_path / "source"
    source.write_bytes(NOISE * 4)
    size = source.stat().st_size

    def resize(count):
        os.truncate(source, size + change)

    path = tmp_path / "a.zip"
    writer = ArchiveWriter.create(path)
    with open(source, "rb") as stream:
        added = writer.add_file("m", stream.fileno(), size, advance=resize)
    assert added == size + min(change, 0)
    assert check(path, finalize(writer)) == {"m": (NOISE * 4)[:added]}


def test_no_thread_stays(tmp_path):
    writer = ArchiveWriter.create(tmp_path / "a.zip")
    add(writer, "m", TEXT * 4, "deflated")
    assert ours()
    writer.release()
    assert not ours()


def ours():
    return [thread for thread in threading.enumerate() if "dfr_backup" in thread.name]


# === ROLL BACK === #


@pytest.mark.parametrize(
    "error", [Cancelled, ValueError, KeyboardInterrupt, SystemExit]
)
@pytest.mark.parametrize("written", [0, 100, 5 * CHUNK])
def test_member_that_fails_has_never_been_there(tmp_path, codec, error, written):
    path = tmp_path / "a.zip"
    writer = ArchiveWriter.create(path, codec=codec)
    add(writer, "small", b"1")
    add(writer, "before", TEXT, "deflated")
    size, journal = writer.save(), journal_path(path).read_bytes()
    with pytest.raises(error), writer.stream_member("bad") as stream:
        stream.write((NOISE * 3)[:written])
        raise error()
    assert path.stat().st_size == size
    assert journal_path(path).read_bytes() == journal
    add(writer, "after", NOISE, "stored")
    assert check(path, finalize(writer)) == {
        "small": b"1",
        "before": TEXT,
        "after": NOISE,
    }


def failing(code):
    def fail(*_args):
        raise OSError(code, os.strerror(code))

    return fail


def test_member_is_rolled_back_when_noting_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "a.zip"
    writer = ArchiveWriter.create(path)
    add(writer, "before", TEXT, "deflated")
    with monkeypatch.context() as patch:
        patch.setattr(archive_writer, "write_all", failing(errno.ENOSPC))
        with (
            pytest.raises(ArchiveDiskFull),
            writer.stream_member("bad") as stream,
        ):
            stream.write(TEXT)
    add(writer, "after", NOISE, "stored")
    assert check(path, finalize(writer)) == {"before": TEXT, "after": NOISE}


def test_what_cannot_be_undone_is_not_written_on(tmp_path, monkeypatch):
    path = tmp_path / "a.zip"
    writer = ArchiveWriter.create(path)
    add(writer, "before", TEXT, "deflated")
    with monkeypatch.context() as patch:
        patch.setattr(append_file.os, "ftruncate", failing(errno.EIO))
        with pytest.raises(ArchiveNotWritten), writer.stream_member("bad") as stream:
            stream.write(NOISE)
            raise Cancelled
    assert open_below(tmp_path) == 0
    with pytest.raises(ArchiveNotContinued):
        writer.add_bytes("after", b"1")
    with pytest.raises(ArchiveNotContinued):
        writer.close()
    writer = ArchiveWriter.resume(path)
    add(writer, "after", NOISE, "stored")
    assert check(path, finalize(writer)) == {"before": TEXT, "after": NOISE}


class Waiting(Codec):
    """A codec that packs nothing before it may."""

    may = threading.Event()

    def block(self, data):
        assert self.may.wait(120)
        return super().block(data)


@pytest.fixture
def waiting():
    Waiting.may.clear()
    yield Waiting(**vars(ZLIB))
    Waiting.may.set()


def interrupted(_signal, _frame):
    raise KeyboardInterrupt


@pytest.mark.parametrize("way", ["from within", "while it waits"])
def test_no_thread_writes_after_the_roll_back(tmp_path, waiting, way):
    path = tmp_path / "a.zip"
    writer = ArchiveWriter.create(path, codec=waiting)
    size = writer.save()
    opener = threading.Timer(0.4, waiting.may.set)
    before = signal.signal(signal.SIGALRM, interrupted)
    try:
        with pytest.raises(KeyboardInterrupt), writer.stream_member("bad") as stream:
            opener.start()
            stream.write(NOISE)
            if way == "from within":
                raise KeyboardInterrupt
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            stream.write(bytes(50 * CHUNK))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    opener.join()
    time.sleep(0.2)  # what a thread that still writes would need
    assert writer.save() == size
    add(writer, "after", NOISE, "stored")
    assert check(path, finalize(writer)) == {"after": NOISE}


def test_archive_is_closed_when_nobody_knows_whether_a_thread_writes(
    tmp_path, monkeypatch
):
    path = tmp_path / "a.zip"
    writer = ArchiveWriter.create(path)
    add(writer, "before", TEXT, "deflated")
    with monkeypatch.context() as patch:
        patch.setattr(MemberStream, "drop", failing(errno.ENOMEM))
        with (
            pytest.raises(OSError, match=os.strerror(errno.ENOMEM)),
            writer.stream_member("bad") as stream,
        ):
            stream.write(NOISE)
            raise Cancelled
    with pytest.raises(ArchiveNotContinued):
        writer.add_bytes("after", b"1")
    assert not ours()


def test_nothing_is_written_after_the_release(tmp_path):
    writer = ArchiveWriter.create(tmp_path / "a.zip")
    writer.release()
    writer.release()
    for use in (writer.save, writer.close, lambda: writer.add_bytes("a", b"1")):
        with pytest.raises(ArchiveNotContinued):
            use()


def test_release_closes_the_journal_when_the_archive_cannot_be_closed(
    tmp_path, monkeypatch
):
    writer = ArchiveWriter.create(tmp_path / "a.zip")
    really_close = os.close
    refused = []

    def close(file):
        really_close(file)
        if not refused:
            refused.append(file)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "close", close)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        writer.release()
    writer.release()
    assert open_below(tmp_path) == 0


def test_resume_leaves_the_archive_out_of_the_page_cache(tmp_path):
    need_page_cache(tmp_path)
    path = tmp_path / "a.zip"
    writer = ArchiveWriter.create(path)
    add(writer, "before", NOISE, "stored")
    writer.save()
    writer.release()
    ArchiveWriter.resume(path).release()
    assert not holds(path)


ON_A_SMALL_DISK = """
import os, resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import conftest
from dfr_backup.engine.archive.prepared import prepare
from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.errors.archive import ArchiveDiskFull
path, limit, way = Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
noise = os.urandom(1 << 20)
writer = ArchiveWriter.create(path)
writer.add_bytes("first", b"1")
with writer.stream_member("second", compress=False) as stream:
    stream.write(noise)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    if way == "stream":
        with writer.stream_member("large") as stream:
            while True:
                stream.write(noise)
    for number in range(1_000_000):
        writer.add_prepared(prepare(f"small {number}", noise[:50_000], writer.codec))
except ArchiveDiskFull as error:
    print(error.message.values["folder"])
    print(error.hint.values["folder"])
writer.write_checksums()
writer.add_bytes("manifest.json", b"{}")
writer.close()
"""


@contextlib.contextmanager
def small_disk(folder):
    """Yield whether ``folder`` is now a file system of 8 MiB."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]
    mounted = (
        os.geteuid() == 0
        and subprocess.run(command, capture_output=True).returncode == 0
    )
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("way", ["stream", "small"])
@pytest.mark.parametrize("cause", ["disk", "limit"])
def test_full_disk_is_named_and_what_fits_is_kept(tmp_path, way, cause):
    folder = tmp_path / "small"
    with small_disk(folder) as mounted:
        if cause == "disk" and not mounted:
            pytest.skip("only root can mount a small file system")
        path = folder / "a.zip"
        limit = 0 if cause == "disk" else 6 << 20
        result = subprocess.run(
            [
                sys.executable,
                "-c",
                ON_A_SMALL_DISK,
                os.path.dirname(__file__),
                path,
                str(limit),
                way,
            ],
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.splitlines() == [str(folder)] * 2
        content = check(path)
        assert list(content)[:2] == ["first", "second"]
        assert len(content) == 2 if way == "stream" else len(content) > 20


def test_directory_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(ArchiveNotWritten) as caught:
        ArchiveWriter.create(tmp_path / "missing" / "a.zip")
    assert caught.value.hint


# === RESUME === #


@pytest.fixture(scope="module")
def partial(tmp_path_factory):
    """An archive under construction, with members of all kinds; return (path,
    content)."""
    path = tmp_path_factory.mktemp("partial") / "a.zip"
    writer, content, rng = ArchiveWriter.create(path), {}, random.Random(3)
    ways = ["prepared", "file", "deflated", "stored"]
    for number in range(24):
        source = rng.choice((TEXT, NOISE, bytes(3 * CHUNK)))
        # one byte more than a chunk: what a decompressor still holds at the end
        data = source[: rng.choice((0, 10, 3_000, 3_000, 70_000, 70_000, CHUNK + 1))]
        name = f"m{number} ü\n\t\\"
        content[name] = data
        add(writer, name, data, ways[number % 4])
    list(writer.members())
    writer.release()
    return path, content


def copy(partial, folder):
    path = folder / "a.zip"
    shutil.copy(partial, path)
    shutil.copy(journal_path(partial), journal_path(path))
    return path


def offsets(path):
    """Return the end of every member of an archive under construction."""
    writer = ArchiveWriter.resume(path)
    ends = [member.end for member in writer.members()]
    writer.release()
    return ends


def assert_continues(path, content, held):
    """Resume; exactly the first ``held`` members are there; go on to a good archive."""
    writer = ArchiveWriter.resume(path)
    assert [member.name for member in writer.members()] == list(content)[:held]
    add(writer, "after", TEXT, "deflated")
    expected = dict(list(content.items())[:held], after=TEXT)
    assert check(path, finalize(writer)) == expected


def test_resume_of_all(partial, tmp_path):
    path, content = copy(partial[0], tmp_path), partial[1]
    assert_continues(path, content, len(content))


@pytest.mark.parametrize("seed", range(60))
def test_resume_after_the_archive_was_cut(partial, tmp_path, seed):
    path, content = copy(partial[0], tmp_path), partial[1]
    ends = offsets(path)
    rng = random.Random(seed)
    end = rng.choice(ends)
    size = max(0, rng.choice((rng.randrange(ends[-1]), end - 1, end, end + 1)))
    os.truncate(path, min(size, ends[-1]))
    assert_continues(path, content, sum(end <= size for end in ends))


@pytest.mark.parametrize("seed", range(40))
def test_resume_after_the_journal_was_cut(partial, tmp_path, seed):
    path, content = copy(partial[0], tmp_path), partial[1]
    journal = journal_path(path)
    lines = journal.read_bytes().splitlines(keepends=True)
    rng = random.Random(seed)
    size = rng.randrange(len(lines[0]), journal.stat().st_size)
    if seed % 4 == 0:  # all but the line feed
        size = len(b"".join(lines[: rng.randrange(2, len(lines))])) - 1
    os.truncate(journal, size)
    held = journal.read_bytes().count(b"\n") - 1
    assert_continues(path, content, held)


@pytest.mark.parametrize("seed", range(60))
def test_resume_notices_one_changed_bit(partial, tmp_path, seed):
    path, content = copy(partial[0], tmp_path), partial[1]
    ends = offsets(path)
    rng = random.Random(seed)
    position = rng.randrange(ends[-1])
    if seed % 2:  # in a header or a descriptor
        position = max(0, min(rng.choice(ends) + rng.randrange(-24, 30), ends[-1] - 1))
    flip(path, position, 1 << rng.randrange(8))
    assert_continues(path, content, sum(end <= position for end in ends))


@pytest.mark.parametrize("how", ["prepared", "deflated"])
def test_resume_notices_that_a_stream_has_lost_its_end(tmp_path, how):
    """The content is all there, but no other reader would take it."""
    path = tmp_path / "a.zip"
    writer = ArchiveWriter.create(path)
    add(writer, "m", TEXT, how)
    (member,) = writer.members()
    writer.release()
    start = member.offset + len(local_header(member, writer._stamp))
    with open(path, "r+b") as stream:
        stream.seek(start + member.compressed_size - 2)
        stream.write(bytes(2))
    assert_continues(path, {"m": TEXT}, 0)


def flip(path, position, bits):
    with open(path, "r+b") as stream:
        stream.seek(position)
        (byte,) = stream.read(1)
        stream.seek(position)
        stream.write(bytes([byte ^ bits]))


def test_resume_with_the_other_codec(tmp_path, codec):
    path = tmp_path / "a.zip"
    writer = ArchiveWriter.create(path, codec=codec)
    add(writer, "m", TEXT * 3, "deflated")
    writer.release()
    writer = ArchiveWriter.resume(path, codec=ZLIB)
    assert [member.name for member in writer.members()] == ["m"]
    assert check(path, finalize(writer)) == {"m": TEXT * 3}


def test_finalized_archive_can_be_finalized_again(tmp_path):
    """As after a kill between the end and its note in the database."""
    path = tmp_path / "a.zip"
    writer = ArchiveWriter.create(path)
    add(writer, "m", TEXT)
    first = finalize(writer)
    writer = ArchiveWriter.resume(path)
    assert [member.name for member in writer.members()] == ["m"]
    assert finalize(writer) == first
    assert check(path, first) == {"m": TEXT}


@pytest.mark.parametrize(
    "loss",
    ["journal gone", "journal empty", "journal zeros", "journal other", "archive gone"],
)
def test_what_cannot_be_continued_is_refused(tmp_path, loss):
    path = tmp_path / "a.zip"
    finalize(ArchiveWriter.create(path))
    what, how = loss.split()
    victim = path if what == "archive" else journal_path(path)
    if how == "gone":
        victim.unlink()
    else:
        victim.write_bytes({"empty": b"", "zeros": bytes(100), "other": b"5\n"}[how])
    with pytest.raises(ArchiveNotContinued):
        ArchiveWriter.resume(path)


def test_resume_insists_on_what_was_saved(tmp_path):
    path = tmp_path / "a.zip"
    writer = ArchiveWriter.create(path)
    add(writer, "m", NOISE)
    saved = writer.save()
    add(writer, "n", b"1")
    writer.release()
    ArchiveWriter.resume(path, at_least=saved).release()
    flip(path, saved // 2, 1)
    before = path.read_bytes(), journal_path(path).read_bytes()
    with pytest.raises(ArchiveNotContinued):
        ArchiveWriter.resume(path, at_least=saved)
    assert (path.read_bytes(), journal_path(path).read_bytes()) == before


def test_resume_can_be_cancelled(partial, tmp_path):
    path = copy(partial[0], tmp_path)

    def stop(progress):
        raise Cancelled

    progress = Progress(stop)
    progress._next_report = 0
    with pytest.raises(Cancelled):
        ArchiveWriter.resume(path, progress=progress)
    assert path.read_bytes() == partial[0].read_bytes()


# === DEATH === #

WRITE_FOR_EVER = """
import os, random, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import conftest
from dfr_backup.engine.archive.prepared import prepare
from dfr_backup.engine.archive.writer import ArchiveWriter
path, deadly, turns = Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])

def hook(event, args):
    global turns
    if event == "dfr_backup.checkpoint" and args == (deadly,):
        turns -= 1
        if not turns:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
writer, rng = ArchiveWriter.create(path), random.Random(5)
print("ready", flush=True)
number = 0
while True:
    number += 1
    data = rng.randbytes(1000) * rng.choice((0, 1, 30, 3000))
    if len(data) > 30_000 or number % 5 == 0:
        with writer.stream_member(f"m{number}", compress=number % 2 == 0) as stream:
            stream.write(data)
    else:
        writer.add_prepared(prepare(f"m{number}", data, writer.codec))
    if number % 7 == 0:
        try:
            with writer.stream_member("bad") as stream:
                stream.write(data)
                raise ValueError
        except ValueError:
            pass
    if number > 100 and deadly != "nothing":
        writer.write_checksums()
        writer.add_bytes("manifest.json", b"{}")
        writer.close()
"""


def start(path, deadly="nothing", turns=1):
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            WRITE_FOR_EVER,
            os.path.dirname(__file__),
            path,
            deadly,
            str(turns),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def members_of_the_child(count):
    rng, content = random.Random(5), {}
    for number in range(1, count + 1):
        content[f"m{number}"] = rng.randbytes(1000) * rng.choice((0, 1, 30, 3000))
    return content


def assert_child_continues(path, at_least=0):
    writer = ArchiveWriter.resume(path)
    held = len(list(writer.members()))
    assert held >= at_least
    assert check(path, finalize(writer)) == members_of_the_child(held)
    return held


@pytest.mark.parametrize(
    "deadly, turns, held",
    [
        ("archive.member.begin", 1, 1),
        ("archive.member.begin", 9, 10),
        ("archive.member.written", 4, 1),
        ("archive.journal.written", 4, 1),
        ("archive.journal.written", 20, 15),
        ("archive.rollback", 1, 7),
        ("archive.checksums.written", 1, 101),
        ("archive.directory.written", 1, 101),
        ("archive.fsync", 1, 101),
        ("archive.finalized", 1, 101),
    ],
)
def test_killed_at_a_checkpoint(tmp_path, deadly, turns, held):
    path = tmp_path / "a.zip"
    with start(path, deadly, turns) as child:
        assert child.wait(60) == -signal.SIGKILL
    assert_child_continues(path, held)


@pytest.mark.parametrize("seed", range(8))
def test_killed_at_any_instant(tmp_path, seed):
    path = tmp_path / "a.zip"
    with start(path) as child:
        child.stdout.readline()
        time.sleep(random.Random(seed).uniform(0, 0.4))
        child.kill()
    assert_child_continues(path)


# === SIZE === #


def test_more_members_than_16_bits_count(tmp_path):
    path = tmp_path / "a.zip"
    writer = ArchiveWriter.create(path)
    for number in range(70_000):
        writer.add_bytes(f"filestore/{number}", b"%d" % number)
    finalized = finalize(writer)
    assert finalized.members == 70_002
    unzip_test(path)
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 70_002
        for number in (0, 65_535, 65_536, 69_999):
            assert archive.read(f"filestore/{number}") == b"%d" % number
    assert len(list(ArchiveWriter.resume(path).members())) == 70_000


def leave_holes(monkeypatch):
    """Leave holes where zeros would be written, so that a large test needs no large
    disk."""
    really_write = append_file.write_at

    def write_at(file, view, offset):
        if view != bytes(len(view)):
            really_write(file, view, offset)

    monkeypatch.setattr(append_file, "write_at", write_at)


def test_members_and_offsets_beyond_4_gib(tmp_path, request, monkeypatch):
    leave_holes(monkeypatch)
    path = tmp_path / "a.zip"
    writer, size = ArchiveWriter.create(path), 4 * GIB + 5 * CHUNK
    for name, compress in (("deflated", True), ("stored", False)):
        with writer.stream_member(name, compress=compress) as stream:
            for _ in range(size // CHUNK):
                stream.write(ZEROS)
    add(writer, "small", b"small")
    add(writer, "stream", TEXT, "deflated")
    finalize(writer)
    assert path.stat().st_blocks * 512 < 200 << 20
    # Info-ZIP needs 20 s for each of the large ones
    unzip_test(
        path, *([] if request.config.getoption("--slow") else ["small", "stream"])
    )
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("deflated").file_size == size
        assert archive.getinfo("stored").compress_size == size
        assert archive.getinfo("small").header_offset > 4 * GIB
        assert archive.read("small") == b"small"
        assert archive.read("stream") == TEXT
        with archive.open(
            "deflated"
        ) as stream:  # its end is where the CRC-32 is checked
            assert (
                sum(len(data) for data in iter(lambda: stream.read(CHUNK), b"")) == size
            )


MEMORY = """
import os, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import conftest
from dfr_backup.engine.archive.writer import ArchiveWriter
path, chunk = Path(sys.argv[2]), os.urandom(1 << 20)
writer = ArchiveWriter.create(path)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with writer.stream_member("large") as stream:
    for _ in range(200):
        stream.write(chunk)
for number in range(30_000):
    writer.add_bytes(f"filestore/{number:0100}", b"1")
writer.write_checksums()
writer.close()
writer = ArchiveWriter.resume(path)
assert sum(1 for _ in writer.members()) == 30_001
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_the_archive(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", MEMORY, os.path.dirname(__file__), tmp_path / "a.zip"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 30 << 10  # KiB


def test_a_cancel_while_it_reaches_the_disk_leaves_what_can_be_ended(tmp_path):
    def cancel():
        raise Cancelled

    path = tmp_path / "archive.zip"
    writer = ArchiveWriter.create(path)
    add(writer, "a", b"content")
    with pytest.raises(Cancelled):
        writer.close(cancel)
    writer.close()
    with zipfile.ZipFile(path) as archive:
        assert archive.read("a") == b"content"
