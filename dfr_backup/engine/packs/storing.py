"""A packed backup, stored: its archive, then the sidecar that names its packs. Whoever
deletes packs reads the sidecars first, and so this one looks again after it."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..catalog.catalogued import Catalogued
from ..catalog.scan import read_sidecar
from ..checkpoints import checkpoint
from ..errors import EngineError, Mismatch, PermanentError
from ..errors.packs import PackGone, PackMissing
from ..errors.storage import CopyMissing, SizeDiffers
from ..manifest.model import Manifest
from ..manifest.names import sidecar_key
from ..manifest.sidecar import Sidecar
from ..manifest.write import sidecar as sidecar_of
from ..progress import Progress
from ..retry import RetryPolicy, with_retries
from ..storages.base import Storage
from .listing import Listing
from .locking import lock_packs
from .owner import Place
from .packing import Packed

RETRIES = RetryPolicy()


@dataclass(frozen=True)
class Finished:
    """The archive of a backup, complete: its ``path``, the ``key`` that it gets, its
    ``size`` (bytes) and ``sha256``, and its ``manifest``."""

    path: Path
    key: str
    size: int
    sha256: str
    manifest: Manifest


def store(
    place: Place,
    archive: Finished,
    packed: Packed,
    sign: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    progress: Progress,
    retries: RetryPolicy = RETRIES,
) -> bytes:
    """Store an archive and read it back, then its sidecar; return the latter.

    All packs must be listed before the sidecar is written, and again after it: when one
    is not, or is condemned, there is no sidecar, and PackGone is raised; packing again
    stores what is lost. Where the storage locks what it gets, archive and packs are
    locked as long as the sidecar will be, before that is written; the sidecar itself
    last of all, because until then it may have to be withdrawn. Raise EngineError.
    """
    storage, lock = place.storage, place.storage.new_lock()
    key, beside = archive.key, sidecar_key(archive.key)

    def stored() -> None:
        storage.put(archive.path, key, progress)
        again = Progress(lambda _progress: progress.tick())
        storage.verify(key, archive.size, archive.sha256, again)

    with_retries(stored, progress, retries)
    listing = _require_packs(storage, packed, progress, retries)
    if lock:
        with_retries(lambda: storage.extend_lock(key, lock), progress, retries)
        lock_packs(place, packed.uses, lock, listing, progress, retries)
    checkpoint("packs.listed")
    data = sidecar_of(
        archive.manifest, key, archive.size, archive.sha256, sign, packed.uses
    )
    try:
        with_retries(lambda: storage.put_passing(data, beside), progress, retries)
        checkpoint("packs.named")
        _require_packs(storage, packed, progress, retries)
        if lock:
            with_retries(lambda: storage.extend_lock(beside, lock), progress, retries)
    except EngineError:
        with suppress(EngineError):
            storage.delete(beside)
        raise
    return data


def look_at(
    storage: Storage, key: str, known: Catalogued, progress: Progress
) -> Sidecar:
    """Look, without reading its archive, whether a backup is stored that was read back
    already; return its sidecar. Raise Mismatch when something of it is not there, or is
    not what the catalogue knows, other PermanentErrors, and RetryableError."""
    listing = Listing.of(storage, progress)
    found = listing.objects.get(key)
    if found is None:
        raise CopyMissing(key=key)
    if found.size != known.size:
        raise SizeDiffers(key=key, size=found.size, expected=known.size)
    try:
        sidecar = read_sidecar(storage, sidecar_key(key))
    except PermanentError as error:
        raise Mismatch.because(error) from error
    known.refuse_other(sidecar)
    for use in sidecar.packs or ():
        if not listing.keeps(use):
            location = storage.location("")
            raise PackMissing(backup=key, pack=use.key, location=location)
    return sidecar


def _require_packs(
    storage: Storage, packed: Packed, progress: Progress, retries: RetryPolicy
) -> Listing:
    listing = with_retries(lambda: Listing.of(storage, progress), progress, retries)
    for use in packed.uses:
        if not listing.keeps(use):
            raise PackGone(pack=use.key, location=storage.location(""))
    return listing
