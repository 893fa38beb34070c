"""Zips as Odoo's database manager and OCA's auto_backup make them: they archive the
files that they find, and nobody has counted what is missing."""

import hashlib
import os
import subprocess
import zipfile

import pytest

from dfr_backup.engine.archive.reader import open_archive
from dfr_backup.engine.errors import Cancelled
from dfr_backup.engine.errors.restore import (
    AttachmentsDamaged,
    AttachmentsMissing,
    BadName,
    ModulesMissing,
    NoAttachments,
    RestoredDiffers,
)
from dfr_backup.engine.postgres.connection import Connection
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.restore.attachments import lost_attachments
from dfr_backup.engine.restore.database_location import DatabaseLocation
from dfr_backup.engine.restore.options import RestoreOptions
from dfr_backup.engine.restore.steps import Restore
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage

CONTENTS = [b"first", b"second", b"third"]
MANIFEST = '{"odoo_dump": "1", "version": "19.0", "modules": {}}'
# two attachments share a file, one has none, and one is a link
ROWS = """
CREATE TABLE before (id int, body text);
INSERT INTO before VALUES (1, E'store_fname\\ttab');
CREATE TABLE ir_attachment (id serial PRIMARY KEY, name text, store_fname text,
  checksum text, file_size int, res_model text, type text, db_datas bytea);
INSERT INTO ir_attachment (name, store_fname, type) VALUES
  ({values}), (E'tab\\t"\\\\', '{shared}', 'binary'), ('none', NULL, 'binary'),
  ('link', NULL, 'url');
CREATE TABLE later (id int);
"""


def store_fname(content):
    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return f"{sha1[:2]}/{sha1}"


@pytest.fixture(scope="module")
def dumps():
    """Two dumps of one database by pg_dump: its rows by COPY, and by INSERT."""
    if "PGHOST" not in os.environ:
        pytest.skip('no PostgreSQL: eval "$(make -s env)"')
    name = f"dfr_test_odoo_{os.getpid()}"
    named = [
        f"'file {n}', '{store_fname(c)}', 'binary'" for n, c in enumerate(CONTENTS)
    ]
    rows = ROWS.format(values="), (".join(named), shared=store_fname(CONTENTS[0]))
    subprocess.run(["createdb", "-T", "template0", name], check=True)
    try:
        subprocess.run(["psql", "-Xqd", name], input=rows.encode(), check=True)
        return {
            option: subprocess.run(
                ["pg_dump", "--no-owner", *option, name],
                check=True,
                capture_output=True,
            ).stdout
            for option in ((), ("--inserts",))
        }
    finally:
        subprocess.run(["dropdb", name], check=True)


class Zip:
    def __init__(self, folder, dumps):
        self.folder = folder
        self.dumps = dumps
        self.progress = Progress()

    def store(self, contents, option=(), **changed):
        """Write the zip; ``changed`` has other content for a file, by its content."""
        with zipfile.ZipFile(self.folder / "odoo.zip", "w") as archive:
            archive.writestr("dump.sql", self.dumps[option])
            archive.writestr("manifest.json", MANIFEST)
            for content in contents:
                data = changed.get(content.decode(), content)
                archive.writestr(f"filestore/{store_fname(content)}", data)

    def restore(self, *accepted, change=lambda _restore: None, **options):
        name = f"dfr_test_to_{os.getpid()}"
        options = {"place": DatabaseLocation(name, self.folder / "files"), **options}
        wanted = RestoreOptions(series="19.0", accepted=accepted, **options)
        storage = LocalStorage(self.folder, LocalRules([self.folder]))
        places = self.folder / "work", self.folder / "markers"
        with Restore(Connection("postgres"), wanted, *places) as self.job:
            self.job.fetch(storage, "odoo.zip", self.progress)
            for step in ("check", "create_database", "load", "filestore"):
                getattr(self.job, step)(self.progress)
            change(self.job)
            return self.job.compare(self.progress)

    def was_made(self):
        return hasattr(self.job, "target")


@pytest.fixture
def odoo_zip(tmp_path, dumps):
    return Zip(tmp_path, dumps)


