"""Backups that earlier releases have written (``golden/README.rst``): each must be read
by this one."""

import hashlib
import hmac
import json
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from dfr_backup.engine.archive.attachment_index import (
    AttachmentQuery,
    find_index,
    search_index,
)
from dfr_backup.engine.archive.random_access import open_stored
from dfr_backup.engine.archive.reader import open_archive
from dfr_backup.engine.catalog.browse import (
    copy_out,
    find_file,
    look_into,
    read_contents,
)
from dfr_backup.engine.catalog.catalogued import Catalogued, compare_stored
from dfr_backup.engine.catalog.scan import describe_stored, read_sidecar, scan
from dfr_backup.engine.catalog.upload_receiver import look_at
from dfr_backup.engine.encryption.files import Passphrase, parse_identities
from dfr_backup.engine.encryption.secret_box import Key
from dfr_backup.engine.identity import Identity
from dfr_backup.engine.manifest.names import sidecar_key
from dfr_backup.engine.manifest.signature import ELSEWHERE, HERE, UNSIGNED, Signer
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage

GOLDEN = Path(__file__).with_name("golden")
KEYS = json.loads((GOLDEN / "keys.json").read_text())
UUID = "0f5bd1f6-9d1c-4d3e-8a75-6b7a2f1c9e10"
RELEASES = sorted(path.name for path in GOLDEN.glob("[0-9]*"))
UNSIGNED_RELEASES = {"19.0.1.0.0"}
WHOLE, PUBLIC, PASSPHRASE, PARTIAL = "5424c813", "5424c814", "5424c815", "5424c816"
ODOO = "shop_2026-11-27_08-30-41.zip"
NAMED = "Grüße – 数据.txt"
CONTENT = "Grüße, 数据\n".encode()
STORED = [
    (release, path.name)
    for release in RELEASES
    for path in sorted((GOLDEN / release).iterdir())
    if path.suffix != ".json"
]


def storage_of(release):
    folder = GOLDEN / release
    return LocalStorage(folder, LocalRules([folder], []))


def key_of(key):
    """Return what opens an archive: nothing, a private key, a passphrase."""
    if not key.endswith(".age"):
        return None
    if PASSPHRASE in key:
        return Passphrase(KEYS["passphrase"])
    return parse_identities(KEYS["private"])


@pytest.fixture(params=STORED, ids="-".join)
def stored(request):
    """Yield (storage, key of an archive, what opens it)."""
    release, key = request.param
    return storage_of(release), key, key_of(key)


def has_dump(key):
    return PARTIAL not in key


def has_index(key):
    return has_dump(key) and not key.startswith("shop_")


def test_each_release_is_here():
    assert {"19.0.1.0.0", "19.0.1.1.0"} <= set(RELEASES)
    for release in RELEASES:
        kinds = [key for name, key in STORED if name == release]
        assert len(kinds) == 5, release


@pytest.mark.parametrize("release", RELEASES)
def test_storage_is_listed(release):
    found = list(scan(storage_of(release), Progress()))
    assert [item.problem for item in found] == [None] * 5
    assert {item.key for item in found} == {k for r, k in STORED if r == release}


def test_sidecar(stored):
    storage, key, _opens = stored
    said = read_sidecar(storage, sidecar_key(key))
    assert (said.key, said.format, said.database) == (key, 1, "shop")
    assert said.encrypted == key.endswith(".age")
    assert said.taken_at.isoformat() == "2026-11-27T08:30:41+00:00"
    assert set(said.module_names) == {"base", "golden", "web"}
    assert [part.part for part in said.missing] == (
        [] if has_dump(key) else ["dump_database"]
    )
    kinds = {PUBLIC: "recipients", PASSPHRASE: "passphrase"}
    assert said.encryption == next((k for job, k in kinds.items() if job in key), "")
    assert said.recipients == ((KEYS["public"],) if PUBLIC in key else ())
    assert said.owner_uuid == UUID
    assert said.made_by_odoo == key.startswith("shop_")
    if not said.made_by_odoo:
        assert (said.plan, said.addons) == ("Nightly", ("golden",))
        assert said.sums_sha256
        assert said.content_digest


