"""What is read from outside raises errors of the engine, whatever it holds."""

import base64
import contextlib
import hashlib
import io
import json
import re
import zipfile

import pytest
from fuzzing import changed, changed_json, either, fuzz, impatient

from dfr_backup.engine.archive.attachment_index import (
    AttachmentQuery,
    find_index,
    name_files,
    search_index,
)
from dfr_backup.engine.archive.checked import CheckedReader
from dfr_backup.engine.archive.random_access import StreamSource
from dfr_backup.engine.archive.reader import open_archive
from dfr_backup.engine.archive.zip_reader import ZipReader
from dfr_backup.engine.encryption import age_format
from dfr_backup.engine.encryption.armour import Source
from dfr_backup.engine.encryption.files import open_decrypted, parse_identities
from dfr_backup.engine.errors import EngineError
from dfr_backup.engine.errors.fetch import DamagedArchive
from dfr_backup.engine.manifest import write as manifest
from dfr_backup.engine.manifest.read import parse_manifest, parse_sidecar
from dfr_backup.engine.restore.load.sql_stream import split
from dfr_backup.engine.untrusted import Unusable, parse_json

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
MANIFEST = json.dumps({**ODOO, "dfr_backup": OURS}).encode()
SUMS = b"0" * 64 + b"  dump.sql\n"
MEMBERS = {
    "dump.sql": DUMP,
    "attachments.jsonl": LINE * 3,
    "filestore/aa/bb": b"x",
    "SHA256SUMS": SUMS,
    "manifest.json": MANIFEST,
}


