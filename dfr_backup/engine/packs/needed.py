"""Which packs the backups of a storage need: all of them, whoever has made them. What
cannot be read may need any."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from ..errors import PermanentError
from ..errors.packs import BackupUnreadable, CopyNotListed, SignatureWrong
from ..manifest.names import shown_key, sidecar_key
from ..manifest.read import parse_sidecar
from ..manifest.sidecar import Sidecar
from ..progress import Progress
from ..storages.base import Storage, StoredObject
from .listing import Listing, read_small
from .owner import Owner

ARCHIVES = (".zip", ".zip.age")


@dataclass(frozen=True)
class KnownCopy:
    """A stored backup that the catalogue has not noted as deleted: the ``key`` and
    ``size`` (bytes) of its archive, and the SHA-256 of its sidecar, "" when that was
    not noted. ``verified``: read back, and found to be right."""

    key: str
    size: int
    manifest_sha256: str = ""
    verified: bool = False


@dataclass
class Needs:
    """The keys of the packs that are needed; the sidecars of all backups by their
    keys."""

    packs: set[str] = field(default_factory=set)
    sidecars: dict[str, Sidecar] = field(default_factory=dict)

    def add(
        self, storage: Storage, listing: Listing, stored: StoredObject, owner: Owner
    ) -> None:
        """Take in what one manifest needs. Raise BackupUnreadable when nobody can
        tell, and RetryableError."""
        sidecar = _read(storage, listing, stored.key, owner)
        if sidecar is not None:
            self.packs.update(use.key for use in sidecar.packs or ())
            # which files of these is a lot, of backups by the thousand
            self.sidecars[stored.key] = replace(sidecar, packs=None)


def read_needs(
    storage: Storage, listing: Listing, owner: Owner, progress: Progress
) -> Needs:
    """Read the sidecar of every backup. Raise as ``Needs.add`` does."""
    needs = Needs()
    for stored in listing.manifests():
        progress.tick()
        needs.add(storage, listing, stored, owner)
    return needs


def _read(storage: Storage, listing: Listing, key: str, owner: Owner) -> Sidecar | None:
    """Return a sidecar, None for a file that is none of ours."""
    data = b""
    try:
        data = read_small(storage, key)
        sidecar = parse_sidecar(data, key)
        if owner.forged(sidecar.signature):
            raise SignatureWrong
        return sidecar
    except PermanentError as error:
        if _is_foreign(listing, key, data):
            return None
        raise BackupUnreadable(
            key=shown_key(key), location=storage.location(""), problem=error
        ) from error


def _is_foreign(listing: Listing, key: str, data: bytes) -> bool:
    """Tell whether a file is probably no sidecar of ours: there is no archive of its
    name, and it could be read, and does not mention us."""
    stem = key.removesuffix(".json")
    if any(stem + ending in listing.objects for ending in ARCHIVES):
        return False
    return bool(data) and b"dfr_backup" not in data


def require_listed(
    storage: Storage, listing: Listing, needs: Needs, known: Iterable[KnownCopy]
) -> None:
    """Raise CopyNotListed when a backup that the catalogue knows is not in the list, or
    is another one: the list may have gaps."""
    by_key = {sidecar.key: sidecar for sidecar in needs.sidecars.values()}
    absent = []
    for copy in known:
        sidecar = by_key.get(copy.key)
        there = sidecar is not None and listing.has(copy.key, copy.size)
        noted = copy.manifest_sha256
        if not (there and sidecar and noted in ("", sidecar.file_sha256)):
            absent.append(copy.key)
    if absent:
        raise CopyNotListed(
            key=min(absent),
            count=len(absent),
            location=storage.location(""),
            log="\n".join(sorted(absent)),
        )


def are_nowhere(
    storage: Storage, keys: Iterable[str], progress: Progress
) -> Iterator[str]:
    """Yield the archives of which neither a list nor a question for each finds
    anything, nor for their sidecars. Raise EngineError."""
    listing = Listing.of(storage, progress)
    for key in keys:
        progress.tick()
        both = key, sidecar_key(key)
        listed = any(each in listing.objects for each in both)
        if not listed and not any(map(storage.stat, both)):
            yield key
