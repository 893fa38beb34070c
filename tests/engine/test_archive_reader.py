"""What an archive holds, what is refused, and what damage is found."""

import ctypes
import errno
import gzip
import hashlib
import json
import os
import stat
import struct
import threading
import time
import tracemalloc
import zipfile

import pytest
from extracting import extract_filestore
from open_files import open_below

from dfr_backup.engine.archive.reader import open_archive
from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.archive.zip_format import (
    LOCAL_HEADER,
    Member,
    central_entry,
    end_records,
)
from dfr_backup.engine.archive.zip_reader import ZipReader
from dfr_backup.engine.errors import Cancelled
from dfr_backup.engine.errors.archive import (
    CompressedFile,
    InsideFolder,
    ManifestMalformed,
    PlainDump,
)
from dfr_backup.engine.errors.fetch import (
    ArchiveUnreadable,
    DamagedArchive,
    KeyNeeded,
    ListDiffers,
    ListMissing,
    MemberDiffers,
    NoDatabase,
    PgDumpFormat,
    RefusedArchive,
)
from dfr_backup.engine.errors.restore import FileExists, FilesNotWritten
from dfr_backup.engine.manifest import write as manifest
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.restore.files import (
    FilestoreExtraction,
    unpack_addons,
)
from dfr_backup.engine.restore.write_behind import WriteBehind

SQL = b"-- Dumped from database version 15.18 (Debian 15.18-1)\n"
SQL += b"-- Dumped by pg_dump version 17.2\n"
FILES = [bytes([n]) * (100 + 3000 * n) + os.urandom(50 * n) for n in range(20)]
HEAD = {
    "db_name": "prod",
    "version": "19.0",
    "major_version": "19.0",
    "pg_version": "15.18",
}


def stored_name(content):
    digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return f"filestore/{digest[:2]}/{digest}"


def finalize(path, files=FILES, rows=None, sums=None):
    """Write an archive as a run does; return its path."""
    writer = ArchiveWriter.create(path)
    with writer.stream_member("dump.sql") as member:
        member.write(SQL + b"SELECT 1;\n" * 100_000)
    writer.add_bytes("addons/my_addon/__manifest__.py", b"{}")
    writer.add_bytes("addons/my_addon/models/a.py", b"x = 1")
    for content in files:
        writer.add_bytes(stored_name(content), content)
    count, digest = writer.write_checksums()
    ours = {
        "database_uuid": "u",
        "snapshot_at": "2026-01-02T03:04:05+00:00",
        "rows": rows,
    }
    ours["members"] = sums or {"count": count, "sha256sums": digest}
    content = manifest.build(
        {**HEAD, "modules": {"base": "19.0.1.3", "my_addon": "1"}}, ours
    )
    writer.add_bytes("manifest.json", manifest.encode(content))
    return writer.close()


@pytest.fixture
def ours(tmp_path):
    path = tmp_path / "ours.zip"
    finalize(path, rows={'"public"."t"': 5})
    return path


@pytest.fixture
def make_zip(tmp_path):
    def make(members, name="theirs.zip", method=zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / name, "w", method) as archive:
            for member, content in members:
                archive.writestr(member, content)
        return tmp_path / name

    return make


def test_description_of_ours(ours):
    with open_archive(ours) as archive:
        found = archive.describe()
    assert (found.origin, found.database, found.odoo_series) == (
        "dfr_backup",
        "prod",
        "19.0",
    )
    assert (found.files, found.file_bytes) == (20, sum(map(len, FILES)))
    assert (found.addons, found.pg_version) == (("my_addon",), (15, 18))
    assert found.contents == ("database", "filestore", "addons")
    assert (found.rows, found.missing) == ({'"public"."t"': 5}, ())
    assert (found.size, found.members) == (ours.stat().st_size, 25)
    assert found.sql_bytes == len(SQL) + 1_000_000


