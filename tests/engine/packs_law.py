"""What must hold for servers that share a storage, whatever they do and whatever the
storage does. A ``Seat`` is the storage as one server uses it: each operation is looked
at before it is done, with the truth beside it, which no server knows.

* A sidecar is written when its archive is there, and when the last list has shown each
  pack that it names, not condemned.
* A backup names packs of its own database only, encrypted for exactly the present keys,
  each listed with what describes it, and none that somebody has forged.
* No pack is stored over another object.
* A backup that has succeeded comes back as it was. One that has failed is not there.
* Where the storage locks what it gets, all that a backup needs is locked as long as its
  sidecar.
* Nobody deletes what a backup needs, nor a pack of another database, nor one of which
  somebody has changed what was signed; and nothing that says something about a pack
  before the pack.
* A pack is condemned when it is a day old, so that no run is about to name it. It is
  deleted 48 hours by the storage's clock and two verified backups later, none of which
  needs it. Neither is done while the storage does not list a backup of the catalogue.
* A backup that nothing disturbs succeeds, at the latest by the second attempt; and in
  the end nothing is left that nobody needs (``packs_walk.Walk.finish``).
"""

import hashlib
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property
from io import BytesIO

from packs_world import SERVER_KEY, packs_in

from dfr_backup.engine.catalog.scan import read_sidecar
from dfr_backup.engine.encryption.files import open_decrypted, parse_identities
from dfr_backup.engine.errors import EngineError
from dfr_backup.engine.errors.packs import PackMalformed
from dfr_backup.engine.manifest.names import (
    FILESTORE,
    PACK,
    PACK_SIDECAR,
    sidecar_key,
)
from dfr_backup.engine.manifest.read import parse_sidecar
from dfr_backup.engine.packs.names import CONDEMNATION, condemned_key, stem_of
from dfr_backup.engine.packs.reading import open_backup
from dfr_backup.engine.packs.sidecar import parse_pack_sidecar
from dfr_backup.engine.storages.base import Lock, Storage

RECENT = timedelta(hours=1)  # how late a list may be
YOUNG = timedelta(hours=24)  # a pack that is not condemned yet
GRACE = timedelta(hours=48)  # between the condemnation of a pack and its end
VERIFIED = 2  # backups in that time, at least
UNLOCKED = Lock(datetime.min.replace(tzinfo=timezone.utc))


class Broken(AssertionError):
    """The law does not hold."""


def kind_of(key):
    """Return what an object is for the packs."""
    if PACK.fullmatch(key):
        return "pack"
    if PACK_SIDECAR.fullmatch(key):
        return "pack sidecar"
    if CONDEMNATION.fullmatch(key):
        return "condemnation"
    if key.endswith(".json"):
        return "sidecar"
    return "archive" if key.endswith(".zip") else ""


@dataclass
class Made:
    """A pack as it was stored: its bytes, the key of its ``maker``'s identity, the
    public ``keys`` that it is encrypted for, and how large its sidecar was."""

    data: bytes
    maker: str
    keys: frozenset = frozenset()
    described: int = 0


@dataclass
class Truth:
    """A stored backup: the names of its ``files``, the keys of its ``packs``."""

    files: set
    packs: tuple


