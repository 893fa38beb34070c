"""Archives looked into where they are stored, files found and fetched, two of them
compared."""

import contextlib
import hashlib
import io
import json
import os
import tracemalloc
import zipfile
from dataclasses import replace

import pytest

from dfr_backup.engine.archive.attachment_index import (
    AttachmentQuery,
    find_index,
    name_files,
    search_index,
)
from dfr_backup.engine.archive.checked import CheckedReader
from dfr_backup.engine.archive.random_access import StoredFile, open_stored
from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.catalog import compare
from dfr_backup.engine.catalog.browse import (
    copy_out,
    find_file,
    find_files,
    look_into,
    read_contents,
)
from dfr_backup.engine.catalog.catalogued import Catalogued
from dfr_backup.engine.catalog.scan import read_sidecar
from dfr_backup.engine.encryption.files import (
    Passphrase,
    encrypt_file,
    generate_key,
    parse_identities,
    parse_recipients,
)
from dfr_backup.engine.errors import EngineError
from dfr_backup.engine.errors.encryption import OtherKeys, WrongPassphrase
from dfr_backup.engine.errors.fetch import (
    DamagedArchive,
    KeyNeeded,
    ManifestReplaced,
    NotAtStorage,
)
from dfr_backup.engine.errors.other import ManifestUnreadable, NotComparable
from dfr_backup.engine.manifest import write as manifest
from dfr_backup.engine.manifest.read import parse_manifest
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage

SQL = b"".join(b"INSERT INTO t VALUES (%d);\n" % n for n in range(200_000))
FILES = [bytes([n]) * 50 + os.urandom(200_000) for n in range(20)]
MANIFEST = {
    "db_name": "shop",
    "version": "19.0",
    "modules": {"base": "19.0.1.3"},
    "dfr_backup": {
        "rows": {'"public"."res_partner"': 3, '"other"."a""b"': 4},
        "addons": [{"name": "mine", "revision": "ab" * 20, "files": 2, "bytes": 9}],
        "filestore": {"files": 20, "bytes": 4_000_000, "missing": 1, "damaged": 0},
        "attachments": {"elsewhere": {"database": 2}},
    },
}


def fname(data):
    name = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    return f"{name[:2]}/{name}"


def line(number, data, **values):
    row = {
        "id": number,
        "name": f"file {number}.pdf",
        "res_model": "res.partner",
        "res_field": None,
        "res_id": number % 3,
        "store_fname": fname(data),
        "file_size": len(data),
        "mimetype": "application/pdf",
        **values,
    }
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def write_archive(path, files=FILES, index=True, lines=()):
    writer = ArchiveWriter.create(path)
    with writer.stream_member("dump.sql") as member:
        member.write(SQL)
    if index:
        with writer.stream_member("attachments.jsonl") as member:
            for number, data in enumerate(files):
                member.write(line(number, data))
            for text in lines:
                member.write(text)
    for data in sorted(files, key=fname):
        writer.add_bytes(f"filestore/{fname(data)}", data)
    writer.write_checksums()
    writer.add_bytes("manifest.json", json.dumps(MANIFEST).encode())
    writer.close()
    return path


class Far(LocalStorage):
    """A directory that pretends to be far away, and counts what is read of it."""

    read = 0
    requests = 0

    def _local_path(self, key):
        return None

    @contextlib.contextmanager
    def _open(self, key, offset):
        self.requests += 1
        with super()._open(key, offset) as stream:
            yield Counted(stream, self)


class Counted(io.RawIOBase):
    def __init__(self, stream, storage):
        self._stream, self._storage = stream, storage

    def readable(self):
        return True

    def readinto(self, buffer):
        data = self._stream.read(min(len(buffer), 100_000))  # as sockets do
        buffer[: len(data)] = data
        self._storage.read += len(data)
        return len(data)


@pytest.fixture
def far(tmp_path):
    write_archive(tmp_path / "a.zip")
    return Far(tmp_path, LocalRules([tmp_path]))


def fetched(storage, key, data, identities=None):
    with look_into(storage, key, identities) as reader:
        entry, pieces = find_file(reader, fname(data)), []
        assert copy_out(reader, entry, pieces.append)
        return b"".join(pieces)


