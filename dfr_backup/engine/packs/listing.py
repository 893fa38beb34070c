"""What a storage lists, as far as packs go."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..fileio.streams import read_fully
from ..manifest.names import PACK, PACK_SIDECAR
from ..manifest.pack_use import PackUse
from ..progress import Progress
from ..storages.base import Storage, StoredObject
from ..untrusted import MAX_BESIDE
from .names import condemned_key


@dataclass(frozen=True)
class Listing:
    """All objects of a storage by their keys, at one moment."""

    objects: Mapping[str, StoredObject]

    @classmethod
    def of(cls, storage: Storage, progress: Progress) -> "Listing":
        """List a storage. Raise EngineError, also when the list has no end."""
        found = {}
        with storage.reporting_to(progress):
            for stored in storage.list():
                progress.tick()
                found[stored.key] = stored
        return cls(found)

    def packs(self) -> Iterator[StoredObject]:
        return (found for key, found in self.objects.items() if PACK.fullmatch(key))

    def manifests(self) -> Iterator[StoredObject]:
        """Yield what may be the sidecar of a backup."""
        for key, found in self.objects.items():
            if key.endswith(".json") and not PACK_SIDECAR.fullmatch(key):
                yield found

    def has(self, key: str, size: int) -> bool:
        found = self.objects.get(key)
        return found is not None and found.size == size

    def is_condemned(self, key: str) -> bool:
        return condemned_key(key) in self.objects

    def keeps(self, use: PackUse) -> bool:
        """Tell whether a pack is there and is going to stay there."""
        return self.has(use.key, use.size) and not self.is_condemned(use.key)


def condemn(storage: Storage, key: str) -> None:
    """Let no backup count on a pack any more: what it holds is stored anew. It stays
    as long as any names it. Raise EngineError."""
    storage.put_passing(b"dfr_backup: condemned\n", condemned_key(key))


def read_small(storage: Storage, key: str) -> bytes:
    """Return a small object; of a larger one, more than anybody takes."""
    with storage.open(key) as stream:
        return read_fully(stream, MAX_BESIDE + 1)
