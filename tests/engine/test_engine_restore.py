"""A restore from its first step on: what it leaves behind."""

import hashlib
import os
import subprocess
import time
import zipfile

import pytest

from dfr_backup.engine import manifest
from dfr_backup.engine.encryption.files import (
    encrypt_file,
    generate_key,
    parse_identities,
    parse_recipients,
)
from dfr_backup.engine.errors import Mismatch, PermanentError
from dfr_backup.engine.postgres import Connection
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.restore.steps import Restore, RestoreOptions
from dfr_backup.engine.restore.target import Place
from dfr_backup.engine.storages.local import LocalRules, LocalStorage


def test_what_was_encrypted_does_not_stay_in_plain(tmp_path):
    pair = generate_key()
    plain = tmp_path / "plain.zip"
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr("dump.sql", "SELECT 1;")
    encrypt_file(plain, tmp_path / "db.zip.age", parse_recipients(pair.public), Progress())
    options = RestoreOptions(
        Place("new", tmp_path / "new"), "19.0", identities=parse_identities(pair.private)
    )
    storage, work = LocalStorage(tmp_path, LocalRules([tmp_path])), tmp_path / "work"
    with pytest.raises(KeyboardInterrupt):
        with Restore(Connection("postgres"), options, work, tmp_path / "markers") as restore:
            restore.fetch(storage, "db.zip.age", Progress())
            assert list(work.iterdir())
            raise KeyboardInterrupt
    assert not list(work.iterdir())


def test_files_that_find_no_place_end_the_load(tmp_path):
    """A load may take hours, and nobody wants to hear at its end that the disk was full."""
    (tmp_path / "file").write_text("")
    comments = b"-- a long comment\n" * (20 << 16)
    with zipfile.ZipFile(tmp_path / "db.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dump.sql", b"SELECT pg_sleep(1);\n" + comments)
        archive.writestr("filestore/aa/b", b"content")
    name = f"dfr_test_steps_{os.getpid()}"
    options = RestoreOptions(Place(name, tmp_path / "file/filestore"), "19.0")
    storage = LocalStorage(tmp_path, LocalRules([tmp_path]))
    server = Connection("postgres")
    with Restore(server, options, tmp_path / "work", tmp_path / "markers") as restore:
        restore.fetch(storage, "db.zip", Progress())
        restore.create_database(Progress())
        scratch = restore.target.scratch.database
        with pytest.raises(PermanentError, match="Files cannot be written"):
            restore.load(Progress())
    assert scratch not in databases()


def databases():
    return subprocess.run(["psql", "-Atl"], capture_output=True, check=True, text=True).stdout


FACTS = {
    "job": "5424c813-0000-0000-0000-000000000000",
    "run": "B1",
    "plan": "Nightly",
    "database_uuid": "1",
    "snapshot_at": "2026-11-24T02:00:00+00:00",
    "contents": ["database", "filestore"],
    "missing": [],
}


def zipped(dump, path):
    """Write an archive whose bytes depend on the dump only; return its SHA-256."""
    with zipfile.ZipFile(path, "w") as writer:
        writer.writestr(zipfile.ZipInfo("dump.sql"), dump)
        writer.writestr(zipfile.ZipInfo("filestore/aa/b"), b"content")
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Slow(LocalStorage):
    """A storage whose archives take longer to compare than to load."""

    def verify(self, *args):
        time.sleep(1)
        super().verify(*args)


@pytest.fixture
def stored(tmp_path):
    """Return a function that stores a dump as an archive, with the manifest of what it was
    ``before``; it returns the restore, and its storage."""

    def store(dump, before=None):
        archive = tmp_path / "db.zip"
        sha256 = zipped(before or dump, archive)
        about = manifest.build({"db_name": "db", "version": "19.0", "modules": {}}, FACTS)
        sealed = manifest.sidecar(about, archive.name, archive.stat().st_size, sha256)
        archive.with_suffix(".json").write_bytes(sealed)
        zipped(dump, archive)
        name = f"dfr_test_steps_{os.getpid()}"
        options = RestoreOptions(Place(name, tmp_path / "files"), "19.0")
        restore = Restore(Connection("postgres"), options, tmp_path / "work", tmp_path / "markers")
        return restore, Slow(tmp_path, LocalRules([tmp_path]))

    return store


COMPLETE = b"\n-- PostgreSQL database dump complete\n"


def test_a_local_archive_is_compared_while_it_is_loaded(stored):
    restore, storage = stored(b"SELECT 1;" + COMPLETE)
    progress = Progress()
    with restore:
        restore.fetch(storage, "db.zip", progress)
        restore.create_database(progress)
        restore.load(progress)
        restore.filestore(progress)
    assert "what its manifest says" in "\n".join(progress.lines)


def test_an_archive_that_is_another_one_is_no_restore(stored):
    """It can be read from its beginning to its end, and yet is not what was stored."""
    restore, storage = stored(b"SELECT 2;" + COMPLETE, before=b"SELECT 1;" + COMPLETE)
    with restore, pytest.raises(Mismatch):
        restore.fetch(storage, "db.zip", Progress())
        restore.create_database(Progress())
        scratch = restore.target.scratch.database
        restore.load(Progress())
        restore.filestore(Progress())
    assert scratch not in databases()


def test_what_a_damaged_archive_leads_to_is_not_the_error(stored):
    restore, storage = stored(b"SELECT x;" + COMPLETE, before=b"SELECT 1;" + COMPLETE)
    with restore, pytest.raises(Mismatch):
        restore.fetch(storage, "db.zip", Progress())
        restore.create_database(Progress())
        restore.load(Progress())


def test_an_error_of_a_good_archive_is_the_error(stored):
    restore, storage = stored(b"SELECT x;" + COMPLETE)
    with restore, pytest.raises(PermanentError, match="column"):
        restore.fetch(storage, "db.zip", Progress())
        restore.create_database(Progress())
        restore.load(Progress())