def test_one_file_is_fetched_and_little_else(far, tmp_path):
    assert fetched(far, "a.zip", FILES[7]) == FILES[7]
    size = (tmp_path / "a.zip").stat().st_size
    assert far.read < len(FILES[7]) + 200_000 < size / 5
    assert far.requests <= 4


def test_a_local_archive_is_read_where_it_is(far, tmp_path):
    assert (
        fetched(LocalStorage(tmp_path, LocalRules([tmp_path])), "a.zip", FILES[3])
        == FILES[3]
    )


@pytest.mark.parametrize("kind", ["recipients", "passphrase"])
def test_one_file_of_an_encrypted_archive(far, tmp_path, kind):
    pair = generate_key()
    key = (
        parse_recipients(pair.public)
        if kind == "recipients"
        else Passphrase("a long one 12")
    )
    opens = parse_identities(pair.private) if kind == "recipients" else key
    encrypt_file(tmp_path / "a.zip", tmp_path / "a.zip.age", key, Progress())
    assert fetched(far, "a.zip.age", FILES[11], opens) == FILES[11]
    assert far.read < len(FILES[11]) + 900_000
    with (
        pytest.raises(OtherKeys if kind == "recipients" else WrongPassphrase),
        look_into(far, "a.zip.age", parse_identities(generate_key().private)),
    ):
        pass
    with (
        pytest.raises(KeyNeeded),
        look_into(far, "a.zip.age"),
    ):
        pass


def test_stored_file_seeks_like_a_file(far, tmp_path):
    data = (tmp_path / "a.zip").read_bytes()
    with StoredFile(far, "a.zip") as stream:
        for offset, size in (
            (0, 10),
            (5, 10),
            (500, 7),
            (1_000_000, 3),
            (20, 0),
            (999, 300_000),
        ):
            stream.seek(offset)
            found = b""
            while len(found) < size and (more := stream.read(size - len(found))):
                found += more
            assert found == data[offset : offset + size]
        assert stream.seek(-4, os.SEEK_END) == len(data) - 4
        assert stream.read(100) == data[-4:]
        assert stream.read(100) == b""


def test_a_missing_archive_is_named(far):
    with (
        pytest.raises(NotAtStorage),
        look_into(far, "b.zip"),
    ):
        pass