def zipped(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def changed_zip(_valid, chance):
    """Return a zip whose members have changed: their content, their names or order."""
    members = list(MEMBERS.items())
    chance.shuffle(members)
    for number, (name, content) in enumerate(members):
        if chance.random() < 0.4:
            change = changed_json if name == "manifest.json" else changed
            members[number] = (name, change(content, chance))
    if chance.random() < 0.3:
        odd = chance.choice(("addons/a/b.py", "filestore/aa/cc", "x", "shop/dump.sql"))
        members.insert(chance.randrange(5), (odd, b"x"))
    if chance.random() < 0.2:
        del members[chance.randrange(len(members))]
    return zipped(members)


def changed_lines(valid, chance):
    """Return lines of which one has changed, been moved, or is there again."""
    lines = valid.splitlines(keepends=True) * chance.choice((1, 1, 2, 50))
    at = chance.randrange(len(lines))
    lines[at] = chance.choice((changed(lines[at], chance), b"", lines[at] * 2, b"\n"))
    return b"".join(lines)


def stored():
    content = manifest.build(ODOO, OURS)
    return manifest.sidecar(content, KEY.replace(".json", ".zip"), 9, "ab" * 32)


def read_zip(data, chance):
    source = StreamSource(io.BytesIO(data))
    with open_archive(source) as archive:
        archive.describe()
        archive.check(impatient(chance), workers=1)


def has_directory(data, _error):
    try:
        with ZipReader(StreamSource(io.BytesIO(data))) as reader:
            list(reader.entries())
    except EngineError:
        return False
    return True


def read_index(data, _chance):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("attachments.jsonl", data)
    with ZipReader(StreamSource(stream)) as reader:
        entry = find_index(reader)
        search_index(reader, entry, AttachmentQuery("a", "b", 1), 5)
        list(name_files(reader, entry, {"aa/bb"}))


@pytest.mark.parametrize("odd", [b"1e999", b"-1e999", b"NaN", b"[" * 100_000, b'"a"'])
@pytest.mark.parametrize("column", [b"id", b"res_id", b"file_size"])
def test_a_number_that_is_none(odd, column):
    line = LINE.replace(b'"%s":1' % column, b'"%s":%s' % (column, odd))
    with pytest.raises(DamagedArchive):
        read_index(line, None)


def is_json(data, _error):
    try:
        json.loads(data.partition(b"\n")[0])
    except (ValueError, RecursionError):
        return False
    return True


def read_sums(data, chance):
    """As a whole, and for one member."""
    content = zipped([("dump.sql", DUMP), ("SHA256SUMS", data)])
    with contextlib.suppress(EngineError):
        digest = hashlib.sha256(data).hexdigest()
        with CheckedReader(StreamSource(io.BytesIO(content)), digest) as reader:
            list(reader.pieces(next(reader.entries())))
    read_zip(content, chance)


def is_list(data, _error):
    return re.match(rb"[0-9a-f]{64}  .+\n", data)


def read_dump(data, _chance):
    for _item in split(iter([data[:50], data[50:]])):
        pass


def has_statements(data, _error):
    try:
        next(split(iter([data])))
    except (EngineError, StopIteration):
        return False
    return True


def read_manifest(data, _chance):
    parse_manifest(data)


def read_described(data, _chance):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("dump.sql", DUMP)
        archive.writestr("manifest.json", data)
    with open_archive(StreamSource(stream)) as found:
        found.describe()
        found.names_are_proven()
        assert isinstance(found.content_digest, str)


def read_beside(data, _chance):
    parse_sidecar(data, KEY)


def is_usable_json(data, _error):
    try:
        parse_json(data)
    except Unusable:
        return False
    return True


KINDS = {
    "sidecar": (read_beside, stored, either(changed, changed_json), is_usable_json),
    "manifest": (read_manifest, MANIFEST, changed_json, is_usable_json),
    "described": (read_described, MANIFEST, changed_json, is_usable_json),
    "zip": (
        read_zip,
        zipped(MEMBERS.items()),
        either(changed, changed_zip),
        has_directory,
    ),
    "sums": (read_sums, SUMS * 2, either(changed, changed_lines), is_list),
    "index": (read_index, LINE * 3, either(changed, changed_lines), is_json),
    "dump": (read_dump, DUMP, changed, has_statements),
}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_crashes(kind):
    read, valid, change, first = KINDS[kind]
    fuzz(kind, read, valid() if callable(valid) else valid, change, first)


# a key of this test alone, and a file key that was wrapped for it once
PRIVATE = "AGE-SECRET-KEY-19Q8T95WSWJ6UZJNCMZY2MWYDZ0CECYSRUCMZ0W6EM9DC6J6YV04QZ9FL58"
FILE_KEY = bytes(range(16))
WRAPPED = age_format.Stanza(
    "X25519",
    ("HlRhskAwvxJtxH9NBImqAE/j/SqLwUSBeq0f/Qnm7Ss",),
    age_format.decode64("HpFISuBPr7j2HQm0xSJ7/8IHrBh4DaFBzbaYm8wBiBQ"),
)


def encrypted():
    """Return an encrypted file whose file key is known."""
    payload = age_format._Payload(FILE_KEY, bytes(16))
    chunk = payload.encrypt(b"secret" * 100, 0, last=True)
    return age_format._header(FILE_KEY, [WRAPPED]) + bytes(16) + chunk


def changed_header(valid, chance):
    """Return a file with a header that is right as a whole, and of which a stanza has
    changed, is there twice, or is one of another kind."""
    header, rest = re.fullmatch(rb"(.*\n)---[^\n]*\n(.*)", valid, re.S).groups()
    version, line, body = header.splitlines(keepends=True)
    kind = chance.choice((b"X25519", b"scrypt", b"ssh-ed25519", b"ssh-rsa", b"grease"))
    arguments = [b"A" * chance.choice((1, 22, 43)) for _ in range(chance.randrange(4))]
    lines = b"".join([b"A" * 64 + b"\n"] * chance.choice((0, 0, 1, 70)))
    other = b" ".join((b"->", kind, *arguments)) + b"\n" + lines
    other += b"A" * chance.choice((0, 3, 43)) + b"\n"
    stanzas = [other, line + body, line + changed(body, chance)]
    stanzas += [changed(line, chance) + body, other * 300]
    header = (
        version + b"".join(chance.choices(stanzas, (6, 6, 1, 2, 0.2), k=3)) + b"---"
    )
    mac = age_format._mac(FILE_KEY, header)
    mac = changed(mac, chance) if chance.random() < 0.1 else mac
    rest = changed(rest, chance) if chance.random() < 0.5 else rest
    return header + b" " + age_format.encode64(mac).encode() + b"\n" + rest


def armoured(valid, chance):
    text = base64.b64encode(chance.choice((valid, changed_header(valid, chance))))
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    marks = b"-----BEGIN AGE ENCRYPTED FILE-----", b"-----END AGE ENCRYPTED FILE-----"
    end = chance.choice((b"\n", b"\r\n"))
    whole = end.join((marks[0], *lines, marks[1], b""))
    return changed(whole, chance) if chance.random() < 0.6 else whole


def read_age(data, _chance):
    open_decrypted(io.BytesIO(data), parse_identities(PRIVATE)).read()


def has_header(data, _error):
    """The header can be read, whoever it is for."""
    try:
        source = Source(io.BytesIO(data))
        source.dearmour_if_needed()
        assert source.line() == age_format.VERSION
        age_format._parse_header(source)
    except (AssertionError, EngineError, ValueError):
        return False
    return True


@pytest.mark.parametrize("change", [changed, changed_header, armoured])
def test_nothing_crashes_in_the_header_of_age(change):
    fuzz(f"age_{change.__name__}", read_age, encrypted(), change, has_header)