def test_description_of_odoos(make_zip):
    members = [
        ("dump.sql", SQL),
        (stored_name(b"a"), b"a"),
        ("filestore/checklist/aa/b", b""),
    ]
    with open_archive(
        make_zip([*members, ("manifest.json", json.dumps(HEAD))])
    ) as archive:
        found = archive.describe()
        assert archive.check(Progress()) == 4
    assert (found.origin, found.database, found.files) == ("odoo", "prod", 1)
    assert (found.rows, found.has_checksums, found.taken_at) == (None, False, None)
    with open_archive(make_zip([("dump.sql", b"SELECT 1;")])) as archive:
        found = archive.describe()
    assert (found.odoo_series, found.pg_version, found.modules) == ("", (), {})


def test_missing_parts_are_told(make_zip):
    ours = {
        "missing": [{"part": "dump_database", "reason": "no"}],
        "filestore": {"missing": 3},
    }
    path = make_zip([("manifest.json", json.dumps({"dfr_backup": ours}))])
    with open_archive(path) as archive:
        found = archive.describe()
        with pytest.raises(NoDatabase):
            archive.dump  # noqa: B018
    assert found.contents == ()
    missing = [dict(message.values) for message in found.missing]
    assert missing == [{"part": "dump_database", "reason": "no"}, {"count": 3}]


def test_check_reads_everything(ours):
    progress = Progress()
    with open_archive(ours) as archive:
        assert archive.check(progress) == 23
    assert progress.done >= 1_000_000 + sum(map(len, FILES))


@pytest.mark.parametrize(
    "name",
    ["dump.sql", stored_name(FILES[0]), stored_name(FILES[-1]), "SHA256SUMS"],
    ids=["dump", "small", "large", "checksums"],
)
@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_one_changed_bit_is_found(ours, name, share):
    with zipfile.ZipFile(ours) as archive:
        member = archive.getinfo(name)
    content = bytearray(ours.read_bytes())
    start = content.index(name.encode(), member.header_offset) + len(name)
    start += struct.unpack_from("<H", content, member.header_offset + 28)[0]
    content[start + int((member.compress_size - 1) * share)] ^= 1
    ours.write_bytes(content)
    with pytest.raises(DamagedArchive), open_archive(ours) as archive:
        archive.check(Progress())


@pytest.mark.parametrize("length", [0, 1, 100, 0.5, 0.99])
def test_a_cut_file_is_no_archive(ours, length):
    content = ours.read_bytes()
    ours.write_bytes(
        content[: length if isinstance(length, int) else int(length * len(content))]
    )
    with pytest.raises(DamagedArchive):
        open_archive(ours)


def test_a_swapped_member_is_found_by_its_sha256(tmp_path, ours):
    """CRC-32 and the directory are right: only the checksums know."""
    with (
        zipfile.ZipFile(ours) as source,
        zipfile.ZipFile(tmp_path / "x.zip", "w") as target,
    ):
        for member in source.infolist():
            content = source.read(member)
            changed = member.filename == stored_name(FILES[3])
            target.writestr(member.filename, content[::-1] if changed else content)
    with (
        open_archive(tmp_path / "x.zip") as archive,
        pytest.raises(MemberDiffers) as caught,
    ):
        archive.check(Progress())
    assert stored_name(FILES[3]) in caught.value.log


def test_a_swapped_dump_is_found_while_it_is_read(tmp_path, ours):
    with open_archive(ours) as archive:
        assert len(b"".join(archive.sql())) == len(SQL) + 1_000_000
    with (
        zipfile.ZipFile(ours) as source,
        zipfile.ZipFile(tmp_path / "x.zip", "w") as target,
    ):
        for member in source.infolist():
            content = source.read(member)
            target.writestr(member, content.replace(b"SELECT 1", b"SELECT 2"))
    with (
        open_archive(tmp_path / "x.zip") as archive,
        pytest.raises(MemberDiffers) as caught,
    ):
        list(archive.sql())
    assert "dump.sql" in caught.value.log


def test_a_compared_dump_is_not_hashed_again_but_still_checked(ours):
    with open_archive(ours, compared=True) as archive:
        assert {listed.sha256 for listed in archive.attachments()} == {None}
        assert len(b"".join(archive.sql())) == len(SQL) + 1_000_000
    content = bytearray(ours.read_bytes())
    content[len("dump.sql") + 200] ^= 1
    ours.write_bytes(content)
    with open_archive(ours, compared=True) as archive, pytest.raises(DamagedArchive):
        list(archive.sql())


