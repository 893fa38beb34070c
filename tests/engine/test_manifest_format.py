"""The rules of the published format (docs/format.rst): what is newer is refused in
words, what is unknown is ignored and kept."""

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfr_backup.engine.archive.reader import open_archive
from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.catalog.browse import look_into, read_contents
from dfr_backup.engine.catalog.scan import read_sidecar
from dfr_backup.engine.catalog.upload_receiver import look_at
from dfr_backup.engine.errors.fetch import DamagedArchive, NewerFormat
from dfr_backup.engine.manifest import write as manifest
from dfr_backup.engine.manifest.model import FORMAT_VERSION, Manifest
from dfr_backup.engine.manifest.names import sidecar_key
from dfr_backup.engine.manifest.read import parse_manifest, parse_sidecar
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage

KEY = "shop-20261124T020000Z-5424c813.zip"
NOW = datetime(2026, 11, 24, tzinfo=timezone.utc)
ODOO = {"db_name": "shop", "version": "19.0", "modules": {"base": "19.0.1.3"}}
OURS = {
    "job": "5424c813-0000",
    "run": "B1",
    "snapshot_at": "2026-11-24T02:00:00+00:00",
    "contents": ["database"],
    "missing": [],
}


@pytest.fixture
def storage(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    return LocalStorage(folder, LocalRules([folder], []))


def store(storage, odoo=None, ours=None, members=None):
    """Store an archive and its manifest with some keys more, or with others."""
    path = Path(storage.location(KEY))
    writer = ArchiveWriter.create(path)
    writer.add_bytes("dump.sql", b"-- PostgreSQL database dump\n")
    count, digest = writer.write_checksums()
    listed = {"count": count, "sha256sums": digest, **(members or {})}
    known = manifest.build({**ODOO, **(odoo or {})}, {**OURS, "members": listed})
    about = {**known.ours, **(ours or {})}  # also what no release has written yet
    content = Manifest({**known.values, "dfr_backup": about})
    writer.add_bytes("manifest.json", manifest.encode(content))
    finalized = writer.close()
    beside = manifest.sidecar(content, KEY, finalized.size, finalized.sha256)
    storage.put_bytes(beside, sidecar_key(KEY))
    return path


NEWER = {"format": FORMAT_VERSION + 1}


def test_newer_archive_is_refused_wherever_it_is_opened(storage):
    path = store(storage, ours=NEWER)
    with pytest.raises(NewerFormat):
        open_archive(path)
    with pytest.raises(NewerFormat):
        look_at(path, "sent by mail.zip", NOW)
    with pytest.raises(NewerFormat), look_into(storage, KEY):
        pass
    for beside in (True, False):
        with pytest.raises(NewerFormat):
            read_contents(storage, KEY)
        if beside:
            storage.delete(sidecar_key(KEY))


def test_today_s_format_is_not_newer(storage):
    with open_archive(store(storage)) as archive:
        assert archive.check(Progress()) == 1
    assert read_contents(storage, KEY).database == "shop"


MORE = {"later": {"deep": [1, {"x": None}]}}


def test_unknown_keys_are_ignored(storage):
    path = store(storage, odoo=MORE, ours=MORE, members=MORE)
    with open_archive(path) as archive:
        assert archive.check(Progress()) == 1
        assert b"".join(archive.sql()).startswith(b"--")
        assert list(archive.attachments()) == []
        assert (
            archive.content_digest
            == read_sidecar(storage, sidecar_key(KEY)).content_digest
        )
    with look_into(storage, KEY) as reader:
        assert [b"".join(reader.pieces(entry)) for entry in reader.entries()]
    assert read_contents(storage, KEY).database == "shop"


def test_unknown_keys_are_kept_by_an_import(storage):
    path = store(storage, odoo=MORE, ours=MORE, members=MORE)
    content = look_at(path, KEY, NOW).taken_in("11111111-2222", "7777")
    beside = manifest.sidecar(content, KEY, 5, "ab" * 32)
    assert parse_sidecar(beside, sidecar_key(KEY)).imported_by
    kept = json.loads(beside)
    ours = kept["dfr_backup"]
    for place in (kept, ours, ours["members"]):
        assert place["later"] == MORE["later"]


ANY_TEXT = st.text() | st.sampled_from(["", "\x00", "\x1b[2J", "a\r\nb", "x" * 70_000])


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_what_people_and_programs_say_makes_no_backup_unusable(plan, run, reason):
    missing = [{"part": "dump_database", "reason": reason, "code": "DUMP-03"}]
    content = manifest.build(
        ODOO, {**OURS, "plan": plan, "run": run or "B1", "missing": missing}
    )
    stored = manifest.sidecar(content, KEY, 5, "ab" * 32)
    found = parse_sidecar(stored, sidecar_key(KEY))
    assert parse_manifest(manifest.encode(content)) == content
    assert len(found.missing) == 1
    if plan.isprintable() and len(plan) < 1000:
        assert found.plan == plan


def test_tables_of_any_name_make_no_archive_unusable(storage):
    rows = {'"public"."a\rb"': 3, '"public"."\x1b[2J"': 4}
    elsewhere = {"files": 0, "bytes": 0, "elsewhere": {"o\x01dd": 1}}
    path = store(storage, ours={"rows": rows, "attachments": elsewhere})
    with open_archive(path) as archive:
        assert archive.describe().rows == rows
    shown = read_contents(storage, KEY)
    names = [*shown.shown_rows(), *shown.shown_elsewhere()]
    assert all(map(str.isprintable, names))


@pytest.mark.parametrize("other", [{"count": 5}, {"sha256sums": "ab" * 32}])
def test_list_of_checksums_must_be_the_one_that_is_named(storage, other):
    path = store(storage, members=other)
    with open_archive(path) as archive, pytest.raises(DamagedArchive):
        archive.check(Progress())
