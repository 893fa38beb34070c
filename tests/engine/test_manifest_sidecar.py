import hashlib
import json
import time
import tracemalloc
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfr_backup.engine import untrusted
from dfr_backup.engine.errors.fetch import BadManifest, NewerFormat
from dfr_backup.engine.manifest import write as manifest
from dfr_backup.engine.manifest.model import (
    COMPLETE,
    FORMAT_VERSION,
    Manifest,
    MissingPart,
)
from dfr_backup.engine.manifest.names import archive_name, sidecar_key
from dfr_backup.engine.manifest.read import parse_sidecar
from dfr_backup.engine.manifest.sidecar import Sidecar
from dfr_backup.engine.untrusted import Unusable, parse_json

ARCHIVE = "demo-20261124T023000Z-abcdefgh.zip"
KEY = "demo-20261124T023000Z-abcdefgh.json"
MOMENT = datetime(2026, 11, 24, 3, 30, tzinfo=timezone(timedelta(hours=1)))
ODOO = {
    "odoo_dump": "1",
    "db_name": "demo",
    "version": "19.0",
    "version_info": [19, 0, 0, "final", 0, ""],
    "major_version": "19.0",
    "pg_version": "17.0",
    "modules": {"base": "19.0.1.3", "web": None},
}
OURS = {
    "job": "abcdefgh-1234",
    "run": "BKP/00007",
    "plan": "Every night",
    "database_uuid": "11111111-2222-3333-4444-555555555555",
    "snapshot_at": MOMENT,
    "contents": ["database", "filestore"],
    "missing": [{"part": "archive_files", "reason": "The disk\nis broken."}],
    "members": {"count": 3, "sha256sums": "cd" * 32},
    "rows": {"public.res_users": 5},
    "addons": None,
    "encryption": {},
}


def stored(archive=ARCHIVE, odoo=ODOO, ours=OURS):
    """What a run of ours puts beside its archive."""
    return manifest.sidecar(manifest.build(odoo, ours), archive, 12345, "ab" * 32)


def changed(path, value):
    """The stored manifest with one value replaced, or removed when it is ``...``."""
    content = json.loads(stored())
    target = content
    for name in path[:-1]:
        target = target[name]
    if value is ...:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return json.dumps(content).encode()


def refused(data, key=KEY):
    """Return the reason: a message."""
    with pytest.raises(BadManifest) as caught:
        parse_sidecar(data, key)
    return caught.value.message.values["reason"]


def test_what_we_write_is_read():
    assert parse_sidecar(stored(), KEY) == Sidecar(
        key=ARCHIVE,
        size=12345,
        sha256="ab" * 32,
        format=COMPLETE,
        taken_at=MOMENT,
        database="demo",
        database_uuid="11111111-2222-3333-4444-555555555555",
        odoo_version="19.0",
        modules=2,
        contents=("database", "filestore"),
        plan="Every night",
        run="BKP/00007",
        job="abcdefgh-1234",
        encrypted=False,
        encryption="",
        recipients=(),
        missing=(MissingPart("archive_files", "The disk\nis broken."),),
        module_names=("base", "web"),
        content_digest=Manifest(json.loads(stored())).content_digest,
        sums_sha256="cd" * 32,
        file_size=len(stored()),
        file_sha256=hashlib.sha256(stored()).hexdigest(),
    )
    assert parse_sidecar(stored(), KEY).taken_at.tzinfo is timezone.utc


def test_an_encrypted_archive():
    keys = ["age1xyz", "ssh-ed25519 AAAA"]
    facts = {"format": "age", "kind": "recipients", "recipients": keys}
    ours = {**OURS, "encryption": facts, "plan": False, "missing": []}
    found = parse_sidecar(stored(ARCHIVE + ".age", ours=ours), KEY)
    assert found.encrypted
    assert found.encryption == "recipients"
    assert found.recipients == tuple(keys)
    assert found.plan == ""
    assert found.missing == ()


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=63))
def test_whatever_the_database_is_called(name):
    archive = archive_name(name, MOMENT, "abcdefgh")
    data = stored(archive, odoo={**ODOO, "db_name": name})
    assert parse_sidecar(data, sidecar_key(archive)).database == name


@pytest.mark.parametrize(
    "name",
    [
        "../x.zip",
        "a/b.zip",
        "/etc/x.zip",
        "..\\x.zip",
        "a\0.zip",
        "a\n.zip",
        ".zip",
        "..zip",
        "-rf.zip",
        "demo",
        "",
        "é.zip",
        "a" * 300 + ".zip",
    ],
)
def test_a_key_that_could_lead_elsewhere(name):
    data = changed(("archive", "key"), name)
    reason = refused(data, sidecar_key(name))
    assert reason.values["place"] == "archive.key"


def test_a_manifest_under_another_name():
    assert refused(stored(), "other.json")
    assert refused(stored(), "x/" + KEY)


