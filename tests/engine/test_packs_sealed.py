"""What this server remembers of encrypted packs tells nobody their names."""

import hashlib
import json
from dataclasses import replace

import pytest
from packs_world import (
    SERVER_KEY,
    SHOP,
    MemoryStorage,
    Server,
    packs_in,
)

from dfr_backup.engine.encryption.files import Passphrase
from dfr_backup.engine.encryption.secret_box import Key
from dfr_backup.engine.manifest.signature import Signer
from dfr_backup.engine.packs.index import AT_ONCE, SUFFIX, Held, Index
from dfr_backup.engine.packs.listing import Listing
from dfr_backup.engine.packs.owner import PackEncryption
from dfr_backup.engine.packs.sealed import NotSealed, Seal, which_opens
from dfr_backup.engine.packs.sidecar import PackSidecar
from dfr_backup.engine.packs.terms import Terms
from dfr_backup.engine.progress import Progress

OTHER = Key(bytes(32))
KEY = "0f5bd1f6-files-0123456789abcdef01234567.zip.age"


@pytest.fixture
def storage():
    return MemoryStorage()


@pytest.fixture
def server(storage, tmp_path):
    key = Passphrase("a long passphrase", work_factor=10)
    return Server(
        storage,
        tmp_path / "one",
        terms=Terms(small_bytes=0),
        encryption=PackEncryption("mark", key),
    )


@pytest.fixture
def names(server):
    found = [server.write(f"content {n}".encode()) for n in range(9)]
    server.backup(found)
    server.storage.pass_time(days=1)
    return found


def index_of(server):
    (path,) = server.place.index.glob(f"*{SUFFIX}")
    return path


def new_files(server, names):
    return server.backup(names)[1].new_files


def use_keys(server, *keys):
    server.owner = replace(server.owner, signer=Signer(*keys))


def test_names_are_not_in_the_file(server, names):
    data = index_of(server).read_bytes()
    for name in names:
        assert bytes.fromhex(name[3:]) not in data
        assert name[3:].encode() not in data
    assert new_files(server, names) == 0


def test_packs_in_the_clear_are_not_sealed(server, storage):
    """Everybody can look into them."""
    server.encryption = None
    name = server.write(b"content")
    server.backup([name])
    assert bytes.fromhex(name[3:]) in index_of(server).read_bytes()


def test_former_key_opens_it(server, names):
    use_keys(server, OTHER, SERVER_KEY)
    assert new_files(server, names) == 0


def test_without_the_key_files_are_stored_anew(server, storage, names):
    use_keys(server, OTHER)
    assert new_files(server, names) == len(names)
    assert len(packs_in(storage)) == 2


def test_what_an_older_release_has_left_is_sealed(server, names):
    path = index_of(server)
    index = Index(server.place, server.owner, "mark")
    (pack,) = index.stored(Listing.of(server.storage, Progress()), Progress())
    held = list(pack.held())
    Index(server.place, server.owner).add(replace(pack.about, mark=""), held)
    clear = path.read_bytes()
    line, _feed, rest = clear.partition(b"\n")
    head = {**json.loads(line), "mark": "mark"}
    del head["sealed"]
    rewrite(path, json.dumps(head).encode() + b"\n" + rest[:-32])
    assert bytes.fromhex(names[0][3:]) in path.read_bytes()
    assert new_files(server, names) == 0
    assert bytes.fromhex(names[0][3:]) not in path.read_bytes()


def rewrite(path, data):
    path.write_bytes(data + hashlib.sha256(data).digest())


@pytest.mark.parametrize("count", [1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE])
def test_all_of_it_comes_back(server, count):
    held = [Held(number.to_bytes(20, "big"), number) for number in range(count)]
    digest = "a" * 64
    about = PackSidecar(KEY, 1, digest, digest, count, 1, "mark", SHOP)
    known = Index(server.place, server.owner, "mark").add(about, held)
    assert list(known.held()) == held


def test_pieces_cannot_change_places():
    seal = Seal(bytes(32))
    piece = seal.close(b"piece", "here")
    assert seal.open(piece, "here") == b"piece"
    with pytest.raises(NotSealed):
        seal.open(piece, "there")
    with pytest.raises(NotSealed):
        which_opens([Seal(bytes([1]) * 32)], piece, "here")
    assert "0" * 8 not in repr(seal)
