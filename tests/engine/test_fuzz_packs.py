"""Packs, what describes them and what is remembered of them raise errors of the engine,
whatever they hold."""

import hashlib
import io
import json
import zipfile
from functools import partial
from types import SimpleNamespace

import pytest
from fuzzing import changed, changed_json, either, fuzz
from packs_world import MemoryStorage, Server, packs_in

from dfr_backup.engine.archive.random_access import StreamSource
from dfr_backup.engine.archive.zip_reader import ZipReader
from dfr_backup.engine.errors import EngineError
from dfr_backup.engine.manifest.names import CHECKSUMS, sidecar_key
from dfr_backup.engine.manifest.pack_use import PackUse
from dfr_backup.engine.manifest.read import parse_sidecar
from dfr_backup.engine.packs.index import Index
from dfr_backup.engine.packs.listing import Listing
from dfr_backup.engine.packs.reading import packs_of
from dfr_backup.engine.packs.sidecar import parse_pack_sidecar
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.untrusted import Unusable, parse_json


class World:
    """A storage with two incremental backups, of which the second one wants a part of
    a pack."""

    def __init__(self, folder):
        self.storage = MemoryStorage()
        self.server = Server(self.storage, folder)
        names = [self.server.write(b"%d" % number * 20) for number in range(4)]
        self.server.backup(names)
        self.key, _packed = self.server.backup(names[1:])
        (self.pack,) = packs_in(self.storage)
        self.index = Index(self.server.place, self.server.owner)
        (self.known,) = self.stored()

    def stored(self):
        listing = Listing.of(self.storage, Progress())
        return self.index.stored(listing, Progress())

    def content(self, key):
        return self.storage.objects[key][0]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("packs"))


def is_usable_json(data, _error):
    try:
        parse_json(data)
    except Unusable:
        return False
    return True


def test_what_describes_a_pack(world):
    beside = sidecar_key(world.pack)
    valid = world.content(beside)
    assert parse_pack_sidecar(valid, beside).files == 4

    def read(data, _chance):
        parse_pack_sidecar(data, beside)

    fuzz("pack sidecar", read, valid, either(changed, changed_json), is_usable_json)


def test_what_describes_an_incremental_backup(world):
    beside = sidecar_key(world.key)
    valid = world.content(beside)
    (use,) = parse_sidecar(valid, beside).packs
    assert use.wanted is not None

    def read(data, _chance):
        for use in parse_sidecar(data, beside).packs:
            use.fits(4)
            [use.wants(number) for number in range(9)]

    change = either(changed, changed_json, changed_packs)
    fuzz("incremental sidecar", read, valid, change, is_usable_json)


def changed_packs(valid, chance):
    """Change what a sidecar says of its packs, and leave the rest of it right."""
    about = json.loads(valid)
    ours = about["dfr_backup"]
    holder = ours if "packs" in ours else about
    packs = json.dumps(holder["packs"]).encode()
    holder["packs"] = json.loads(changed_json(packs, chance))
    return json.dumps(about).encode()


@pytest.mark.parametrize("fits", [False, True], ids=["digest", "content"])
def test_what_is_remembered_of_a_pack(world, fits):
    """What was damaged is read in again; what somebody has written who knows how, with
    the digest that fits, is taken or not."""
    path = world.known._file
    valid = path.read_bytes()
    right = list(world.known.held())

    def read(data, _chance):
        path.write_bytes(data)
        found = [list(pack.held()) for pack in world.stored()]
        assert fits or found == [right]

    change = with_digest if fits else changed
    kind = f"pack index, {'its digest right' if fits else 'damaged'}"
    fuzz(kind, read, valid, change, is_changed(valid), 3)


def with_digest(valid, chance):
    data = changed(valid[:-32], chance)
    return data + hashlib.sha256(data).digest()


def is_changed(valid):
    return lambda data, _error: data != valid


def test_a_pack(world):
    """Its description fits it as it is, so that somebody reads it."""
    valid = world.content(world.pack)
    read = partial(read_pack, world)
    fuzz("pack", read, valid, either(changed, changed_members), has_directory, 3)


def read_pack(world, data, _chance):
    about = json.loads(world.content(sidecar_key(world.pack)))
    pack = about["dfr_backup"]["pack"]
    about.pop("signature", None)
    pack.update(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    pack.update(sums=sums_of(data) or pack["sums"])
    storage = MemoryStorage()
    storage.put_bytes(data, world.pack)
    storage.put_bytes(json.dumps(about).encode(), sidecar_key(world.pack))
    world.index.forget(world.pack)
    listing = Listing.of(storage, Progress())
    place = type(world.server.place)(storage, world.server.place.index)
    for known in Index(place, world.server.owner).stored(listing, Progress()):
        list(known.held())
    use = PackUse(world.pack, len(data), pack["sha256"], pack["sums"], b"\x0e")
    (part,) = packs_of(storage, SimpleNamespace(packs=[use]))
    with part.open() as opened:
        for _entry, pieces in opened.contents():
            b"".join(pieces)


def changed_members(valid, chance):
    """Return a pack whose members have changed: their content, names or order."""
    with zipfile.ZipFile(io.BytesIO(valid)) as pack:
        members = [(name, pack.read(name)) for name in pack.namelist()]
    at = chance.randrange(len(members))
    name, content = members[at]
    kind = chance.randrange(4)
    if kind == 0:
        members[at] = (name, changed(content, chance))
    elif kind == 1:
        odd = ("filestore/aa/../x", "filestore/aa/bb", "x", name[:-1] + "g", "a" * 9999)
        members[at] = (chance.choice(odd), content)
    elif kind == 2:
        chance.shuffle(members)
    else:
        del members[at]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as pack:
        for each in members:
            pack.writestr(*each)
    return stream.getvalue()


def sums_of(data):
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as pack:
            return hashlib.sha256(pack.read(CHECKSUMS)).hexdigest()
    except Exception:  # noqa: BLE001 (what Python's own reader raises)
        return ""


def has_directory(data, _error):
    try:
        with ZipReader(StreamSource(io.BytesIO(data))) as reader:
            list(reader.entries())
    except EngineError:
        return False
    return True