def test_checksums_that_the_manifest_does_not_know_are_found(tmp_path):
    finalize(tmp_path / "x.zip", sums={"count": 22, "sha256sums": "0" * 64})
    with open_archive(tmp_path / "x.zip") as archive, pytest.raises(ListDiffers):
        archive.check(Progress())


def test_a_list_that_was_taken_out_is_missed(tmp_path, ours):
    with (
        zipfile.ZipFile(ours) as source,
        zipfile.ZipFile(tmp_path / "x.zip", "w") as target,
    ):
        for member in source.infolist():
            if member.filename != "SHA256SUMS":
                target.writestr(member.filename, source.read(member))
    with open_archive(tmp_path / "x.zip") as archive:
        with pytest.raises(ListMissing):
            archive.check(Progress())
        with pytest.raises(DamagedArchive):
            extract_filestore(archive, tmp_path / "fs", Progress())


@pytest.mark.parametrize("part", ["filestore", "addons"])
def test_an_exchanged_file_is_not_unpacked(tmp_path, ours, part):
    name = (
        stored_name(FILES[3]) if part == "filestore" else "addons/my_addon/models/a.py"
    )
    with (
        zipfile.ZipFile(ours) as source,
        zipfile.ZipFile(tmp_path / "x.zip", "w") as target,
    ):
        for member in source.infolist():
            content = source.read(member)
            changed = member.filename == name
            target.writestr(member.filename, content[::-1] if changed else content)
    unpack = {"filestore": extract_filestore, "addons": unpack_addons}[part]
    with (
        open_archive(tmp_path / "x.zip") as archive,
        pytest.raises(MemberDiffers) as caught,
    ):
        unpack(archive, tmp_path / "fs", Progress())
    assert name in caught.value.log


def test_members_added_or_removed_later_are_found(tmp_path, ours):
    for name, keep, more in (("a.zip", True, ["x"]), ("b.zip", False, [])):
        with (
            zipfile.ZipFile(ours) as source,
            zipfile.ZipFile(tmp_path / name, "w") as target,
        ):
            for member in source.infolist():
                if keep or member.filename != stored_name(FILES[5]):
                    target.writestr(member.filename, source.read(member))
            for extra in more:
                target.writestr(extra, b"")
        with open_archive(tmp_path / name) as archive, pytest.raises(DamagedArchive):
            archive.check(Progress())


class FailingDisk:
    """The bytes of a file, until the disk fails."""

    def __init__(self, path):
        self._data = path.read_bytes()
        self.size = len(self._data)
        self.works = True

    def read_at(self, size, offset):
        if not self.works:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._data[offset : offset + size]


@pytest.mark.parametrize("together", [False, True])
def test_a_disk_that_fails_is_named(ours, together):
    disk = FailingDisk(ours)
    with ZipReader(disk) as reader:
        neighbours = list(reader.entries())[:2]
        disk.works = False
        members = reader.members(neighbours if together else neighbours[:1])
        with pytest.raises(ArchiveUnreadable) as caught:
            b"".join(b"".join(pieces) for _entry, pieces in members)
    assert caught.value.message.values["reason"] == os.strerror(errno.EIO)


def test_cancel_ends_a_check(ours, monkeypatch):
    monkeypatch.setattr("dfr_backup.engine.progress.REPORT_INTERVAL", 0)

    def stop(progress):
        if progress.done:
            raise Cancelled()

    with open_archive(ours) as archive, pytest.raises(Cancelled):
        archive.check(Progress(stop))


# === WHAT IS REFUSED === #


def refused_name(caught):
    """Return the name of the member for which an archive was refused."""
    return caught.value.message.values["reason"].values["name"]


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "filestore/../../evil",
        "/etc/passwd",
        "filestore//x",
        "filestore/./x",
        "filestore\\..\\x",
        "C:/x",
        "filestore/a\nb",
        "filestore/ab/..",
    ],
)
def test_names_that_lead_out_are_refused(make_zip, name):
    with pytest.raises(RefusedArchive) as caught:
        open_archive(make_zip([("dump.sql", b"x"), (name, b"x")]))
    assert refused_name(caught) == name