@pytest.mark.parametrize("release", RELEASES)
def test_identity(release):
    said = read_sidecar(storage_of(release), sidecar_key(key_in(release, WHOLE)))
    known = Identity(UUID, "7577000000000000001", 16384)
    assert said.identity == (Identity("") if release in UNSIGNED_RELEASES else known)


def key_in(release, job):
    return next(key for name, key in STORED if name == release and job in key)


@pytest.mark.parametrize("release, key", STORED, ids=lambda text: text)
def test_signature(release, key):
    said = read_sidecar(storage_of(release), sidecar_key(key)).signature
    ours = Signer(Key(bytes.fromhex(KEYS["server_key"])))
    other = Signer(Key(bytes(32)))
    if release in UNSIGNED_RELEASES:
        assert ours.judge(said) == UNSIGNED
        return
    assert (ours.judge(said), other.judge(said)) == (HERE, ELSEWHERE)
    assert Identity.from_json(said.identity) == Identity(
        UUID, "7577000000000000001", 16384
    )


def test_verification(stored):
    storage, key, _opens = stored
    said = read_sidecar(storage, sidecar_key(key))
    known = Catalogued.from_sidecar(said)
    assert compare_stored(storage, key, known, Progress()) == said


def test_description_and_checksums(stored):
    storage, key, opens = stored
    with open_stored(storage, key, opens) as source, open_archive(source) as archive:
        found = archive.describe()
        assert archive.check(Progress()) >= 4
        assert (
            archive.content_digest
            == read_sidecar(storage, sidecar_key(key)).content_digest
        )
        if has_dump(key):
            dump = b"".join(archive.sql())
            assert b"COPY public.res_partner" in dump
            assert "Grüße".encode() in dump
            assert found.pg_version == (15, 18)
    imported = key.startswith("shop_")
    assert found.origin == ("odoo" if imported else "dfr_backup")
    assert (found.database, found.odoo_series, found.files) == ("shop", "19.0", 3)
    assert found.modules["golden"] == "19.0.1.0.0"
    assert ("database" in found.contents) == has_dump(key)
    assert found.has_checksums != imported
    assert found.addons == (() if imported else ("golden",))
    if has_index(key):
        assert found.rows == {
            '"public"."ir_attachment"': 3,
            '"public"."res_partner"': 2,
        }


def test_one_attachment_is_found_and_fetched(stored):
    storage, key, opens = stored
    sha1 = hashlib.sha1(CONTENT, usedforsecurity=False).hexdigest()
    with look_into(storage, key, opens) as reader:
        index = find_index(reader)
        assert bool(index) == has_index(key)
        if index:
            hits = search_index(reader, index, AttachmentQuery("GRÜSSE – 数据"), 10)
            assert [hit.name for hit in hits.first] == [NAMED]
            assert (hits.first[0].model, hits.first[0].record) == ("res.partner", 3)
            assert hits.first[0].store_fname == f"{sha1[:2]}/{sha1}"
        pieces = []
        entry = find_file(reader, f"{sha1[:2]}/{sha1}")
        assert copy_out(reader, entry, pieces.append)
        assert b"".join(pieces) == CONTENT


def test_contents(stored):
    storage, key, opens = stored
    found = read_contents(storage, key, opens)
    assert (found.database, found.pg_version) == ("shop", "15.14")
    if not key.startswith("shop_"):
        (addon,) = found.addons
        assert (addon.name, addon.revision, addon.files) == ("golden", "ab" * 20, 2)
        assert (found.files, found.trouble) == (3, {"missing": 1})
        assert found.elsewhere == {"database": 1}
        assert ("res_partner" in found.shown_rows()) == has_dump(key)


def test_archive_comes_alone(stored, tmp_path):
    storage, key, opens = stored
    moment = read_sidecar(storage, sidecar_key(key)).taken_at
    found = look_at(Path(storage.location(key)), key, moment)
    assert found.key == key
    assert found.made_by_odoo == key.startswith("shop_")
    if opens is None:
        assert found.sidecar.database == "shop"


def test_zip_of_odoo():
    storage = storage_of("odoo")
    said = describe_stored(storage, ODOO)
    assert said.made_by_odoo
    assert (said.database, said.contents) == ("shop", ("database", "filestore"))
    with open_archive(GOLDEN / "odoo" / ODOO) as archive:
        # files of the filestore, the notes about them, dump and manifest
        assert archive.check(Progress()) == 3 + 3 + 2
        assert len(list(archive.attachments())) == 3
        assert archive.content_digest == ""
    assert replace(said, sha256="") == said


