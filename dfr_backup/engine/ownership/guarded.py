"""A storage that asks whose its location is before it is used."""

import copy
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from ..catalog.scan import owner_in
from ..errors.places import NotOwnInShared
from ..manifest.names import SIDECAR_SUFFIX, sidecar_key
from ..progress import Progress
from ..storages.base import Capabilities, Lock, Storage, StoredObject
from .locations import Purpose
from .marker import MARKER


class GuardedStorage(Storage):
    """A storage that is entered before its first use: ``enter`` is ``Door.enter``. In
    a location that several databases share, each reads its own backups only;
    ``is_own`` tells whether a uuid is its own."""

    def __init__(
        self,
        storage: Storage,
        enter: Callable[[Purpose], bool],
        is_own: Callable[[str], bool],
        may_write: bool,
    ):
        self.inner = storage
        self.retries = storage.retries
        self._enter = enter
        self._is_own = is_own
        self._purpose = Purpose.WRITE if may_write else Purpose.READ
        self._lock = threading.Lock()
        self._admitted = False
        self._shared = False
        self._own_keys: dict[str, bool] = {}

    def admit(self) -> None:
        """Ask the door now. Raise what it raises."""
        with self._lock:
            if not self._admitted:
                self._shared = self._enter(self._purpose)
                self._admitted = True

    def _entered(self) -> Storage:
        self.admit()
        return self.inner

    def _entered_for(self, key: str) -> Storage:
        storage = self._entered()
        if self._shared and not self._owns(key):
            raise NotOwnInShared(key=key, location=storage.location(""))
        return storage

    def _owns(self, key: str) -> bool:
        """Tell whether a manifest says that the object belongs to this database. What
        has no manifest yet is being written."""
        manifest = key if key.endswith(SIDECAR_SUFFIX) else sidecar_key(key)
        if manifest not in self._own_keys:
            if self.inner.stat(manifest) is None:
                return not re.search(r"\.zip(\.age)?$", key) or key in self._own_keys
            owner = owner_in(self.inner, manifest)
            self._own_keys[manifest] = bool(owner) and self._is_own(owner)
        return self._own_keys[manifest]

    def put(self, source: Path, key: str, progress: Progress) -> None:
        self._entered().put(source, key, progress)
        self._own_keys[key] = True

    def put_bytes(self, data: bytes, key: str) -> None:
        self._entered().put_bytes(data, key)

    def put_passing(self, data: bytes, key: str) -> None:
        self._entered().put_passing(data, key)

    def create(self, data: bytes, key: str) -> bool:
        created = self._entered().create(data, key)
        if created:
            self._own_keys[key] = True
        return created

    def stat(self, key: str) -> StoredObject | None:
        return self._entered().stat(key)

    def list(self) -> Iterator[StoredObject]:
        for found in self._entered().list():
            if found.key != MARKER and (not self._shared or self._owns(found.key)):
                yield found

    def may_list(self) -> bool:
        return self._entered().may_list()

    @contextmanager
    def reporting_to(self, progress: Progress) -> Iterator[None]:
        with self.inner.reporting_to(progress):
            yield

    def open(self, key: str, offset: int = 0) -> AbstractContextManager[BinaryIO]:
        return self._entered_for(key).open(key, offset)

    def reader(self) -> "GuardedStorage | None":
        inner = self._entered().reader()
        if inner is None:
            return None
        other = copy.copy(self)
        other.inner = inner
        return other

    def delete(self, key: str) -> None:
        self._entered().delete(key)

    def new_lock(self, periods: float = 1.0) -> Lock | None:
        return self.inner.new_lock(periods)

    def lock_of(self, key: str) -> Lock | None:
        return self._entered().lock_of(key)

    def extend_lock(self, key: str, lock: Lock) -> Lock:
        return self._entered().extend_lock(key, lock)

    def probe(self) -> Capabilities:
        return self._entered().probe()

    def require(self) -> None:
        self.inner.require()

    def prepare(self) -> None:
        self.inner.prepare()

    def check(self) -> None:
        self.inner.check()
        self.admit()

    def discard_partial(self, key: str) -> None:
        self._entered().discard_partial(key)

    def free_space(self) -> int | None:
        return self._entered().free_space()

    def folder(self) -> Path | None:
        return self.inner.folder()

    def local_path(self, key: str) -> Path | None:
        return self._entered_for(key).local_path(key)

    def download_url(
        self, key: str, filename: str, seconds: int, sha256: str = ""
    ) -> str | None:
        inner = self._entered_for(key)
        return inner.download_url(key, filename, seconds, sha256)

    def location(self, key: str) -> str:
        return self.inner.location(key)

    def verify(self, key: str, size: int, sha256: str, progress: Progress) -> None:
        self._entered_for(key).verify(key, size, sha256, progress)