@dataclass
class Law:
    """The truth about a storage. ``pairs`` are all keys that packs may be encrypted
    for; ``made``: what was stored as a pack; ``backups`` have succeeded; ``verified``
    says of those that were read back, also after they were forgotten, when that was,
    whose they are, and which packs they need; ``damaged`` are the objects that the
    storage has lost or changed since, as they were; ``forged`` packs are right, but for
    a signature of that key, or (None) not what they say; ``condemned`` says since when
    packs are."""

    storage: object
    pairs: tuple = ()
    made: dict = field(default_factory=dict)
    backups: dict = field(default_factory=dict)
    verified: dict = field(default_factory=dict)
    damaged: dict = field(default_factory=dict)
    forged: dict = field(default_factory=dict)
    condemned: dict = field(default_factory=dict)

    # === WHAT A SERVER IS ABOUT TO DO === #

    def putting(self, seat, key, data):
        kind = kind_of(key)
        if kind == "pack":
            if key in self.storage.objects:
                raise Broken(f"{key} is stored over another one")
            self.made[key] = Made(data, seat.identity.key, self._keys_of(data))
        elif kind == "pack sidecar":
            self.made[self._pack_of(key)].described = len(data)
        elif kind == "condemnation":
            self._condemning(seat, self._pack_of(key))
        elif kind == "sidecar":
            self._naming(seat, parse_sidecar(data, key))

    def _pack_of(self, key):
        """Return the pack that an object says something about."""
        (pack,) = (made for made in self.made if stem_of(made) == stem_of(key))
        return pack

    def _keys_of(self, data):
        """Return the public keys that a pack is encrypted for."""
        return frozenset(
            pair.public for pair in self.pairs if _opens(data, pair.private)
        )

    def _condemning(self, seat, key):
        # one that a slower prune writes once more has been there all the time
        if condemned_key(key) not in self.storage.objects:
            self.condemned[key] = self.storage.now
        _data, modified = self.storage.objects.get(key, (None, None))
        if modified and self.storage.now - modified < YOUNG:
            raise Broken(f"{key} is condemned, and a run may be about to name it")
        self._require_none_lost(seat, key)

    def _naming(self, seat, sidecar):
        archive = self.storage.objects.get(sidecar.key, (b"", None))[0]
        if hashlib.sha256(archive).hexdigest() != sidecar.sha256:
            raise Broken(f"{sidecar.key} gets a sidecar, and is not there")
        for use in sidecar.packs:
            if self.forged.get(use.key, 0) in (None, seat.secret):
                raise Broken(f"{use.key} is forged, and used")
            made = self.made[use.key]
            if made.maker != seat.identity.key:
                raise Broken(f"{use.key} is of another database, and used")
            if made.keys != seat.keys:
                raise Broken(f"{use.key} is encrypted for other keys, and used")
            if use.key not in seat.listed or condemned_key(use.key) in seat.listed:
                raise Broken(f"{use.key} is named, and was not listed")
            beside = seat.listed.get(sidecar_key(use.key))
            if not beside or beside.size != made.described:
                raise Broken(f"{use.key} is used without what describes it")

    def deleting(self, seat, key):
        if kind_of(key) == "pack" and key in self.storage.objects:
            self._require_own(seat, key)
            if self.made[key].described or key not in seat.stored:
                self._require_awaited(seat, key)  # not what it has failed to store
                self._require_none_lost(seat, key)
        if kind_of(key) == "pack":
            self.require_unneeded(key)
        if self.is_about_pack(key) and self.has_pack(key):
            raise Broken(f"{key} is deleted before its pack")

    def is_about_pack(self, key):
        return kind_of(key) in ("pack sidecar", "condemnation")

    def has_pack(self, key):
        """Tell whether the pack is there that an object says something about."""
        endings = (".zip", ".zip.age")
        return any(f"{stem_of(key)}{end}" in self.storage.objects for end in endings)

    def _require_awaited(self, seat, key):
        there = condemned_key(key) in self.storage.objects
        since = self.condemned.get(key)
        if not there or since is None or self.storage.now - since < GRACE:
            raise Broken(f"{key} is deleted too early")
        later = [
            backup
            for backup, (moment, owner, packs) in self.verified.items()
            if moment > since and owner == seat.identity.key and key not in packs
        ]
        if len(later) < VERIFIED:
            raise Broken(f"{key} is deleted before {VERIFIED} verified backups")

    def _require_none_lost(self, seat, key):
        for backup in seat.catalogue:
            if backup not in self.storage.objects or backup in seat.faults.hidden:
                raise Broken(f"{key} is to be deleted, and {backup} is not listed")

    def _require_own(self, seat, key):
        if sidecar_key(key) not in seat.listed:
            return  # whose it is, nobody has said until then
        beside = self.storage.objects.get(sidecar_key(key))
        try:
            about = beside and parse_pack_sidecar(beside[0], sidecar_key(key))
        except PackMalformed:
            about = None
        is_own = self.made[key].maker == seat.identity.key
        if about and key not in self.forged and not is_own:
            raise Broken(f"{key} is of another database, and deleted")
        is_intact = sidecar_key(key) not in self.damaged
        if is_intact and self.forged.get(key, 0) == seat.secret:
            raise Broken(f"{key} was changed after it was signed, and is deleted")

    def require_unneeded(self, key):
        for backup, truth in self.backups.items():
            if key in truth.packs:
                raise Broken(f"{key} is deleted, and {backup} needs it")

    # === WHAT BECAME OF IT === #

    def succeeded(self, key, files):
        """A backup of these files has succeeded."""
        sidecar = read_sidecar(self.storage, sidecar_key(key))
        packs = tuple(use.key for use in sidecar.packs)
        self.backups[key] = Truth(set(files), packs)
        self._require_there(key)
        if not self.damaged.keys() & set(packs):
            self.require_restored(key)

    def is_verified(self, key, owner):
        """A backup of that identity has succeeded, and was read back."""
        moment = self.storage.objects[sidecar_key(key)][1]
        self.verified[key] = moment, owner.key, self.backups[key].packs

    def failed(self, key):
        if sidecar_key(key) in self.storage.objects:
            raise Broken(f"{key} has failed, and is there")

    def killed(self, key, files):
        """What a killed run has stored is a backup when it is whole, and nobody is
        about to delete what it needs."""
        there = self.storage.objects
        if sidecar_key(key) not in there:
            return
        packs = [use.key for use in read_sidecar(self.storage, sidecar_key(key)).packs]
        if all(each in there and condemned_key(each) not in there for each in packs):
            self.succeeded(key, files)

    def forgotten(self, key):
        self.backups.pop(key, None)

    def _require_there(self, key):
        for pack in self.backups[key].packs:
            stored = self.storage.objects.get(pack, (None, None))[0]
            if stored != self.made[pack].data and pack not in self.damaged:
                raise Broken(f"{key} needs {pack}, which is not there")

    def check(self):
        """Look whether all backups are what they were."""
        for key in self.backups:
            self._require_there(key)
            self._require_locked(key)
            for each in (key, sidecar_key(key)):
                if each not in self.storage.objects and each not in self.damaged:
                    raise Broken(f"{each} was deleted")

    def require_lock(self, key):
        """A backup was stored, and nobody has killed that before its end."""
        if self.storage.lock_time and sidecar_key(key) not in self.storage.locks:
            raise Broken(f"{key} is not locked")

    def _require_locked(self, key):
        locks = self.storage.locks
        lock = locks.get(sidecar_key(key))
        for each in (key, *self.backups[key].packs):
            has = locks.get(each) or UNLOCKED
            if lock and each not in self.damaged and not has.covers(lock):
                raise Broken(f"{key} is locked for longer than {each}")

    def require_restored(self, key):
        """Raise Broken unless a backup comes back as it was, or says that it does
        not because of what the storage has lost or changed."""
        names = set()
        try:
            sidecar = read_sidecar(self.storage, sidecar_key(key))
            backup = open_backup(self.storage, sidecar, self.identities)
            backup.require_content()
            for part in backup.parts:
                with part.open() as opened:
                    for entry, pieces in opened.contents():
                        content = b"".join(pieces)
                        if entry.name.startswith(FILESTORE):
                            names.add(entry.name.removeprefix(FILESTORE))
                            self._require_right(part, entry, content)
        except EngineError as error:
            needed = {key, sidecar_key(key), *self.backups[key].packs}
            if not needed & self.damaged.keys():
                raise Broken(f"{key} cannot be read: {error}") from None
            return
        if not self.backups[key].files <= names:
            raise Broken(f"{key} has a gap")

    def _require_right(self, part, entry, content):
        digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        if part.use and not entry.name.endswith(digest):
            raise Broken(f"{entry.name} has other content")

    @cached_property
    def identities(self):
        return [key for pair in self.pairs for key in parse_identities(pair.private)]

    def opened(self, key):
        """Return a pack, as it was stored, as a zip."""
        stream = BytesIO(self.made[key].data)
        if self.made[key].keys:
            stream = open_decrypted(stream, self.identities)
        return zipfile.ZipFile(stream)

    # === WHAT THE STORAGE DOES === #

    def damage(self, key, data):
        """Let the storage lose an object (None), or have other bytes."""
        stored, modified = self.storage.objects.pop(key)
        self.damaged.setdefault(key, (stored, modified))
        if data is not None:
            self.storage.objects[key] = data, modified

    def heal(self):
        """Let the storage have again what it had."""
        for key, found in self.damaged.items():
            self.storage.objects[key] = found
        self.damaged.clear()

    def unneeded(self, identity, also_condemned=False):
        """Return the packs of an identity that no stored backup names; of those that
        are condemned or have no sidecar, none unless they are asked for."""
        there = self.storage.objects
        return sorted(
            key
            for key in packs_in(self.storage) - self._needed() - self.forged.keys()
            if self.made[key].maker == identity.key
            and (also_condemned or condemned_key(key) not in there)
            and (also_condemned or sidecar_key(key) in there)
        )

    def _needed(self):
        """Return the packs that stored backups name, also those of killed runs."""
        needed = {key for truth in self.backups.values() for key in truth.packs}
        for key in self.storage.objects:
            if kind_of(key) == "sidecar" and key not in self.damaged:
                needed |= {u.key for u in read_sidecar(self.storage, key).packs}
        return needed


