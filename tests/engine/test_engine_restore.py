"""A restore from its first step on: what it leaves behind."""

import os
import subprocess
import zipfile

import pytest

from dfr_backup.engine.encryption.files import (
    encrypt_file,
    generate_key,
    parse_identities,
    parse_recipients,
)
from dfr_backup.engine.errors import PermanentError
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
    listed = subprocess.run(["psql", "-Atl"], capture_output=True, check=True, text=True).stdout
    assert scratch not in listed
