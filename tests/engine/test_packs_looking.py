"""Incremental backups, looked into where they are: one attachment, two backups side by
side, files put back."""

import hashlib
import json

import pytest
from packs_world import MemoryStorage, Server, packs_in

from dfr_backup.engine.archive.attachment_index import (
    AttachmentQuery,
    find_index,
    search_index,
)
from dfr_backup.engine.catalog.browse import copy_out, find_file, find_files
from dfr_backup.engine.catalog.compare import compare_files
from dfr_backup.engine.catalog.scan import read_sidecar
from dfr_backup.engine.encryption.files import (
    generate_key,
    parse_identities,
    parse_recipients,
)
from dfr_backup.engine.errors import PermanentError
from dfr_backup.engine.errors.fetch import DamagedArchive, NotAtStorage
from dfr_backup.engine.manifest.names import INDEX, sidecar_key
from dfr_backup.engine.manifest.write import sidecar as sidecar_of
from dfr_backup.engine.packs.export import export
from dfr_backup.engine.packs.looking import look_into_backup
from dfr_backup.engine.packs.owner import PackEncryption
from dfr_backup.engine.packs.reading import open_backup
from dfr_backup.engine.packs.terms import Terms
from dfr_backup.engine.progress import Progress

CONTENTS = [f"content {number}".encode() * (number + 1) for number in range(11)]


class Shop(Server):
    """Its backups know which attachment is which file."""

    def pack(self, own, names):
        own.add_bytes(INDEX, b"".join(map(index_line, sorted(names))))
        return super().pack(own, names)


def index_line(name):
    line = dict.fromkeys(("name", "res_model", "res_field", "res_id", "mimetype"))
    line |= {"id": 1, "name": f"A{name[-5:]}", "store_fname": name, "file_size": 0}
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


@pytest.fixture
def storage():
    return MemoryStorage()


@pytest.fixture
def server(storage, tmp_path):
    return Shop(storage, tmp_path / "one")


@pytest.fixture
def names(server):
    return sorted(server.write(content) for content in CONTENTS)


def read(reader, entry):
    taken = []
    return copy_out(reader, entry, taken.append), b"".join(taken)


@pytest.mark.parametrize("encrypted", [False, True])
def test_each_attachment_is_found(server, storage, names, encrypted):
    identities = None
    if encrypted:
        pair = generate_key()
        server.encryption = PackEncryption("one", parse_recipients(pair.public))
        identities = parse_identities(pair.private)
    (server.root / names[3]).write_bytes(b"other")
    key, _packed = server.backup(names)
    assert len(packs_in(storage)) == 3
    with look_into_backup(storage, key, identities) as reader:
        for name in names:
            entry = find_file(reader, name)
            content = (server.root / name).read_bytes()
            assert read(reader, entry) == (name != names[3], content)
        assert find_file(reader, "00/none") is None


def test_what_others_have_in_the_packs_is_not_in_it(server, storage, names):
    server.backup(names)
    storage.pass_time(days=1)
    key, _packed = server.backup(names[1:])
    with look_into_backup(storage, key) as reader:
        assert find_file(reader, names[0]) is None
        assert find_file(reader, names[1])


def test_names_are_found_without_a_look_into_packs(server, storage, names):
    key, _packed = server.backup(names)
    for pack in packs_in(storage):
        storage.delete(pack)
    with look_into_backup(storage, key) as reader:
        wanted = AttachmentQuery(text=f"A{names[5][-5:]}")
        found = search_index(reader, find_index(reader), wanted, 10)
        assert [one.store_fname for one in found.first] == [names[5]]
        with pytest.raises(NotAtStorage):
            find_file(reader, names[5])


def test_several_files_are_read_pack_by_pack(server, storage, names):
    key, _packed = server.backup(names)
    with look_into_backup(storage, key) as reader:
        found = list(find_files(reader, set(names)))
        storage.counts.clear()
        reader.want([entry for _name, entry in found])
        contents = {name: read(reader, entry)[1] for name, entry in found}
    assert contents == {name: (server.root / name).read_bytes() for name in names}
    # the end of each pack, its list, and the files behind that
    assert storage.counts["stat"] == len(packs_in(storage))
    assert storage.most_open <= 3


def test_damaged_file_is_not_taken(server, storage, names):
    key, _packed = server.backup(names)
    pack = max(packs_in(storage))
    data, modified = storage.objects[pack]
    at = 30 + len("filestore/") + 43 + 2
    storage.objects[pack] = (data[:at] + b"?" + data[at + 1 :], modified)
    with look_into_backup(storage, key) as reader:
        good, bad = 0, 0
        for name in names:
            try:
                good += read(reader, find_file(reader, name))[0]
            except DamagedArchive:
                bad += 1
    assert (good, bad) == (len(names) - 1, 1)


def differences(storage, before, after):
    with (
        look_into_backup(storage, before) as old,
        look_into_backup(storage, after) as new,
    ):
        added, removed = compare_files(old.in_order(), new.in_order(), most=100)
    return added.first, removed.first


def test_two_backups_are_compared(server, storage, names):
    first, _packed = server.backup(names[1:])
    storage.pass_time(days=1)
    (server.root / names[4]).write_bytes(b"damaged")
    odd = "checksums/odd"
    (server.root / odd).parent.mkdir()
    (server.root / odd).write_bytes(b"odd")
    second, _packed = server.backup([*names[:-1], odd])
    added, removed = differences(storage, first, second)
    size = (server.root / names[0]).stat().st_size
    assert added == {names[0]: size, odd: 3}
    assert removed.keys() == {names[-1]}
    assert differences(storage, second, first) == (removed, added)


def test_complete_backup_is_compared_with_an_incremental_one(
    server, storage, names, tmp_path
):
    server.terms = Terms()
    first, _packed = server.backup(names[1:])
    complete = store_complete(storage, first, tmp_path)
    storage.pass_time(days=1)
    second, _packed = server.backup(names[:-1])
    assert differences(storage, first, complete) == ({}, {})
    added, removed = differences(storage, complete, second)
    assert (added.keys(), removed.keys()) == ({names[0]}, {names[-1]})


def store_complete(storage, key, folder):
    """Store the same backup once more, as a complete zip."""
    target, name = folder / "full.zip", "shop-20261127T083041Z-complete.zip"
    backup = open_backup(storage, read_sidecar(storage, sidecar_key(key)))
    manifest = export(backup, target, Progress())
    data = target.read_bytes()
    storage.put_bytes(data, name)
    sha256 = hashlib.sha256(data).hexdigest()
    storage.put_bytes(sidecar_of(manifest, name, len(data), sha256), sidecar_key(name))
    return name


def test_lost_pack_is_no_difference(server, storage, names):
    first, _packed = server.backup(names)
    storage.pass_time(days=1)
    second, _packed = server.backup(names[1:])
    storage.delete(max(packs_in(storage)))
    with pytest.raises(PermanentError):
        differences(storage, first, second)
