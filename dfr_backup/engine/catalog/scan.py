"""What a storage holds, read from the storage alone."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from ..errors import EngineError, PermanentError
from ..errors.archive import NameUnusable, NoManifestBeside
from ..errors.fetch import ArchiveMissing, ArchiveSizeDiffers, NoDatabase
from ..errors.other import NotAnArchive, NotOdooBackup
from ..errors.packs import PackMissing
from ..fileio.streams import read_fully
from ..manifest.names import (
    PACK,
    PACK_SIDECAR,
    SIDECAR_SUFFIX,
    shown_key,
    sidecar_key,
)
from ..manifest.read import parse_sidecar
from ..manifest.sidecar import Sidecar
from ..progress import Progress
from ..storages.base import Storage
from ..untrusted import MAX_BESIDE, SURROGATES
from .upload_receiver import found_in, is_our_name

ARCHIVES = (".zip", ".zip.age")


@dataclass(frozen=True)
class Found:
    """A manifest that a storage holds: what it says, or ``problem``, which says why
    there is no complete backup (``ArchiveMissing`` when its archive is gone). ``key``
    is that of the archive, or of the manifest when nothing else can be said, and
    ``size`` the bytes that are stored under it, 0 when nobody knows.
    ``is_foreign``: a manifest that cannot be read, with no archive beside it and no
    name of ours, so that it is probably none."""

    key: str
    sidecar: Sidecar | None
    problem: EngineError | None = None
    size: int = 0
    is_foreign: bool = False


def scan(
    storage: Storage,
    progress: Progress,
    told: Callable[[Sidecar], object] = lambda _sidecar: None,
) -> Iterator[Found]:
    """Yield every backup in a storage, in the order of the keys: those with a
    manifest of ours, then the archives without one, and the zips that Odoo's database
    manager has left in a directory of this server. What cannot be used is yielded with
    its problem, and ends nothing; an incremental backup whose packs are not all listed
    is one of these. Packs, and objects of others are passed over in silence.
    Archives are not read, only looked for. ``told`` gets each manifest with the packs
    that it names, which what is yielded lacks. Raise RetryableError, Cancelled."""
    with storage.reporting_to(progress):
        yield from _scanned(storage, progress, told)


def _scanned(
    storage: Storage, progress: Progress, told: Callable[[Sidecar], object]
) -> Iterator[Found]:
    sizes = {}
    for found in storage.list():
        progress.tick()
        if _is_storable(found.key):
            sizes[found.key] = found.size
        elif found.key.endswith((SIDECAR_SUFFIX, *ARCHIVES)):
            key = shown_key(found.key)
            yield Found(key, None, NameUnusable(key=key), found.size)
    manifests = [
        key
        for key in sizes
        if key.endswith(SIDECAR_SUFFIX) and not PACK_SIDECAR.fullmatch(key)
    ]
    progress.expect(len(manifests))
    for key in manifests:
        yield _look(storage, key, sizes, told)
        progress.advance(1)
    for key in sizes:
        if PACK.fullmatch(key):
            continue  # one without a sidecar is no backup either
        if key.endswith(ARCHIVES) and sidecar_key(key) not in sizes:
            if found_without := _look_inside(storage, key, sizes[key]):
                yield found_without
            progress.tick()


def _is_storable(key: str) -> bool:
    """Tell whether a key can be written down: names of files need not be text."""
    return not ("\0" in key or SURROGATES.search(key))


def _look_inside(storage: Storage, key: str, size: int) -> Found | None:
    """Return what an archive without a manifest beside it is, None for a file that
    is no backup."""
    try:
        if sidecar := found_in(storage, key):
            return Found(key, sidecar, size=size)
    except (NotAnArchive, NotOdooBackup, NoDatabase):
        return None
    except PermanentError as error:
        return Found(key, None, _alone(error), size)
    if is_our_name(key) or storage.local_path(key):
        return Found(key, None, NoManifestBeside(), size)
    return None


def _look(
    storage: Storage,
    key: str,
    sizes: dict[str, int],
    told: Callable[[Sidecar], object],
) -> Found:
    try:
        sidecar = read_sidecar(storage, key)
    except PermanentError as error:
        return _unreadable(key, _alone(error), sizes)
    size = sizes.get(sidecar.key)
    if size is None:
        return Found(sidecar.key, sidecar, ArchiveMissing())
    if size != sidecar.size:
        problem = ArchiveSizeDiffers(size=size, expected=sidecar.size)
        return Found(sidecar.key, sidecar, problem)
    told(sidecar)
    # which files of the packs it needs is a lot, of backups by the thousand
    listed = replace(sidecar, packs=None)
    return Found(sidecar.key, listed, _lost_pack(storage, sidecar, sizes))


def _lost_pack(
    storage: Storage, sidecar: Sidecar, sizes: Mapping[str, int]
) -> PackMissing | None:
    """Return the error for a pack that a backup needs and that a listing (the bytes
    of each object) does not have as it should be; None when all are there."""
    for use in sidecar.packs or ():
        if sizes.get(use.key) != use.size:
            location = storage.location("")
            return PackMissing(backup=sidecar.key, pack=use.key, location=location)
    return None


def _unreadable(key: str, problem: PermanentError, sizes: dict[str, int]) -> Found:
    stem = key.removesuffix(SIDECAR_SUFFIX)
    beside = any(stem + ending in sizes for ending in ARCHIVES)
    foreign = not (beside or is_our_name(stem))
    return Found(key, None, problem, sizes[key], foreign)


def _alone(error: PermanentError) -> PermanentError:
    """Return the error without where it was raised: the manifest itself, of any size,
    would stay in memory as long as the error does."""
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)


def read_sidecar(storage: Storage, key: str) -> Sidecar:
    """Return the manifest ``key`` of a storage. Raise PermanentError when it is not
    there or is none of ours, and RetryableError."""
    with storage.open(key) as stream:
        return parse_sidecar(read_fully(stream, MAX_BESIDE + 1), key)


def usable_sidecar(storage: Storage, key: str) -> Sidecar | None:
    """Return the manifest ``key`` of a storage, None when it is not there or is none of
    ours. Raise RetryableError."""
    try:
        return read_sidecar(storage, key)
    except PermanentError:
        return None


def owner_in(storage: Storage, key: str) -> str:
    """Return the uuid of the database that the manifest ``key`` names, "" where there
    is none that can be used. Raise RetryableError."""
    sidecar = usable_sidecar(storage, key)
    return sidecar.owner_uuid if sidecar else ""


def describe_stored(storage: Storage, key: str) -> Sidecar:
    """Return what is known about the stored archive ``key`` without reading all of
    it: from its manifest, or from the zip itself where Odoo's database manager has
    made it. Raise PermanentError when there is neither, and RetryableError."""
    if storage.stat(sidecar_key(key)) is None and (found := found_in(storage, key)):
        return found
    return read_sidecar(storage, sidecar_key(key))
