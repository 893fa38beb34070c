import json
from datetime import datetime, timedelta, timezone

import pytest

from dfr_backup.engine.manifest import model as manifest

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
    name = manifest.archive_name(database, MOMENT, "abcdefgh-1234")
    assert name == f"{stem}-20261124T023000Z-abcdefgh.zip"


def test_sidecar_lies_beside_the_archive():
    assert manifest.sidecar_key("a.b.zip") == "a.b.json"
    assert manifest.sidecar_key("a.zip.age") == "a.json"


def test_sidecar_binds_name_size_and_hash():
    content = manifest.build({"version": "19.0"}, {"snapshot_at": MOMENT})
    decoded = json.loads(manifest.sidecar(content, "a.zip", 7, "ff"))
    assert decoded["archive"] == {"key": "a.zip", "size": 7, "sha256": "ff"}
    assert decoded["dfr_backup"]["snapshot_at"] == "2026-11-24T02:30:00+00:00"
    assert decoded["dfr_backup"]["format"] == manifest.FORMAT_VERSION


def test_only_plain_values():
    with pytest.raises(TypeError):
        manifest.encode({"x": object()})


def test_the_seal_is_that_of_both_manifests():
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
    seals = {manifest.seal(known) for known in (inner, beside, imported)}
    assert len(seals) == 1
    assert "" not in seals
    changed = {**inner, "modules": {"base": "2"}}
    assert manifest.seal(changed) not in seals


def test_what_lists_no_checksums_has_no_seal():
    for ours in ({}, {"members": None}, {"members": {"count": 0}}, {"members": []}):
        assert manifest.seal(manifest.build({"db_name": "demo"}, ours)) == ""
    for odd in ({}, {"dfr_backup": None}, {"dfr_backup": []}):
        assert manifest.seal(odd) == ""
