"""What a storage holds, read from the storage alone."""

from collections.abc import Iterator
from dataclasses import dataclass

from .arrival import found_in
from .errors import EngineError, PermanentError
from .errors.fetch import ArchiveMissing, ArchiveSizeDiffers
from .manifest import SIDECAR_SUFFIX, sidecar_key
from .progress import Progress
from .sidecar import MAX_BYTES, Sidecar, parse_sidecar
from .storages.base import Storage
from .streams import read_fully


@dataclass(frozen=True)
class Found:
    """A manifest that a storage holds: what it says, or ``problem``, which says why
    there is no complete backup (``ArchiveMissing`` when its archive is gone). ``key``
    is that of the archive, or of the manifest when nothing else can be said."""

    key: str
    sidecar: Sidecar | None
    problem: EngineError | None = None


def scan(storage: Storage, progress: Progress) -> Iterator[Found]:
    """Yield every backup in a storage, in the order of the keys: those with a
    manifest of ours, then the zips that Odoo's database manager has left in a
    directory of this server. Objects of others are passed over in silence. Archives
    are not read, only looked for. Raise RetryableError, Cancelled."""
    sizes = {}
    for found in storage.list():
        sizes[found.key] = found.size
        progress.tick()
    manifests = [key for key in sizes if key.endswith(SIDECAR_SUFFIX)]
    progress.expect(len(manifests))
    for key in manifests:
        yield _look(storage, key, sizes)
        progress.advance(1)
    for key in sizes:
        if key.endswith(".zip") and sidecar_key(key) not in sizes:
            if sidecar := found_in(storage, key):
                yield Found(key, sidecar)
            progress.tick()


def _look(storage: Storage, key: str, sizes: dict[str, int]) -> Found:
    try:
        sidecar = read_sidecar(storage, key)
    except PermanentError as error:
        return Found(key, None, _alone(error))
    size = sizes.get(sidecar.key)
    if size is None:
        return Found(sidecar.key, sidecar, ArchiveMissing())
    if size != sidecar.size:
        problem = ArchiveSizeDiffers(size=size, expected=sidecar.size)
        return Found(sidecar.key, sidecar, problem)
    return Found(sidecar.key, sidecar)


def _alone(error: PermanentError) -> PermanentError:
    """Return the error without where it was raised: the manifest itself, of any size,
    would stay in memory as long as the error does."""
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)


def read_sidecar(storage: Storage, key: str) -> Sidecar:
    """Return the manifest ``key`` of a storage. Raise PermanentError when it is not
    there or is none of ours, and RetryableError."""
    with storage.open(key) as stream:
        return parse_sidecar(read_fully(stream, MAX_BYTES + 1), key)


def describe_stored(storage: Storage, key: str) -> Sidecar:
    """Return what is known about the stored archive ``key`` without reading all of
    it: from its manifest, or from the zip itself where Odoo's database manager has
    made it. Raise PermanentError when there is neither, and RetryableError."""
    if storage.stat(sidecar_key(key)) is None and (found := found_in(storage, key)):
        return found
    return read_sidecar(storage, sidecar_key(key))