def test_backslash_in_the_name_of_an_addon_s_file(make_zip, tmp_path):
    """Releases before 19.0.1.1.0 have written such names for those that are not
    UTF-8."""
    name = "addons/shop/caf\\xe9.txt"
    archive = make_zip([("dump.sql", b"x"), (name, b"y")])
    with open_archive(archive) as opened:
        unpack_addons(opened, tmp_path / "addons", Progress())
    assert (tmp_path / name).read_bytes() == b"y"


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(make_zip, kind):
    link = zipfile.ZipInfo("filestore/aa/link")
    link.create_system = 3
    link.external_attr = (kind | 0o777) << 16
    with pytest.raises(RefusedArchive) as caught:
        open_archive(make_zip([(link, b"/etc/passwd")]))
    assert refused_name(caught) == link.filename


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(make_zip, tmp_path):
    with pytest.raises(RefusedArchive) as caught:
        open_archive(make_zip([("dump.sql", b"a"), ("dump.sql", b"b")]))
    assert refused_name(caught) == "dump.sql"
    path = make_zip([(stored_name(b"a"), b"a"), (stored_name(b"a"), b"a")])
    with open_archive(path) as archive, pytest.raises(RefusedArchive):
        extract_filestore(archive, tmp_path / "fs", Progress())


def edited(path, name, **changes):
    """Change what the central directory says about one member."""
    content = bytearray(path.read_bytes())
    at = content.rfind(b"PK\1\2", 0, content.rfind(name.encode()))
    places = {
        "crc": 16,
        "packed": 20,
        "size": 24,
        "offset": 42,
        "method": 10,
        "flags": 8,
    }
    for field, value in changes.items():
        form = "<H" if field in ("method", "flags") else "<L"
        struct.pack_into(form, content, at + places[field], value)
    path.write_bytes(content)
    return path


def test_a_member_that_claims_too_much_is_refused(make_zip):
    path = edited(make_zip([("dump.sql", bytes(1000))]), "dump.sql", size=1 << 31)
    with pytest.raises(RefusedArchive):
        open_archive(path)


def test_a_member_that_is_larger_than_it_says_ends_there(make_zip):
    path = edited(make_zip([("dump.sql", bytes(50 << 20))]), "dump.sql", size=3 << 20)
    read = []
    with open_archive(path) as archive, pytest.raises(DamagedArchive):
        read.extend(map(len, archive.reader.pieces(archive.dump)))
    assert sum(read) <= 3 << 20


def test_overlapping_members_are_refused(make_zip):
    path = make_zip(
        [("dump.sql", bytes(99)), (stored_name(b"a"), b"a"), (stored_name(b"b"), b"b")]
    )
    with pytest.raises(RefusedArchive):
        open_archive(edited(path, stored_name(b"b"), offset=0))


def test_a_member_whose_header_is_another_ones_is_damaged(make_zip):
    path = make_zip(
        [(stored_name(b"a"), b"a"), ("dump.sql", b"b")], method=zipfile.ZIP_STORED
    )
    content = path.read_bytes()
    path.write_bytes(content.replace(b"dump.sql", b"dumb.sql", 1))
    with open_archive(path) as archive, pytest.raises(DamagedArchive):
        list(archive.reader.pieces(archive.dump))


@pytest.mark.parametrize(
    "changes", [{"flags": 1}, {"method": 12}], ids=["encrypted", "bzip2"]
)
def test_other_kinds_of_members_are_refused(make_zip, changes):
    with pytest.raises(RefusedArchive):
        open_archive(edited(make_zip([("dump.sql", b"abc")]), "dump.sql", **changes))