# === BY THE PAGE ALONE === #


def hkdf(key, info):
    """Return 32 bytes of HKDF-SHA-256 without a salt."""
    extracted = hmac.digest(bytes(32), key, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def canonical(content):
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


PLAIN = [(release, key) for release, key in STORED if key.endswith(".zip")]
SIGNED = [about for about in PLAIN if about[0] not in UNSIGNED_RELEASES]
OURS = [(release, key) for release, key in PLAIN if not key.startswith("shop_")]


@pytest.mark.parametrize("release, key", SIGNED, ids=lambda text: text)
def test_signature_is_as_the_page_says(release, key):
    content = json.loads((GOLDEN / release / sidecar_key(key)).read_text())
    value = content["signature"].pop("value")
    signing_key = hkdf(
        bytes.fromhex(KEYS["server_key"]), b"dfr_backup manifest signature 1"
    )
    digest = hashlib.sha256(canonical(content)).hexdigest()
    assert value == hmac.new(signing_key, digest.encode(), "sha256").hexdigest()
    named = hashlib.sha256(b"dfr_backup signing key name " + signing_key).hexdigest()
    assert content["signature"]["key"] == named[:16]


@pytest.mark.parametrize("release, key", OURS, ids=lambda text: text)
def test_archive_is_as_the_page_says(release, key):
    path = GOLDEN / release / key
    beside = json.loads(path.with_suffix(".json").read_text())
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        content = {member.filename: archive.read(member) for member in members}
    assert len(content) == len(members)
    sums = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n"
        for name, data in list(content.items())[:-2]
    ).encode()
    assert list(content)[-2:] == ["SHA256SUMS", "manifest.json"]
    assert content["SHA256SUMS"] == sums
    inside = json.loads(content["manifest.json"])
    assert inside["dfr_backup"]["members"] == {
        "count": len(members) - 2,
        "sha256sums": hashlib.sha256(sums).hexdigest(),
    }
    stored = path.read_bytes()
    assert beside.pop("archive") == {
        "key": key,
        "size": len(stored),
        "sha256": hashlib.sha256(stored).hexdigest(),
    }
    beside.pop("signature", None)
    assert beside == inside
    first = ["dump.sql", "attachments.jsonl"] if has_dump(key) else []
    assert list(content)[: len(first)] == first
    for name, data in content.items():
        if name.startswith("filestore/"):
            sha1 = hashlib.sha1(data, usedforsecurity=False).hexdigest()
            assert name == f"filestore/{sha1[:2]}/{sha1}"


STREAMED = {"dump.sql", "attachments.jsonl", "SHA256SUMS"}


@pytest.mark.parametrize("release, key", OURS, ids=lambda text: text)
def test_records_of_the_zip_are_as_the_page_says(release, key):
    data = (GOLDEN / release / key).read_bytes()
    with zipfile.ZipFile(GOLDEN / release / key) as archive:
        members, start = archive.infolist(), archive.start_dir
        assert archive.comment == b""
    assert len({member.date_time for member in members}) == 1
    at = 0
    for member in members:
        about = (member.create_system, member.create_version, member.extract_version)
        assert about == (3, 45, 45)
        assert member.external_attr == 0o100644 << 16
        assert (member.header_offset, member.extra, member.comment) == (at, b"", b"")
        streamed = bool(member.flag_bits & 8)
        assert member.flag_bits == 0x800 | 8 * streamed
        assert streamed or member.filename not in STREAMED
        crc, packed, size, name, extra = struct.unpack_from("<3L2H", data, at + 14)
        real = member.CRC, member.compress_size, member.file_size
        assert (crc, packed, size) == ((0, 2**32 - 1, 2**32 - 1) if streamed else real)
        at += 30 + name
        field = struct.pack("<2H2Q", 1, 16, 0, 0) if streamed else b""
        assert data[at : at + extra] == field
        at += extra + member.compress_size
        if streamed:
            descriptor = struct.pack("<4sL2Q", b"PK\7\x08", *real)
            assert data[at : at + len(descriptor)] == descriptor
            at += len(descriptor)
    assert at == start