@dataclass
class Faults:
    """What a storage does to one server: ``hidden`` keys that its lists leave out,
    only the first list of a prune when it is ``flaky``; those of the kinds ``late``
    that others have stored within ``RECENT``; ``lies`` are kinds of objects of which
    the next is stored as something else."""

    hidden: set = field(default_factory=set)
    flaky: bool = False
    late: tuple = ()
    lies: list = field(default_factory=list)


class Seat(Storage):
    """The storage, as one server uses it. ``keys`` are the public keys that it has to
    encrypt for, ``catalogue`` the backups that it knows."""

    def __init__(self, storage, law, identity):
        self.storage = storage
        self.law = law
        self.identity = identity
        self.secret = SERVER_KEY
        self.keys = frozenset()
        self.catalogue = {}
        self.listed = {}
        self.lists = 0
        self.hidden = 0  # objects that were left out of lists
        self.faults = Faults()
        self.stored = {}  # what this server has stored, by key
        self.before = lambda name, kind: None

    @property
    def now(self):
        return self.storage.now

    @contextmanager
    def facing(self, **faults):
        """Meanwhile, let the storage have these faults."""
        self.faults, before = Faults(**faults), self.hidden
        try:
            yield lambda: self.hidden - before
        finally:
            self.faults = Faults()

    def put(self, source, key, progress):
        self.put_bytes(source.read_bytes(), key)

    def put_bytes(self, data, key):
        self.storage.put_bytes(self._putting(data, key), key)

    def put_passing(self, data, key):
        self.storage.put_passing(self._putting(data, key), key)

    def _putting(self, data, key):
        self.before("put", kind_of(key))
        self.law.putting(self, key, data)
        if kind_of(key) in self.faults.lies:
            self.faults.lies.remove(kind_of(key))
            data = changed(data)
        self.stored[key] = self.now
        return data

    def new_lock(self, periods=1.0):
        return self.storage.new_lock(periods)

    def lock_of(self, key):
        return self.storage.lock_of(key)

    def extend_lock(self, key, lock):
        self.before("extend_lock", kind_of(key))
        return self.storage.extend_lock(key, lock)

    def stat(self, key):
        self.before("stat", kind_of(key))
        return self.storage.stat(key)

    def list(self):
        self.before("list", "")
        self.lists += 1
        found = [each for each in self.storage.list() if not self._hides(each)]
        self.listed = {each.key: each for each in found}
        return iter(found)

    def _hides(self, stored):
        faults = self.faults
        hides = stored.key in faults.hidden and not (faults.flaky and self.lists > 1)
        if kind_of(stored.key) in faults.late:
            age = self.now - stored.modified
            mine = self.stored.get(stored.key) == stored.modified
            hides |= not mine and timedelta(0) <= age < RECENT
        self.hidden += hides
        return hides

    def open(self, key, offset=0):
        self.before("open", kind_of(key))
        return self.storage.open(key, offset)

    def delete(self, key):
        self.before("delete", kind_of(key))
        self.law.deleting(self, key)
        self.storage.delete(key)

    def probe(self):
        return self.storage.probe()


def _opens(data, private):
    try:
        open_decrypted(BytesIO(data), parse_identities(private))
    except EngineError:
        return False
    return True


def changed(data, at=None):
    """Return other bytes of the same number."""
    at = len(data) // 2 if at is None else at
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