@pytest.mark.parametrize(
    "content, error",
    [
        (b"age-encryption.org/v1\n", KeyNeeded),
        (b"\n-----BEGIN AGE ENCRYPTED FILE-----\n", KeyNeeded),
        (b"PGDMP\1", PgDumpFormat),
        (gzip.compress(b"--\n-- PostgreSQL database dump\n", mtime=0), CompressedFile),
        (b"--\n-- PostgreSQL database dump\n--\n\nSET x = 0;\n", PlainDump),
    ],
)
def test_other_files_are_named(tmp_path, content, error):
    """So that the command line says what it was given."""
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(error):
        open_archive(tmp_path / "x")


def test_a_folder_around_everything_is_named(make_zip):
    path = make_zip([("shop/dump.sql", b"x"), ("shop/manifest.json", b"{}")])
    with open_archive(path) as archive:
        assert archive.describe().folder == "shop"
        with pytest.raises(InsideFolder):
            list(archive.sql())
    with open_archive(make_zip([("addons/a/dump.sql", b"x")])) as archive:
        assert archive.describe().folder == ""
        with pytest.raises(NoDatabase):
            list(archive.sql())


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b'"x"'])
def test_a_broken_manifest_is_named(make_zip, content):
    with pytest.raises(ManifestMalformed):
        open_archive(make_zip([("dump.sql", b"x"), ("manifest.json", content)]))


def test_memory_does_not_grow_with_the_members(tmp_path):
    count, path = 66_000, tmp_path / "x.zip"  # more than a zip without zip64 may have
    start = count * LOCAL_HEADER.size
    with open(path, "wb") as stream:
        stream.seek(start)
        for number in range(count):
            name, offset = f"filestore/{number:040x}", number * LOCAL_HEADER.size
            stream.write(central_entry(Member(name, 0, 0, 0, 0, "", offset, 0), (0, 0)))
        stream.write(end_records(count, start, stream.tell() - start))
    tracemalloc.start()
    try:
        with open_archive(path) as archive:
            assert archive.describe().files == count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


# === FILES === #


def test_filestore_is_unpacked(ours, tmp_path):
    progress = Progress()
    with open_archive(ours) as archive:
        done = extract_filestore(archive, tmp_path / "fs/new", progress)
    assert (done.files, done.bytes, done.damaged) == (20, sum(map(len, FILES)), ())
    found = {p.relative_to(tmp_path / "fs/new").as_posix(): p.read_bytes()
             for p in (tmp_path / "fs/new").rglob("*") if p.is_file()}  # fmt: skip
    assert found == {stored_name(c).removeprefix("filestore/"): c for c in FILES}
    assert progress.done == sum(map(len, FILES))


def test_filestore_never_goes_where_something_is(ours, tmp_path):
    (tmp_path / "fs").mkdir()
    with (
        open_archive(ours) as archive,
        pytest.raises(FileExists),
    ):
        extract_filestore(archive, tmp_path / "fs", Progress())
    assert list((tmp_path / "fs").iterdir()) == []


def test_a_file_that_was_damaged_before_is_a_warning(tmp_path):
    writer = ArchiveWriter.create(tmp_path / "x.zip")
    writer.add_bytes(stored_name(b"good"), b"good")
    writer.add_bytes(stored_name(b"what it was"), b"what became of it")
    writer.close()
    progress = Progress()
    with open_archive(tmp_path / "x.zip") as archive:
        done = extract_filestore(archive, tmp_path / "fs", progress)
    assert done.files == 2
    assert done.damaged == (stored_name(b"what it was").removeprefix("filestore/"),)
    warned = progress.warnings[0].values
    assert warned == {"count": 1, "names": "\n".join(done.damaged)}


@pytest.mark.parametrize(
    "known, noted, found",
    [
        ("compared", 0, 0),
        ("compared", 1, 1),
        ("compared", None, 1),
        ("listed", 0, 0),
        ("listed", 1, 1),
        ("neither", 0, 1),
    ],
)
def test_names_are_compared_unless_that_is_known(tmp_path, known, noted, found):
    """An archive that is what was finalized has the files that were compared when it
    was made."""
    writer = ArchiveWriter.create(tmp_path / "x.zip")
    writer.add_bytes(stored_name(b"a name"), b"another content")
    facts = {} if noted is None else {"filestore": {"damaged": noted}}
    if known == "listed":
        count, digest = writer.write_checksums()
        facts["members"] = {"count": count, "sha256sums": digest}
    writer.add_bytes("manifest.json", manifest.encode(manifest.build(HEAD, facts)))
    writer.close()
    with (
        open_archive(tmp_path / "x.zip", compared=known == "compared") as archive,
        FilestoreExtraction(archive, tmp_path / "fs") as running,
    ):
        assert len(running.finish(Progress()).damaged) == found


