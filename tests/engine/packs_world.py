"""A storage in memory with a clock of its own, and servers that store incremental
backups there: what the tests of packs are about."""

import hashlib
import io
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from unittest.mock import patch

from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.catalog.scan import read_sidecar, scan
from dfr_backup.engine.encryption.secret_box import Key
from dfr_backup.engine.errors.s3 import Locked
from dfr_backup.engine.errors.storage import CopyMissing
from dfr_backup.engine.identity import Identity
from dfr_backup.engine.manifest import write as manifest
from dfr_backup.engine.manifest.model import INCREMENTAL
from dfr_backup.engine.manifest.names import (
    CLOSING,
    FILESTORE,
    INCREMENTAL_DUMP,
    MANIFEST,
    archive_name,
    sidecar_key,
)
from dfr_backup.engine.manifest.read import parse_sidecar
from dfr_backup.engine.manifest.signature import Signer
from dfr_backup.engine.packs import storing
from dfr_backup.engine.packs.maker import Making
from dfr_backup.engine.packs.needed import KnownCopy
from dfr_backup.engine.packs.owner import Owner, Place
from dfr_backup.engine.packs.packing import Packing
from dfr_backup.engine.packs.prune import Prune, Pruned
from dfr_backup.engine.packs.reading import open_backup
from dfr_backup.engine.packs.terms import Terms
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.retry import RetryPolicy
from dfr_backup.engine.sources.filestore import Attachment
from dfr_backup.engine.storages.base import Capabilities, Lock, Storage, StoredObject
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage

BEGIN = datetime(2026, 11, 27, 8, 30, 41, tzinfo=timezone.utc)
UUID = "0f5bd1f6-9d1c-4d3e-8a75-6b7a2f1c9e10"
SHOP = Identity(UUID, "7577000000000000001", 16384, "shop")
SERVER_KEY = Key(bytes(range(32)))
ODOO = {"db_name": "shop", "version": "19.0", "major_version": "19.0", "modules": {}}
NO_RETRIES = RetryPolicy(patience=0)
TERMS = Terms(pack_bytes=2000, pack_files=4, small_bytes=300, most_small=3)


class MemoryStorage(Storage):
    """Objects in a dict. ``now`` is its clock; ``operation`` is called before each
    call, and may raise. With a ``lock_time`` it locks what it gets, in ``locks``."""

    def __init__(self, lock_time=None):
        self.objects = {}
        self.lock_time = lock_time
        self.firm = False
        self.locks = {}
        self.now = BEGIN
        self.hidden = set()  # keys that the next lists leave out
        self.operation = lambda name, key: None
        self.counts = {}
        self.open_now = self.most_open = 0

    def _begin(self, name, key=""):
        self.counts[name] = self.counts.get(name, 0) + 1
        self.operation(name, key)

    def put(self, source, key, progress):
        self.put_bytes(source.read_bytes(), key)

    def put_bytes(self, data, key):
        self.put_passing(data, key)
        if self.lock_time:
            self.locks[key] = self.new_lock()

    def put_passing(self, data, key):
        self._begin("put", key)
        self.objects[key] = (data, self.now)
        self.locks.pop(key, None)

    def new_lock(self, periods=1.0):
        if not self.lock_time:
            return None
        return Lock(self.now + self.lock_time * periods, self.firm)

    def lock_of(self, key):
        if self.lock_time:
            self._begin("lock_of", key)
        lock = self.locks.get(key)
        return lock if lock and lock.until > self.now else None

    def extend_lock(self, key, lock):
        self._begin("extend_lock", key)
        if key not in self.objects:
            raise CopyMissing(key=key)
        has = self.locks.get(key)
        self.locks[key] = has.joined(lock) if has else lock
        return self.locks[key]

    def stat(self, key):
        self._begin("stat", key)
        found = self.objects.get(key)
        return found and StoredObject(key, len(found[0]), found[1])

    def list(self):
        self._begin("list")
        for key, (data, modified) in sorted(self.objects.items()):
            if key not in self.hidden:
                yield StoredObject(key, len(data), modified)

    @contextmanager
    def open(self, key, offset=0):
        self._begin("open", key)
        if key not in self.objects:
            raise CopyMissing(key=key)
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            yield io.BytesIO(self.objects[key][0][offset:])
        finally:
            self.open_now -= 1

    def delete(self, key):
        self._begin("delete", key)
        lock = self.locks.get(key)
        if lock and lock.until > self.now and key in self.objects:
            raise Locked(name=key, until=lock.until)
        self.objects.pop(key, None)
        self.locks.pop(key, None)

    def probe(self):
        return Capabilities()

    def pass_time(self, **delta):
        self.now += timedelta(**delta)


class HereStorage(LocalStorage):
    """A folder of this server, with the clock that a ``Server`` asks for."""

    now = BEGIN

    def __init__(self, folder):
        folder.mkdir()
        super().__init__(folder, LocalRules([folder]))
        self.path = folder

    @property
    def objects(self):
        return {path.name: path.read_bytes() for path in self.path.iterdir()}