def test_a_whole_zip_needs_no_confirmation(odoo_zip):
    odoo_zip.store(CONTENTS)
    report = odoo_zip.restore()
    assert (report.files, report.missing_count) == (3, 0)


@pytest.mark.parametrize("held, missing", [(CONTENTS[1:], 2), (CONTENTS[:1], 2)])
def test_missing_files_are_counted_before_anything_is_made(odoo_zip, held, missing):
    """Attachments are counted, of which two share a file."""
    odoo_zip.store(held)
    with pytest.raises(AttachmentsMissing) as refused:
        odoo_zip.restore()
    assert not odoo_zip.was_made()
    assert refused.value.message.values == {"missing": missing, "total": 4}
    assert odoo_zip.job.to_accept == [refused.value]
    report = odoo_zip.restore(refused.value.finding)
    assert report.missing_count == 3 - len(held)
    assert refused.value.finding in str(odoo_zip.progress.lines)
    assert any(
        warning.values.get("problem") == refused.value.in_full
        for warning in odoo_zip.progress.warnings
        if hasattr(warning, "values")
    )


def test_a_zip_without_a_filestore(odoo_zip):
    odoo_zip.store([])
    with pytest.raises(NoAttachments) as refused:
        odoo_zip.restore()
    assert not odoo_zip.was_made()
    assert refused.value.message.values == {"total": 4}
    assert odoo_zip.restore(refused.value.finding).missing_count == 3


def test_a_file_that_was_damaged_is_accepted_by_its_count(odoo_zip):
    odoo_zip.store(CONTENTS, third=b"THIRD")
    with pytest.raises(AttachmentsDamaged) as refused:
        odoo_zip.restore()
    assert refused.value.message.values == {"damaged": 1, "total": 3}
    assert store_fname(CONTENTS[2]) in refused.value.log
    assert odoo_zip.restore(refused.value.finding).damaged_count == 1


def test_rows_in_another_form_are_counted_after_the_load(odoo_zip):
    odoo_zip.store(CONTENTS[:1], ("--inserts",))
    with pytest.raises(AttachmentsMissing) as refused:
        odoo_zip.restore()
    assert refused.value.message.values == {"missing": 2, "total": 3}
    assert odoo_zip.restore(refused.value.finding).missing_count == 2


def test_what_the_archive_had_and_the_copy_has_not_is_no_matter_of_consent(odoo_zip):
    odoo_zip.store(CONTENTS[:2])

    def lose(job):
        (job.target.filestore / store_fname(CONTENTS[0])).unlink()

    with pytest.raises(RestoredDiffers):
        odoo_zip.restore("attachments_missing", "attachments_damaged", change=lose)


def test_what_nobody_can_accept_is_said_first(odoo_zip, tmp_path):
    odoo_zip.store([])
    place = DatabaseLocation("no name", tmp_path / "files")
    with pytest.raises(BadName) as refused:
        odoo_zip.restore(place=place)
    with pytest.raises(BadName):
        odoo_zip.restore(refused.value.finding, place=place)


def test_all_that_can_be_accepted_is_named_at_once(odoo_zip):
    with zipfile.ZipFile(odoo_zip.folder / "odoo.zip", "w") as archive:
        archive.writestr("dump.sql", odoo_zip.dumps[()])
        archive.writestr("manifest.json", MANIFEST.replace("{}", '{"far": "1"}'))
    with pytest.raises((NoAttachments, ModulesMissing)):
        odoo_zip.restore(modules=())
    found = {type(error) for error in odoo_zip.job.to_accept}
    assert found == {NoAttachments, ModulesMissing}
    codes = [error.finding for error in odoo_zip.job.to_accept]
    assert odoo_zip.restore(*codes, modules=()).missing_count == 3


def test_a_cancel_ends_the_counting(odoo_zip):
    odoo_zip.store([])

    def cancel(_progress):
        raise Cancelled

    progress = Progress(cancel)
    progress._next_report = 0
    with (
        open_archive(odoo_zip.folder / "odoo.zip") as archive,
        pytest.raises(Cancelled),
    ):
        lost_attachments(archive, progress)