@pytest.mark.parametrize("most", [0, 3])
def test_few_files_are_open_while_the_disk_takes_them(tmp_path, most):
    seen = []
    with WriteBehind(most) as behind:
        for number in range(10):
            file = os.open(tmp_path / str(number), os.O_WRONLY | os.O_CREAT)
            os.write(file, b"x")
            behind.close(file)
            seen.append(open_below(tmp_path))
    assert max(seen) == most
    assert open_below(tmp_path) == 0


class LostDisk:
    """A C library that reports what a disk says that has lost what was written to
    it."""

    def syncfs(self, _folder):
        ctypes.set_errno(errno.EIO)
        return -1


def test_what_did_not_reach_the_disk_is_an_error(ours, tmp_path, monkeypatch):
    monkeypatch.setattr("dfr_backup.engine.fileio.durable.libc", LostDisk())
    with open_archive(ours) as archive:
        with pytest.raises(FilesNotWritten) as caught:
            extract_filestore(archive, tmp_path / "fs", Progress())
        assert caught.value.message.values["reason"] == os.strerror(errno.EIO)
        extract_filestore(archive, tmp_path / "other", Progress(), durable=False)
        with pytest.raises(FilesNotWritten):
            unpack_addons(archive, tmp_path / "addons", Progress())
    assert list((tmp_path / "addons").iterdir()) == []


class SlowDisk:
    """A C library whose disk takes what was written when somebody lets it."""

    def __init__(self):
        self.asked, self.go_on = threading.Event(), threading.Event()

    def syncfs(self, _folder):
        self.asked.set()
        self.go_on.wait(120)
        return 0


@pytest.mark.parametrize("unpack", [extract_filestore, unpack_addons])
def test_cancel_is_heard_while_files_reach_the_disk(
    ours, tmp_path, monkeypatch, unpack
):
    monkeypatch.setattr("dfr_backup.engine.progress.REPORT_INTERVAL", 0)
    disk = SlowDisk()
    monkeypatch.setattr("dfr_backup.engine.fileio.durable.libc", disk)

    def stop(_progress):
        if disk.asked.is_set():
            raise Cancelled()

    begun = time.monotonic()
    try:
        with open_archive(ours) as archive, pytest.raises(Cancelled):
            unpack(archive, tmp_path / "there", Progress(stop))
        assert time.monotonic() < begun + 60
    finally:
        disk.go_on.set()


def with_error(behind, error):
    with behind:
        if error:
            raise error


@pytest.mark.parametrize("error", [None, Cancelled])
def test_a_disk_that_refuses_a_file_when_it_is_closed(tmp_path, monkeypatch, error):
    """Network file systems do: every file is closed, and the first error is the one."""
    close = os.close
    files = [
        os.open(tmp_path / str(number), os.O_WRONLY | os.O_CREAT) for number in range(5)
    ]

    def refuse(file):
        close(file)
        if file in files:
            raise OSError(errno.EDQUOT, "refused", files.index(file))

    behind = WriteBehind(10)
    for file in files:
        behind.close(file)
    monkeypatch.setattr("os.close", refuse)
    with pytest.raises(error or OSError) as caught:
        with_error(behind, error)
    assert error or caught.value.filename == 0
    monkeypatch.undo()
    assert open_below(tmp_path) == 0


def test_no_file_stays_open_after_an_error(ours, tmp_path, monkeypatch):
    content = bytearray(ours.read_bytes())
    with zipfile.ZipFile(ours) as archive:
        offset = archive.getinfo(stored_name(FILES[-1])).header_offset
    content[offset + 200] ^= 255
    ours.write_bytes(content)
    with open_archive(ours) as archive:
        before = open_below(tmp_path)
        with pytest.raises(DamagedArchive):
            extract_filestore(archive, tmp_path / "fs", Progress())
        assert open_below(tmp_path) == before