BAD = [
    (("dfr_backup",), ...),
    (("dfr_backup",), []),
    (("archive",), ...),
    (("archive", "key"), 7),
    (("archive", "size"), -1),
    (("archive", "size"), 0),
    (("archive", "size"), 2**61),
    (("archive", "size"), 1.5),
    (("archive", "size"), "12345"),
    (("archive", "size"), True),
    (("archive", "size"), None),
    (("archive", "sha256"), "AB" * 32),
    (("archive", "sha256"), "ab" * 31),
    (("archive", "sha256"), "ab" * 32 + "\n"),
    (("dfr_backup", "format"), 0),
    (("dfr_backup", "format"), "1"),
    (("dfr_backup", "snapshot_at"), "2026-11-24T02:30:00"),
    (("dfr_backup", "snapshot_at"), "0001-01-01T00:00:00+23:00"),
    (("dfr_backup", "snapshot_at"), "9999-12-31T23:59:59-23:00"),
    (("dfr_backup", "snapshot_at"), "yesterday"),
    (("dfr_backup", "contents"), "database"),
    (("dfr_backup", "contents"), [1]),
    (("dfr_backup", "missing"), [7]),
    (("dfr_backup", "missing"), [{"reason": "x"}]),
    (("dfr_backup", "database_uuid"), 7),
    (("dfr_backup", "database_uuid"), "x" * 129),
    (("dfr_backup", "job"), ...),
    (("dfr_backup", "run"), "a\0b"),
    (("dfr_backup", "encryption"), {"recipients": {}}),
    (("dfr_backup", "encryption"), "age"),
    (("db_name",), ""),
    (("modules",), []),
    (("version",), 19.0),
]


@pytest.mark.parametrize("path, value", BAD)
def test_the_place_of_what_is_wrong_is_named(path, value):
    *_parts, name = path
    assert name in refused(changed(path, value)).values["place"]


def test_a_newer_format_says_so():
    data = changed(("dfr_backup",), {"format": FORMAT_VERSION + 1, "new": "shape"})
    with pytest.raises(NewerFormat) as caught:
        parse_sidecar(data, KEY)
    assert caught.value.message.values["format"] == FORMAT_VERSION + 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"[" + b"9" * 5_000_000 + b"]",
        b"[-" + b"9" * 31 + b"]",
        b"[1e999]",
        b"[NaN]",
        rb'["\ud800"]',
        b"[1" + b"0" * 500 + b".0]",
        b"[" * 33 + b"]" * 33,
        b"[-Infinity]",
        b'{"a": 1, "a": 2}',
        b"[" + b" " * untrusted.MAX_BYTES + b"]",
        b"[" + b"[]," * 3_000_000 + b"[]]",
    ],
)
def test_what_is_no_json_of_ours(data):
    started = time.process_time()
    with pytest.raises(Unusable):
        parse_json(data)
    assert time.process_time() - started < 5
    refused(data)


@pytest.mark.parametrize("data", [b"null", b"[]", b'"text"'])
def test_what_is_no_object(data):
    assert refused(data)


def test_the_largest_number_of_values_fits_into_memory():
    data = b"[" + b"{}," * (untrusted.MOST_VALUES // 2 - 2) + b"{}]"
    tracemalloc.start()
    try:
        refused(data)
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
    finally:
        tracemalloc.stop()


def test_every_cut_is_noticed():
    data = stored().rstrip()
    for end in range(len(data)):
        refused(data[:end])


def test_an_odd_name_is_shown_on_one_line():
    with pytest.raises(BadManifest) as caught:
        parse_sidecar(b"", "a\nb\x1b[31m" + "c" * 1000)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


def is_told_or_refused(data, key=KEY):
    """Never anything but a Sidecar that can be used, or an error about it."""
    try:
        found = parse_sidecar(data, key)
    except (BadManifest, NewerFormat) as error:
        found = None
        told = str(error)
    if found is None:
        assert told.isprintable()
        return
    assert isinstance(found, Sidecar)
    assert found.size > 0
    assert "/" not in found.key
    assert found.taken_at.tzinfo is timezone.utc
    assert sidecar_key(found.key) == key
    for value in (
        found.database,
        found.plan,
        found.run,
        found.job,
        found.database_uuid,
    ):
        value.encode()
        assert "\0" not in value


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner)
    ),
    max_leaves=8,
)
PATHS = [
    *((name,) for name in json.loads(stored())),
    *(("dfr_backup", name) for name in json.loads(stored())["dfr_backup"]),
    *(("archive", name) for name in ("key", "size", "sha256")),
    ("dfr_backup", "encryption", "kind"),
    ("dfr_backup", "encryption", "recipients"),
    ("dfr_backup", "missing", 0),
    ("dfr_backup", "missing", 0, "part"),
    ("dfr_backup", "missing", 0, "reason"),
]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(PATHS), anything)
def test_any_value_anywhere(path, value):
    is_told_or_refused(changed(path, value))


@settings(max_examples=200, deadline=None)
@given(anything, st.text(st.characters(), max_size=30))
def test_any_json_under_any_name(value, key):
    is_told_or_refused(json.dumps(value).encode(), key)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.data())
def test_any_bytes_anywhere(junk, data):
    original = stored()
    at = data.draw(st.integers(0, len(original)))
    until = data.draw(st.integers(at, min(len(original), at + 50)))
    is_told_or_refused(original[:at] + junk + original[until:])
    is_told_or_refused(junk)
