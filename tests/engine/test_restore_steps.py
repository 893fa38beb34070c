"""A restore from its first step on: what it leaves behind."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dfr_backup.engine.archive.reader import Archive
from dfr_backup.engine.encryption.files import (
    encrypt_file,
    generate_key,
    parse_identities,
    parse_recipients,
)
from dfr_backup.engine.errors import Mismatch
from dfr_backup.engine.errors.fetch import DamagedArchive, ListDiffers, MemberDiffers
from dfr_backup.engine.errors.restore import (
    FilesNotWritten,
    ForeignStatement,
    LoadFailed,
)
from dfr_backup.engine.fileio.direct_read import DirectFile
from dfr_backup.engine.manifest import write as manifest
from dfr_backup.engine.postgres.connection import Connection
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.restore.options import RestoreOptions
from dfr_backup.engine.restore.steps import Restore
from dfr_backup.engine.restore.target import DatabaseLocation
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage

FETCH_ENCRYPTED = """
import os, signal, sys, types
from pathlib import Path
package = types.ModuleType("dfr_backup")
package.__path__ = ["dfr_backup"]
sys.modules["dfr_backup"] = package
from dfr_backup.engine.checkpoints import EVENT
from dfr_backup.engine.encryption.files import parse_identities
from dfr_backup.engine.postgres.connection import Connection
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.restore.options import RestoreOptions
from dfr_backup.engine.restore.steps import Restore
from dfr_backup.engine.restore.database_location import DatabaseLocation
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage

def kill(event, arguments):
    if event == EVENT and arguments[0] == moment:
        os.kill(os.getpid(), signal.SIGKILL)

folder, moment = Path(sys.argv[1]), sys.argv[2]
sys.addaudithook(kill)
key = parse_identities((folder / "key").read_text())
location = DatabaseLocation("new", folder / "new")
options = RestoreOptions(location, "19.0", identities=key)
storage = LocalStorage(folder, LocalRules([folder]))
with Restore(Connection("x"), options, folder / "work", folder / "markers") as restore:
    restore.fetch(storage, "db.zip.age", Progress())
    kill(EVENT, [moment])