def test_a_damaged_member_ends_the_unpacking(ours, tmp_path):
    content = bytearray(ours.read_bytes())
    with zipfile.ZipFile(ours) as archive:
        offset = archive.getinfo(stored_name(FILES[-1])).header_offset
    content[offset + 200] ^= 255
    ours.write_bytes(content)
    with open_archive(ours) as archive, pytest.raises(DamagedArchive):
        extract_filestore(archive, tmp_path / "fs", Progress())


def test_cancel_ends_the_unpacking(ours, tmp_path, monkeypatch):
    monkeypatch.setattr("dfr_backup.engine.progress.REPORT_INTERVAL", 0)

    def stop(_progress):
        raise Cancelled()

    with open_archive(ours) as archive, pytest.raises(Cancelled):
        extract_filestore(archive, tmp_path / "fs", Progress(stop))


def test_large_and_small_files_are_neighbours(tmp_path):
    files = [b"a", os.urandom(9 << 20), b"", os.urandom(3 << 20), b"b" * 100_000, b"c"]
    finalize(tmp_path / "x.zip", files)
    with open_archive(tmp_path / "x.zip") as archive:
        assert archive.check(Progress()) == 9
        done = extract_filestore(archive, tmp_path / "fs", Progress())
    assert (done.files, done.damaged) == (len(files), ())


def test_files_are_unpacked_while_something_else_is_done(ours, tmp_path):
    progress = Progress()
    with (
        open_archive(ours) as archive,
        FilestoreExtraction(archive, tmp_path / "fs") as running,
    ):
        wait_until(lambda: len(list((tmp_path / "fs").glob("*/*"))) == len(FILES))
        assert progress.done == 0
        assert running.finish(progress).files == len(FILES)
    assert progress.done == progress.total == sum(map(len, FILES))


def test_what_ends_the_unpacking_is_known_at_once(ours, tmp_path):
    (tmp_path / "file").write_text("")
    with (
        open_archive(ours) as archive,
        FilestoreExtraction(archive, tmp_path / "file/fs") as running,
    ):
        with pytest.raises(FilesNotWritten):
            wait_until(running.raise_error)
        with pytest.raises(FilesNotWritten):
            running.finish(Progress())


def test_who_leaves_early_ends_the_unpacking(tmp_path, monkeypatch):
    monkeypatch.setattr("dfr_backup.engine.progress.REPORT_INTERVAL", 0)
    finalize(tmp_path / "x.zip", [os.urandom(4 << 20) for _ in range(40)])
    threads = threading.active_count()
    with (
        open_archive(tmp_path / "x.zip") as archive,
        FilestoreExtraction(archive, tmp_path / "fs", workers=1),
    ):
        pass
    assert threading.active_count() == threads
    assert len(list((tmp_path / "fs").glob("*/*"))) < 40


def wait_until(happens):
    end = time.monotonic() + 60
    while not happens() and time.monotonic() < end:
        time.sleep(0.01)


def test_a_place_that_cannot_be_written_is_told(ours, tmp_path):
    (tmp_path / "file").write_text("")
    with (
        open_archive(ours) as archive,
        pytest.raises(FilesNotWritten),
    ):
        extract_filestore(archive, tmp_path / "file/fs", Progress())


def test_addons_go_beside_never_over(ours, tmp_path):
    target = tmp_path / "addons"
    with open_archive(ours) as archive:
        done = unpack_addons(archive, target, Progress())
        assert (done.unpacked, done.skipped) == (("my_addon",), ())
        (target / "my_addon/__manifest__.py").write_text("mine")
        again = unpack_addons(archive, target, Progress())
    assert (again.unpacked, again.skipped) == ((), ("my_addon",))
    assert (target / "my_addon/__manifest__.py").read_text() == "mine"
    assert (target / "my_addon/models/a.py").read_bytes() == b"x = 1"
    assert [path.name for path in target.iterdir()] == ["my_addon"]
