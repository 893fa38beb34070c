"""What is read from outside raises errors of the engine, whatever it holds.

Each input is a valid one, changed in one to four places. FUZZ_EXAMPLES sets how many
are tried for each kind; “make faults” tries 100,000.
"""

import io
import json
import os
import random
import zipfile

import pytest

from dfr_backup.engine import manifest
from dfr_backup.engine.archive.index import Wanted, find_index, name_files, search_index
from dfr_backup.engine.archive.manifest_shape import parse_manifest
from dfr_backup.engine.archive.reader import open_archive
from dfr_backup.engine.archive.source import StreamSource
from dfr_backup.engine.archive.zipreader import ZipReader
from dfr_backup.engine.contents import parse_contents
from dfr_backup.engine.encryption.age_keys import generate_key
from dfr_backup.engine.encryption.files import (
    encrypt_file,
    open_decrypted,
    parse_identities,
    parse_recipients,
)
from dfr_backup.engine.errors import EngineError
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.restore.sqlstream import split
from dfr_backup.engine.sidecar import parse_sidecar

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))
KEY = "shop-20261124T023000Z-abcdefgh.json"
ODOO = {
    "odoo_dump": "1",
    "db_name": "shop",
    "version": "19.0",
    "major_version": "19.0",
    "pg_version": "15.4",
    "modules": {"base": "19.0.1.3"},
}
OURS = {
    "job": "5424c813",
    "run": "B00001",
    "plan": "Nightly",
    "database_uuid": "of the shop",
    "snapshot_at": "2026-11-24T02:30:00+00:00",
    "contents": ["database"],
    "missing": [{"part": "archive_files", "reason": "x"}],
    "addons": [{"name": "shop_theme", "revision": "", "files": 1, "bytes": 2}],
    "rows": {'"public"."res_users"': 5},
    "filestore": {"files": 1, "missing": 0, "damaged": 0, "unreadable": 0},
}
DUMP = b"""--
-- PostgreSQL database dump
--
\\restrict abc
SET standard_conforming_strings = on;
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $_$ SELECT 'a;''b' $_$;
CREATE TABLE "t;" (a text DEFAULT E'\\\\''; x');
COPY "t;" (a) FROM stdin;
one
\\N
\\.

/* a /* comment */ ; */ SELECT 1;
--
-- PostgreSQL database dump complete
--
"""
LINE = (
    b'{"id":1,"name":"a.png","res_model":"b","res_field":null,"res_id":1,'
    b'"store_fname":"aa/bb","file_size":1,"mimetype":"image/png"}\n'
)
TOKENS = (
    *(b"null", b"-1", b"1e999", b"[]", b"{}", b'""', b"false", b'"\\ud800"', b"9" * 40),
    *(b"\0", b"\n", b"\xff", b"'", b"$$", b"/*", b"--", b";", b"\\.\n", b"\\", b"../"),
    *(b"\xff\xff\xff\xff", b"\xff\xff", b"PK\1\2", b"PK\5\6", b"-> X25519 \n", b"  "),
)


def changed(seed, chance):
    """Return a valid text with one to four changes: a bit, a token, a cut, a repeat."""
    data = bytearray(seed)
    for _number in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        length = chance.choice((0, 1, 2, 4, 20))
        kind = chance.randrange(5)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at : at + length] = chance.choice(TOKENS)
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = data[at : at + 200]
        elif at < len(data):
            data[at] = chance.randrange(256)
    return bytes(data)


def changed_json(seed, chance):
    """Return JSON whose values have changed, and which is JSON all the same."""
    value = json.loads(seed)
    place = value
    while isinstance(place, (dict, list)) and place:
        names = list(place) if isinstance(place, dict) else list(range(len(place)))
        name = chance.choice(names)
        inner = place[name]
        if not isinstance(inner, (dict, list)) or not inner or chance.random() < 0.3:
            odd = (None, False, True, -1, 1 << 70, 1.5, "", "\0", "x" * 70_000, [], {})
            place[name] = chance.choice((*odd, [1], {"a": [{}]}, ["a", None]))
            break
        place = inner
    return json.dumps(value).encode()


def zipped():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dump.sql", DUMP)
        archive.writestr("attachments.jsonl", LINE * 3)
        archive.writestr("filestore/aa/bb", b"x")
        archive.writestr("SHA256SUMS", b"0" * 64 + b"  dump.sql\n")
        archive.writestr("manifest.json", json.dumps({**ODOO, "dfr_backup": OURS}))
    return stream.getvalue()


def stored():
    content = manifest.build(ODOO, OURS)
    return manifest.sidecar(content, KEY.replace(".json", ".zip"), 9, "ab" * 32)


def read_zip(data):
    source = StreamSource(io.BytesIO(data))
    with open_archive(source) as archive:
        archive.describe()
        archive.check(Progress(), workers=1)


def read_index(data):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("attachments.jsonl", data)
    with ZipReader(StreamSource(stream)) as reader:
        entry = find_index(reader)
        search_index(reader, entry, Wanted("a", "b", 1), 5)
        list(name_files(reader, entry, {"aa/bb"}))


def read_sums(data):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("dump.sql", DUMP)
        archive.writestr("SHA256SUMS", data)
    read_zip(stream.getvalue())


def read_dump(data):
    for _item in split(iter([data[:50], data[50:]])):
        pass


def read_manifest(data):
    parse_manifest(data)
    parse_contents(data)


def read_described(data):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("dump.sql", DUMP)
        archive.writestr("manifest.json", data)
    with open_archive(StreamSource(stream)) as found:
        found.describe()
        found.names_are_proven()
        assert isinstance(found.seal, str)


SUMS = b"0" * 64 + b"  dump.sql\n"
MANIFEST = json.dumps({**ODOO, "dfr_backup": OURS}).encode()
KINDS = {
    "sidecar": (lambda data: parse_sidecar(data, KEY), stored, changed),
    "sidecar_values": (lambda data: parse_sidecar(data, KEY), stored, changed_json),
    "manifest": (read_manifest, lambda: MANIFEST, changed_json),
    "described": (read_described, lambda: MANIFEST, changed_json),
    "zip": (read_zip, zipped, changed),
    "sums": (read_sums, lambda: SUMS * 2, changed),
    "index": (read_index, lambda: LINE * 3, changed),
    "dump": (read_dump, lambda: DUMP, changed),
}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_crashes(kind):
    read, seed, change = KINDS[kind]
    valid, chance = seed(), random.Random(kind)
    for _number in range(EXAMPLES):
        data = change(valid, chance)
        try:
            read(data)
        except EngineError:
            continue
        except Exception as error:
            raise AssertionError(f"{kind}: {data!r}") from error


def test_nothing_crashes_in_the_header_of_age(tmp_path):
    plain, sealed = tmp_path / "plain", tmp_path / "sealed"
    plain.write_bytes(b"secret" * 100)
    pair = generate_key()
    encrypt_file(plain, sealed, parse_recipients(pair.public), Progress())
    identities = parse_identities(pair.private)
    valid, chance = sealed.read_bytes(), random.Random("age")
    for _number in range(EXAMPLES):
        data = changed(valid, chance)
        try:
            open_decrypted(io.BytesIO(data), identities).read()
        except EngineError:
            continue
        except Exception as error:
            raise AssertionError(repr(data)) from error