@dataclass
class Server:
    """A database and its server: a filestore, what it remembers of the packs, and its
    catalogue."""

    storage: MemoryStorage
    folder: object
    identity: Identity = SHOP
    key: Key = SERVER_KEY
    terms: Terms = TERMS
    encryption: object = None
    catalogue: dict = field(default_factory=dict)
    number: int = 0
    verifies: bool = True  # what it stores

    def __post_init__(self):
        self.root = self.folder / "filestore"
        self.root.mkdir(parents=True, exist_ok=True)
        self.place = Place(self.storage, self.folder / "index")
        keys = frozenset({self.identity.key})
        self.owner = Owner(self.identity, keys, Signer(self.key))

    def write(self, content):
        """Let the filestore have a file; return the name of it."""
        name = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        path = self.root / name[:2] / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return f"{name[:2]}/{name}"

    def attachments(self, names):
        for name in sorted(names):
            path = self.root / name
            size = path.stat().st_size if path.exists() else 0
            yield Attachment(name, name[3:], size, name)

    def making(self):
        return Making(
            self.place,
            self.owner,
            self.terms,
            self.folder / "work/packs",
            lambda: self.storage.now,
            NO_RETRIES,
            self.encryption,
        )

    def pack(self, own, names):
        return Packing(self.making()).pack(
            own, self.root, lambda: self.attachments(names), Progress()
        )

    def backup(
        self, names, dump=b"-- PostgreSQL database dump\n", note=True, again=False
    ):
        """Store an incremental backup of these files; return (key, what was packed).
        ``again`` goes on with what a killed one has left."""
        self.number += 1
        job = f"{self.number:08x}-{self.folder.name}"
        work = self.folder / "work"
        if not again:
            shutil.rmtree(work, ignore_errors=True)
        work.mkdir(exist_ok=True)
        key = archive_name("shop", self.storage.now, job)
        own = ArchiveWriter.create(work / key, moment=self.storage.now)
        try:
            own.add_bytes(INCREMENTAL_DUMP, dump)
            packed = self.pack(own, names)
            content = self.manifest(own, packed, job)
            own.add_bytes(MANIFEST, manifest.encode(content))
            closed = own.close()
        finally:
            own.release()
        finished = storing.Finished(
            work / key, key, closed.size, closed.sha256, content
        )
        sidecar = storing.store(
            self.place, finished, packed, self.owner.sign, Progress(), NO_RETRIES
        )
        if note:
            self.note(parse_sidecar(sidecar, sidecar_key(key)))
        return key, packed

    def manifest(self, own, packed, job):
        count, sums = own.write_checksums()
        report = packed.report
        return manifest.build(
            ODOO,
            {
                "format": INCREMENTAL,
                "job": job,
                "run": "B1",
                "plan": "Nightly",
                "database_uuid": self.identity.uuid,
                "identity": self.identity.to_json(),
                "snapshot_at": self.storage.now,
                "contents": ["database", "filestore"],
                "missing": [],
                "members": {"count": count, "sha256sums": sums},
                "filestore": {
                    "files": report.files,
                    "bytes": report.bytes,
                    "missing": report.missing_count,
                    "damaged": report.damaged_count,
                    "unreadable": report.unreadable_count,
                },
                "packed": packed.content.to_json(),
            },
        )

    def note(self, sidecar):
        about = sidecar.size, sidecar.file_sha256
        self.catalogue[sidecar.key] = KnownCopy(sidecar.key, *about, self.verifies)

    def forget(self, key):
        self.storage.delete(sidecar_key(key))
        self.storage.delete(key)
        self.catalogue.pop(key, None)

    def looking(self):
        known = list(self.catalogue.values())
        return Prune(self.place, self.owner, known, self.terms)

    def prune(self):
        pruned = Pruned()
        self.looking().prune(Progress(), pruned)
        return pruned


def packs_in(storage):
    return {
        key
        for key in storage.objects
        if "-files-" in key and key.endswith((".zip", ".age"))
    }


def restored(storage, key, identities=None):
    """Return the members of a stored backup, by name, but for those about others."""
    sidecar = read_sidecar(storage, sidecar_key(key))
    found = {}
    backup = open_backup(storage, sidecar, identities)
    backup.check(Progress())
    for entry, pieces in backup.contents():
        content = b"".join(pieces)
        if entry.name not in CLOSING:
            assert entry.name not in found
            found[entry.name] = content
    return found


def expected(server, names, dump=b"-- PostgreSQL database dump\n"):
    files = {FILESTORE + name: (server.root / name).read_bytes() for name in names}
    return {INCREMENTAL_DUMP: dump, **files}


def complete_backups(storage):
    """Return the keys of the backups that a scan calls complete."""
    return {found.key for found in scan(storage, Progress()) if not found.problem}


@contextmanager
def opened_in(root):
    """Yield a list of the files in a folder that are opened meanwhile."""
    opened, really = [], os.open

    def spy(path, *arguments, **named):
        if str(path).startswith(f"{root}/"):
            opened.append(str(path))
        return really(path, *arguments, **named)

    with patch.object(os, "open", spy):
        yield opened