def test_damage_in_the_archive_is_an_error_and_not_a_file(far, tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo(f"filestore/{fname(FILES[7])}").header_offset
    data = bytearray(path.read_bytes())
    data[at + 100_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedArchive):
        fetched(far, "a.zip", FILES[7])


def vouched(far, folder):
    """Put a manifest beside the archive, as a run does; return what the catalogue
    notes."""
    with zipfile.ZipFile(folder / "a.zip") as archive:
        lines = archive.read("SHA256SUMS")
    members = {"count": 22, "sha256sums": hashlib.sha256(lines).hexdigest()}
    ours = {
        "job": "1",
        "run": "B1",
        "snapshot_at": "2026-11-24T02:00:00+00:00",
        "contents": ["database"],
        "missing": [],
        "members": members,
    }
    about = manifest.build({"db_name": "shop", "version": "19.0", "modules": {}}, ours)
    content = (folder / "a.zip").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    beside = manifest.sidecar(about, "a.zip", len(content), digest)
    far.put_bytes(beside, "a.json")
    return Catalogued.from_sidecar(read_sidecar(far, "a.json"))


def altered(path, **members):
    """Put other members into an archive, with the CRC-32 that they have."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**content, **members}.items():
            archive.writestr(name, data)


def test_each_member_that_is_read_is_compared(far, tmp_path):
    """Also where no name is its checksum: the index says which attachment is which."""
    known = replace(vouched(far, tmp_path), size=0)  # its size gives nothing away

    def index():
        with look_into(far, "a.zip", None, known) as reader:
            return search_index(
                reader, find_index(reader), AttachmentQuery(), 100
            ).total

    assert index() == len(FILES)
    path = tmp_path / "a.zip"
    other = line(1, FILES[1], name="other.pdf")
    altered(path, **{"attachments.jsonl": other})
    with pytest.raises(DamagedArchive):
        index()
    with zipfile.ZipFile(path) as archive:
        lines = archive.read("SHA256SUMS").splitlines(keepends=True)
    fitting = hashlib.sha256(other).hexdigest().encode() + b"  attachments.jsonl\n"
    fits = [fitting if b"attachments.jsonl" in each else each for each in lines]
    altered(path, **{"SHA256SUMS": b"".join(fits)})
    with pytest.raises(DamagedArchive):
        index()
    altered(path, **{"SHA256SUMS": b"".join(fits[:1] + fits[2:])})
    with pytest.raises(DamagedArchive):
        index()


def test_what_was_swapped_is_not_looked_into(far, tmp_path):
    known = vouched(far, tmp_path)
    with look_into(far, "a.zip", None, known) as reader:
        found = list(find_files(reader, {fname(data) for data in FILES}))
        reader.want([entry for _name, entry in found])
        for name, entry in found:
            pieces = []
            assert copy_out(reader, entry, pieces.append)
            assert fname(b"".join(pieces)) == name
    beside = json.loads((tmp_path / "a.json").read_bytes())
    beside["dfr_backup"]["members"]["sha256sums"] = "0" * 64
    far.put_bytes(json.dumps(beside).encode(), "a.json")
    with pytest.raises(ManifestReplaced), look_into(far, "a.zip", None, known):
        pass
    far.delete("a.json")
    with pytest.raises(EngineError), look_into(far, "a.zip", None, known):
        pass


def test_what_was_damaged_when_it_was_saved_is_told(tmp_path):
    writer = ArchiveWriter.create(tmp_path / "a.zip")
    writer.add_bytes(f"filestore/{fname(b'good')}", b"bad")
    writer.close()
    with look_into(Far(tmp_path, LocalRules([tmp_path])), "a.zip") as reader:
        assert (
            copy_out(reader, find_file(reader, fname(b"good")), lambda piece: None)
            is False
        )


# === THE INDEX === #


def search(far, most=100, **wanted):
    with look_into(far, "a.zip") as reader:
        return search_index(reader, find_index(reader), AttachmentQuery(**wanted), most)


def test_attachments_are_found_by_name_model_and_record(far, tmp_path):
    odd = line(
        90, b"x", name='Ü "quoted" \\ Straße\tTab', res_model="sale.order", res_id=12
    )
    nameless = line(91, b"y", name=None, res_model=None, res_id=None, file_size=None)
    write_archive(tmp_path / "a.zip", lines=[odd, nameless])
    assert [hit.id for hit in search(far, text="FILE 1.P").first] == [1]
    assert search(far, text='ü "QUOTED" \\ strasse\tt').first[0].id == 90
    assert search(far, model="sale.order").total == 1
    assert search(far, model="sale.orde").total == 0
    assert {hit.id for hit in search(far, record=12).first} == {90}
    assert {hit.id for hit in search(far, record=1, model="res.partner").first} == {
        n for n in range(20) if n % 3 == 1
    }
    assert [hit.id for hit in search(far, text=fname(FILES[5])[3:20]).first] == [5]
    hit = search(far, text=fname(b"y")).first[0]
    assert (hit.name, hit.model, hit.record, hit.size) == ("", "", 0, 0)
    # what stands in another column does not count
    assert search(far, text="application/pdf").total == 0


def test_all_are_counted_and_few_returned(far):
    hits = search(far, most=3)
    assert (len(hits.first), hits.total) == (3, 20)
    hits = search(far, most=3, model="res.partner")
    assert (len(hits.first), hits.total) == (3, 20)


def test_index_is_found_without_the_whole_directory(far):
    with look_into(far, "a.zip") as reader:
        assert find_index(reader).name == "attachments.jsonl"
        named = name_files(reader, find_index(reader), {fname(FILES[2])})
        assert [found.id for found in named] == [2]


def test_older_archives_have_no_index_and_their_files_are_found_all_the_same(
    far, tmp_path
):
    write_archive(tmp_path / "a.zip", index=False)
    with look_into(far, "a.zip") as reader:
        assert find_index(reader) is None
        found = dict(find_files(reader, {fname(FILES[2]), "no/ne"}))
        assert list(found) == [fname(FILES[2])]


@pytest.mark.parametrize("text", [b"{}\n", b"[]\n", b"\xff\n", b"x" * (3 << 20)])
def test_a_broken_index_is_an_error(far, tmp_path, text):
    write_archive(tmp_path / "a.zip", lines=[text])
    with pytest.raises(DamagedArchive):
        search(far, most=1000)


# === THE MANIFEST === #


def test_contents_come_from_beside_the_archive_or_from_inside(far, tmp_path):
    inside = read_contents(far, "a.zip")
    assert inside.shown_rows() == {"res_partner": 3, 'other.a"b': 4}
    assert inside.addons[0].name == "mine"
    assert inside.trouble == {"missing": 1}
    assert inside.elsewhere == {"database": 2}
    (tmp_path / "a.json").write_text(json.dumps({**MANIFEST, "db_name": "beside"}))
    assert read_contents(far, "a.zip").database == "beside"


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"\xff", b'{"a": 1, "a": 2}', b"[" * 9000]
)
def test_a_manifest_that_is_none_is_refused(text):
    with pytest.raises(ManifestUnreadable):
        parse_manifest(text, ManifestUnreadable)


@pytest.mark.parametrize(
    "odd",
    [
        {"rows": {"a": "many"}},
        {"rows": {"b": -5}},
        {"addons": [7]},
        {"filestore": []},
        {"pg_dump": 1},
    ],
)
def test_a_manifest_of_another_shape_is_refused(odd):
    with pytest.raises(ManifestUnreadable):
        parse_manifest(json.dumps({"dfr_backup": odd}).encode(), ManifestUnreadable)


# === TWO BACKUPS === #


def test_two_archives_are_compared_by_their_files(far, tmp_path):
    write_archive(tmp_path / "b.zip", files=[*FILES[3:], b"new", b"newer"])
    with look_into(far, "a.zip") as old, look_into(far, "b.zip") as new:
        added, removed = compare.compare_files(
            compare.in_order(old), compare.in_order(new), most=2
        )
    assert (added.count, added.bytes) == (2, 8)
    assert set(added.first) == {fname(b"new"), fname(b"newer")}
    assert removed.count == 3
    assert len(removed.first) == 2
    assert removed.bytes == sum(len(data) for data in FILES[:3])


def test_files_out_of_order_are_not_compared(far, tmp_path):
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for name in ("bb/b", "aa/a"):
            archive.writestr(f"filestore/{name}", "x")
    with (
        look_into(far, "a.zip") as old,
        look_into(far, "b.zip") as new,
        pytest.raises(NotComparable),
    ):
        compare.compare_files(compare.in_order(old), compare.in_order(new), most=2)


def test_rows_that_differ():
    changes = compare.compare_rows(
        {"a": 1, "b": 2, "gone": 3}, {"a": 1, "b": 5, "new": 0}
    )
    assert [(c.name, c.before, c.after, c.difference) for c in changes] == [
        ("b", 2, 5, 3),
        ("gone", 3, None, -3),
        ("new", None, 0, 0),
    ]


MANY = 30_000


@pytest.fixture
def crowded(tmp_path):
    """A storage with an archive of many small files, what it lists, and the SHA-256 of
    its list of checksums."""
    names, lines = [], []
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(MANY):
            content = str(number).encode()
            names.append(fname(content))
            archive.writestr(f"filestore/{names[-1]}", content)
            sha256 = hashlib.sha256(content).hexdigest()
            lines.append(f"{sha256}  filestore/{names[-1]}\n")
        sums = "".join(lines).encode()
        archive.writestr("SHA256SUMS", sums, zipfile.ZIP_DEFLATED)
    return Far(tmp_path, LocalRules([tmp_path])), names, hashlib.sha256(sums)


def test_one_of_many_files_takes_the_list_once_and_no_memory(crowded, tmp_path):
    """The list of checksums is compared as a whole, since it vouches for its lines
    only as a whole; it is never held."""
    storage, names, sums = crowded
    wanted = names[:: MANY // 20]
    tracemalloc.start()
    with (
        open_stored(storage, "a.zip") as source,
        CheckedReader(source, sums.hexdigest()) as reader,
    ):
        entries = [entry for _name, entry in find_files(reader, {*wanted})]
        reader.want(entries)
        read = storage.read
        for entry in entries:
            assert copy_out(reader, entry, bytes)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        size = archive.getinfo("SHA256SUMS").compress_size
        directory = (tmp_path / "a.zip").stat().st_size - archive.start_dir
    assert peak < 7 << 20
    assert read < 1.1 * (size + 3 * directory) + (1 << 20)
    assert storage.read - read < 20 * (300 << 10)
