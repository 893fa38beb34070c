import json
from datetime import datetime, timedelta, timezone

import pytest

from dfr_backup.engine.manifest import write as manifest
from dfr_backup.engine.manifest.model import COMPLETE, Manifest
from dfr_backup.engine.manifest.names import archive_name, sidecar_key
from dfr_backup.engine.manifest.read import parse_manifest, parse_sidecar

STORED = {
    "job": "5424c813-0000",
    "run": "B1",
    "snapshot_at": "2026-11-24T02:00:00+00:00",
    "contents": ["database"],
    "missing": [],
}
MOMENT = datetime(2026, 11, 24, 3, 30, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    "database, stem",
    [
        ("demo", "demo"),
        ("my db/../x", "my_db_.._x"),
        ("--rf", "rf"),
        ("Zoë", "Zoe"),
        ("数据", "database"),
        ("a" * 200, "a" * 80),
    ],
)
def test_archive_name_is_safe(database, stem):
    name = archive_name(database, MOMENT, "abcdefgh-1234")
    assert name == f"{stem}-20261124T023000Z-abcdefgh.zip"


def test_sidecar_lies_beside_the_archive():
    assert sidecar_key("a.b.zip") == "a.b.json"
    assert sidecar_key("a.zip.age") == "a.json"


def test_sidecar_binds_name_size_and_hash():
    content = manifest.build({"version": "19.0"}, {"snapshot_at": MOMENT})
    decoded = json.loads(manifest.sidecar(content, "a.zip", 7, "ff"))
    assert decoded["archive"] == {"key": "a.zip", "size": 7, "sha256": "ff"}
    assert decoded["dfr_backup"]["snapshot_at"] == "2026-11-24T02:30:00+00:00"
    assert decoded["dfr_backup"]["format"] == COMPLETE


def test_only_plain_values():
    with pytest.raises(TypeError):
        manifest.encode({"x": object()})


def test_the_digest_is_that_of_both_manifests():
    ours = {
        "members": {"count": 1, "sha256sums": "ab" * 32},
        "snapshot_at": MOMENT,
        "rows": {},
    }
    about = manifest.build({"db_name": "demo", "modules": {"base": "1"}}, ours)
    inner = json.loads(manifest.encode(about))
    beside = json.loads(manifest.sidecar(about, "demo.zip", 3, "cd" * 32))
    imported = {
        **beside,
        "dfr_backup": {**beside["dfr_backup"], "import": {"job": "x"}},
    }
    seals = {Manifest(known).content_digest for known in (inner, beside, imported)}
    assert len(seals) == 1
    assert "" not in seals
    changed = {**inner, "modules": {"base": "2"}}
    assert Manifest(changed).content_digest not in seals


def test_what_lists_no_checksums_has_no_seal():
    for ours in ({}, {"members": None}, {"members": {"count": 0}}):
        assert manifest.build({"db_name": "demo"}, ours).content_digest == ""
    for odd in ({}, {"dfr_backup": None}):
        assert Manifest.from_json(odd).content_digest == ""


TABLES = {f'"public"."x_table_of_a_large_database_{n:06}"': n for n in range(90_000)}


def test_a_manifest_of_ours_is_one_that_we_read():
    """Whatever the number of tables, and with what its sidecar has more."""
    for rows in (TABLES, {f'"a"."{n}"': n for n in range(220_000)}):
        ours = {**STORED, "rows": rows}
        whole = manifest.build({"db_name": "demo", "modules": {"base": "1"}}, ours)
        about, left_out = manifest.within_bounds(whole)
        assert len(left_out) == 1
        assert parse_manifest(manifest.encode(about)).rows is None
        beside = manifest.sidecar(about, "demo.zip", 3, "cd" * 32)
        assert parse_sidecar(beside, "demo.json").run == "B1"