"""


@pytest.fixture
def encrypted(tmp_path):
    """A directory with an encrypted archive and its key."""
    pair = generate_key()
    (tmp_path / "key").write_text(pair.private)
    plain = tmp_path / "plain.zip"
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr("dump.sql", b"SELECT 1;\n" * 100_000)
    recipients = parse_recipients(pair.public)
    encrypt_file(plain, tmp_path / "db.zip.age", recipients, Progress())
    return tmp_path


@pytest.mark.parametrize("moment", ["encryption.written", "fetched"])
def test_a_kill_leaves_nothing_in_plain(encrypted, moment):
    command = [sys.executable, "-c", FETCH_ENCRYPTED, encrypted, moment]
    assert subprocess.run(command, cwd=Path(__file__).parents[2]).returncode == -9
    assert (encrypted / "work").is_dir()
    assert not list((encrypted / "work").iterdir())


def test_what_is_decrypted_has_no_name(encrypted):
    key = parse_identities((encrypted / "key").read_text())
    options = RestoreOptions(
        DatabaseLocation("new", encrypted / "new"), "19.0", identities=key
    )
    storage, work = LocalStorage(encrypted, LocalRules([encrypted])), encrypted / "work"
    seen = []
    progress = Progress(lambda _progress: seen.extend(work.glob("*")))
    with Restore(Connection("x"), options, work, encrypted / "markers") as restore:
        restore.fetch(storage, "db.zip.age", progress)
        assert progress.done
        assert b"".join(restore.archive.sql()) == b"SELECT 1;\n" * 100_000
    assert not seen
    assert not list(work.iterdir())


def test_what_check_finds_without_stopping_is_a_warning(tmp_path):
    """A terminal shows warnings, and no lines of a log."""
    with zipfile.ZipFile(tmp_path / "db.zip", "w") as archive:
        archive.writestr("dump.sql", GOOD)
    name = f"dfr_test_steps_{os.getpid()}"
    options = RestoreOptions(DatabaseLocation(name, tmp_path / "filestore"), "19.0")
    storage = LocalStorage(tmp_path, LocalRules([tmp_path]))
    server, progress = Connection("postgres"), Progress()
    with Restore(server, options, tmp_path / "work", tmp_path / "markers") as restore:
        restore.fetch(storage, "db.zip", Progress())
        found = restore.check(progress)
    assert found
    assert progress.warnings == [finding.error.in_full for finding in found]


def test_files_that_find_no_place_end_the_load(tmp_path):
    """A load may take hours, and nobody wants to hear at its end that the disk was
    full."""
    (tmp_path / "file").write_text("")
    comments = b"-- a long comment\n" * (20 << 16) + COMPLETE
    with zipfile.ZipFile(tmp_path / "db.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "dump.sql", b"CREATE TABLE t AS SELECT pg_sleep(1) IS NULL;\n" + comments
        )
        archive.writestr("filestore/aa/b", b"content")
    name = f"dfr_test_steps_{os.getpid()}"
    options = RestoreOptions(
        DatabaseLocation(name, tmp_path / "file/filestore"), "19.0"
    )
    storage = LocalStorage(tmp_path, LocalRules([tmp_path]))
    server = Connection("postgres")
    with Restore(server, options, tmp_path / "work", tmp_path / "markers") as restore:
        restore.fetch(storage, "db.zip", Progress())
        restore.create_database(Progress())
        scratch = restore.target.scratch.database
        with pytest.raises(FilesNotWritten):
            restore.load(Progress())
    assert scratch not in databases()


def databases():
    return subprocess.run(
        ["psql", "-Atl"], capture_output=True, check=True, text=True
    ).stdout


FACTS = {
    "job": "5424c813-0000-0000-0000-000000000000",
    "run": "B1",
    "plan": "Nightly",
    "database_uuid": "1",
    "snapshot_at": "2026-11-24T02:00:00+00:00",
    "contents": ["database", "filestore"],
    "rows": {},
    "missing": [],
}


def zipped(dump, path, listed=True):
    """Write an archive, with its list of checksums when it is ``listed``; return its
    manifest."""
    facts, members = dict(FACTS), {"dump.sql": dump, "filestore/aa/0": b"content"}
    members["addons/a/b.py"] = b"x = 1"
    if listed:
        sums = [
            f"{hashlib.sha256(data).hexdigest()}  {name}\n"
            for name, data in members.items()
        ]
        members["SHA256SUMS"] = content = "".join(sums).encode()
        digest = hashlib.sha256(content).hexdigest()
        facts["members"] = {"count": len(sums), "sha256sums": digest}
    about = manifest.build(
        {"db_name": "db", "version": "19.0", "modules": {"base": "1"}}, facts
    )
    members["manifest.json"] = manifest.encode(about)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return about


def exchanged(path, name, content):
    """Exchange a member as if nothing was, its CRC-32 included: only a checksum can
    tell."""
    with zipfile.ZipFile(path) as source:
        members = [(member, source.read(member)) for member in source.infolist()]
    with zipfile.ZipFile(path, "w") as target:
        for member, known in members:
            assert member.filename != name or len(content) == len(known)
            target.writestr(member, content if member.filename == name else known)


class Stored:
    """An archive in a storage, with its manifest."""

    def __init__(self, folder):
        self.archive = folder / "db.zip"
        self.options = {}
        self.scratch = ""
        self.comparisons = 0
        self.compared = lambda: None  # called after each comparison
        self._folder = folder

    def store(self, dump, **options):
        about = zipped(dump, self.archive, **options)
        content = self.archive.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        sidecar = manifest.sidecar(about, self.archive.name, len(content), sha256)
        self.archive.with_suffix(".json").write_bytes(sidecar)

    def restore(self):
        """Do the steps of a restore until its files are there; return what it logs."""
        storage = LocalStorage(self._folder, LocalRules([self._folder]))
        storage.verify = self._counted(storage.verify)
        name, progress = f"dfr_test_steps_{os.getpid()}", Progress()
        options = RestoreOptions(
            DatabaseLocation(name, self._folder / "files"), "19.0", **self.options
        )
        places = self._folder / "work", self._folder / "markers"
        with Restore(Connection("postgres"), options, *places) as restore:
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(DirectFile, "sha256", self._counted(DirectFile.sha256))
                restore.fetch(storage, self.archive.name, progress)
            restore.create_database(progress)
            self.scratch = restore.target.scratch.database
            assert self.scratch in databases()
            restore.load(progress)
            restore.filestore(progress)
        return progress.lines

    def _counted(self, verify):
        def counted(*args):
            self.comparisons += 1
            found = verify(*args)
            self.compared()
            return found

        return counted


@pytest.fixture
def stored(tmp_path):
    return Stored(tmp_path)


COMPLETE = b"\n-- PostgreSQL database dump complete\n"
GOOD = b"BEGIN;COMMIT;" + COMPLETE


def test_what_has_checksums_in_it_is_not_read_twice(stored):
    stored.store(GOOD)
    unpacked = stored.restore()[-1]
    assert unpacked.values["count"] == 1
    assert stored.comparisons == 0


@pytest.mark.parametrize("name", ["dump.sql", "filestore/aa/0"])
def test_what_was_exchanged_in_an_archive_is_found(stored, name):
    """It can be read from its beginning to its end, and yet is not what was stored."""
    stored.store(GOOD)
    exchanged(
        stored.archive,
        name,
        b"COMMIT;BEGIN;" + COMPLETE if name == "dump.sql" else b"CONTENT",
    )
    with pytest.raises(MemberDiffers) as caught:
        stored.restore()
    assert name in caught.value.log
    assert stored.scratch not in databases()


def test_a_list_that_was_exchanged_with_its_member_is_found(stored):
    other = b"COMMIT;BEGIN;" + COMPLETE
    stored.store(GOOD)
    with zipfile.ZipFile(stored.archive) as archive:
        lists = archive.read("SHA256SUMS")
    changed = [hashlib.sha256(dump).hexdigest().encode() for dump in (GOOD, other)]
    exchanged(stored.archive, "dump.sql", other)
    exchanged(stored.archive, "SHA256SUMS", lists.replace(*changed))
    with pytest.raises(ListDiffers):
        stored.restore()
    assert stored.scratch not in databases()


def test_another_archive_in_its_place_is_found_before_anything_is_done(stored):
    stored.store(GOOD)
    zipped(b"COMMIT;BEGIN;" + COMPLETE, stored.archive)
    with pytest.raises(Mismatch):
        stored.restore()
    assert stored.scratch == ""


def test_what_has_no_checksums_in_it_is_compared_as_a_whole(stored):
    stored.store(GOOD, listed=False)
    stored.restore()
    assert stored.comparisons == 1
    exchanged(stored.archive, "dump.sql", b"COMMIT;BEGIN;" + COMPLETE)
    with pytest.raises(Mismatch):
        stored.restore()


@pytest.mark.parametrize(
    "change", [(b'"base"', b'"bass"'), (b'"rows": {}', b'"rows": []')]
)
def test_a_manifest_that_was_exchanged_is_found(stored, change):
    """It says which rows and modules there should be."""
    stored.store(GOOD)
    with zipfile.ZipFile(stored.archive) as archive:
        known = archive.read("manifest.json")
    assert known.replace(*change) != known
    exchanged(stored.archive, "manifest.json", known.replace(*change))
    with pytest.raises(Mismatch):
        stored.restore()
    assert stored.scratch == ""


@pytest.mark.parametrize("described", ["db.zip", "db.zip.age"])
def test_the_manifest_of_another_file_does_not_vouch_for_one(stored, described):
    """Both have the same name but for their ending, and so the same manifest."""
    pair = generate_key()
    stored.store(GOOD)
    encrypted = stored.archive.with_name("db.zip.age")
    encrypt_file(stored.archive, encrypted, parse_recipients(pair.public), Progress())
    good = stored.archive.with_name(described)
    about = zipped(GOOD, stored.archive)
    content, sidecar = good.read_bytes(), stored.archive.with_suffix(".json")
    sha256 = hashlib.sha256(content).hexdigest()
    sidecar.write_bytes(manifest.sidecar(about, described, len(content), sha256))
    foreign = stored.archive.parent / "foreign.zip"
    zipped(b"COMMIT;BEGIN;" + COMPLETE, foreign)
    if described == "db.zip":
        encrypt_file(foreign, encrypted, parse_recipients(pair.public), Progress())
        stored.archive = encrypted
        stored.options["identities"] = parse_identities(pair.private)
    else:
        foreign.replace(stored.archive)
    with pytest.raises(Mismatch):
        stored.restore()


@pytest.mark.parametrize("listed", [False, True])
def test_what_is_swapped_after_the_comparison_is_not_read(stored, listed):
    """Another file gets its name: the one that is open is restored."""
    stored.store(GOOD, listed=listed)
    stored.options["whole"] = True
    other = stored.archive.parent / "other.zip"
    zipped(b"SELECT 1 / 0;" + COMPLETE, other)
    stored.compared = lambda: os.replace(other, stored.archive)
    stored.restore()
    assert stored.comparisons == 1


def test_a_drill_compares_what_it_does_not_read(stored):
    stored.store(GOOD)
    stored.options["whole"] = True
    stored.restore()
    assert stored.comparisons == 1
    exchanged(stored.archive, "addons/a/b.py", b"y = 2")
    with pytest.raises(Mismatch):
        stored.restore()


def test_that_an_archive_is_another_one_is_said_before_that_it_cannot_be_opened(stored):
    stored.store(GOOD)
    content = stored.archive.read_bytes()
    stored.archive.write_bytes(content[:-22] + bytes(22))
    with pytest.raises(Mismatch):
        stored.restore()


def long_dump(statement):
    """Return a dump that is executed long before it has been read to its end."""
    return (
        statement
        + b"\nSET search_path = public;\n"
        + b"-- long\n" * (4 << 20)
        + COMPLETE
    )


def test_what_a_damaged_dump_leads_to_is_not_the_error(stored):
    stored.store(long_dump(b"CREATE TABLE t (x int);"))
    exchanged(stored.archive, "dump.sql", long_dump(b"CREATE TABLE t (x xxx);"))
    with pytest.raises(DamagedArchive):
        stored.restore()


def test_what_postgresql_has_named_needs_no_second_look(stored, monkeypatch):
    def refuse(_self, _progress):
        raise AssertionError("The dump was read again")

    monkeypatch.setattr(Restore, "_require_sound_dump", refuse)
    stored.store(long_dump(b"CREATE EXTENSION no_such_extension;"))
    with pytest.raises(LoadFailed) as caught:
        stored.restore()
    assert "no_such_extension" in caught.value.message.values["reason"]


def test_an_error_of_a_good_archive_is_the_error(stored):
    stored.store(long_dump(b"CREATE TABLE t (x xxx);"))
    with pytest.raises(LoadFailed):
        stored.restore()


def test_a_dump_is_read_once(stored, monkeypatch):
    """Whoever made the archive: reading is a third of the time of a restore."""
    readings, sql = [], Archive.sql

    def counted(archive):
        readings.append(archive)
        return sql(archive)

    monkeypatch.setattr(Archive, "sql", counted)
    stored.store(GOOD)
    for stored.options in ({}, {"trusted": False}, {"trusted": True}):
        readings.clear()
        stored.restore()
        assert len(readings) == 1


def test_a_statement_that_no_backup_has_leaves_no_database(stored):
    stored.store(b"CREATE TABLE t (x int);\nALTER SYSTEM RESET ALL;" + COMPLETE)
    with pytest.raises(ForeignStatement):
        stored.restore()
    assert stored.scratch
    assert stored.scratch not in databases()
