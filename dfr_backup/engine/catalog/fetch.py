"""A stored archive, brought to a directory of this server."""

import contextlib
import queue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..checkpoints import checkpoint
from ..concurrency.worker_pool import WorkerPool
from ..errors import EngineError, reason_of
from ..errors.fetch import (
    ArchiveNotKept,
    ArchiveUnreadable,
    FetchedDiffers,
    FetchNeedsSpace,
    NotAtStorage,
)
from ..fileio.direct_read import DirectFile, sha256_on_disk
from ..fileio.durable import is_full, open_private
from ..manifest.pack_use import PackUse
from ..progress import Progress
from ..queue.reservations import Need, Reservations, shortage
from ..storages.base import Storage
from .catalogued import Catalogued, Expected, expected_of

CHUNK = 1 << 20  # bytes
# Packs at a time (measured): of each that comes from a bucket, up to 64 MiB are on
# their way.
AT_ONCE = 2


@dataclass(frozen=True)
class Fetched:
    """Where an archive is.

    ``compared`` tells whether all of it was compared with what it has to be. What was
    not copied was not read yet: then ``comparison(progress, file)`` does it, on the
    file that is open already if there is one, and raises as ``Storage.verify`` does.
    ``content_digest`` is that of the manifest beside it, see
    ``Manifest.content_digest``; "" when nothing vouches for that manifest.
    """

    path: Path
    compared: bool
    content_digest: str = ""
    comparison: Callable[[Progress, DirectFile | None], object] | None = None

    def compare(self, progress: Progress, file: DirectFile | None = None) -> "Fetched":
        """Do the comparison that is still to do, if there is one. Who reads on in a
        ``file`` gives it: another one may have its name by then."""
        if self.comparison is None:
            return self
        self.comparison(progress, file)
        return replace(self, compared=True, comparison=None)


def fetch(
    storage: Storage,
    key: str,
    folder: Path,
    progress: Progress,
    known: Catalogued | None = None,
    space: Reservations | None = None,
) -> Fetched:
    """Return where the archive ``key`` is.

    What lies on this server is neither copied nor read. Otherwise it is fetched into
    ``folder``, going on where an earlier call was interrupted, and compared with what
    the catalogue has ``known``, or with its manifest when no catalogue knows it. An
    archive without a manifest of ours, as Odoo makes them, is taken as it is. Raise
    PermanentError when it is not there or is not what was stored, when there is no
    space, and RetryableError, Cancelled. ``space`` knows what others will take of it.
    """
    here = storage.local_path(key)
    size = storage.with_retries(lambda: _size(storage, key), progress)
    expected = storage.with_retries(
        lambda: expected_of(storage, key, known, progress), progress
    )
    if here is not None:
        return _in_place(storage, key, here, expected, size, progress)
    target = folder / key
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    require_space(Need(folder, size, mark=key), space)
    progress.expect(size)
    storage.with_retries(lambda: _go_on(storage, key, target, progress), progress)
    if expected and not _is_stored(target, expected, progress):
        target.unlink()
        raise FetchedDiffers(key=key)
    return Fetched(target, bool(expected))


def fetch_packs(
    storage: Storage,
    uses: Sequence[PackUse],
    folder: Path,
    progress: Progress,
    space: Reservations | None = None,
) -> dict[str, EngineError]:
    """Fetch packs into ``folder``, as ``fetch`` does archives, ``AT_ONCE`` where the
    storage can do that; return what is wrong with those that are not what they have to
    be, by their keys: they stay, because most of what is in them may be right. Raise
    as ``fetch`` does."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    size = sum(use.size for use in uses)
    require_space(Need(folder, size, mark=""), space)
    progress.expect(size)
    good: dict[str, bool] = {}

    def bring() -> None:
        for use in uses:
            if use.key in good:
                progress.advance(use.size)
        left = [use for use in uses if use.key not in good]
        for key, is_right in _each_fetched(storage, left, folder, progress):
            good[key] = is_right

    storage.with_retries(bring, progress)
    return {key: FetchedDiffers(key=key) for key in good if not good[key]}


class _Counted(Progress):
    """What one of several threads tells the one that reports, and hears from it."""

    def __init__(self, pool: WorkerPool):
        super().__init__()
        self._pool = pool

    def advance(self, count: int) -> None:
        self._pool.count(count)

    def tick(self) -> None:
        self._pool.count(0)


def _each_fetched(
    storage: Storage, uses: Sequence[PackUse], folder: Path, progress: Progress
) -> Iterator[tuple[str, bool]]:
    """Fetch packs; yield the key of each, and whether it is the right one."""
    readers: queue.SimpleQueue[Storage] = queue.SimpleQueue()
    readers.put(storage)
    while readers.qsize() < AT_ONCE and (other := storage.reader()):
        readers.put(other)
    pool = WorkerPool(progress, readers.qsize())

    def work(use: PackUse) -> tuple[str, bool]:
        reader, counted = readers.get(), _Counted(pool)
        try:
            with reader.reporting_to(counted):
                return use.key, _fetch_pack(reader, use, folder / use.key, counted)
        finally:
            readers.put(reader)

    yield from pool.map(work, uses)


def _fetch_pack(
    storage: Storage, use: PackUse, target: Path, progress: Progress
) -> bool:
    """Fetch one pack; tell whether it is the right one."""
    begun = target.exists()
    if begun and target.stat().st_size == use.size:
        progress.advance(use.size)
    else:
        _go_on(storage, use.key, target, progress)
    if _is_stored(target, Expected(use.size, use.sha256), progress):
        return True
    if not begun:
        return False
    target.unlink()  # what an earlier call has left may be what is wrong
    return _fetch_pack(storage, use, target, progress)


def _in_place(
    storage: Storage,
    key: str,
    path: Path,
    expected: Expected | None,
    size: int,
    progress: Progress,
) -> Fetched:
    if expected is None:
        return Fetched(path, compared=False)
    # of this key: a manifest that describes another file beside it must not vouch for
    # this one
    compare = partial(_compare_in_place, storage, key, expected)
    if size != expected.size:
        compare(progress, None)  # raises
    return Fetched(
        path, compared=False, content_digest=expected.content_digest, comparison=compare
    )


def _compare_in_place(
    storage: Storage,
    key: str,
    expected: Expected,
    progress: Progress,
    file: DirectFile | None,
) -> None:
    if file is None:
        storage.verify(key, expected.size, expected.sha256, progress)
        return
    progress.expect(expected.size)
    try:
        same = file.size == expected.size
        same = same and file.sha256(progress.advance) == expected.sha256
    except OSError as error:
        raise ArchiveUnreadable(reason=reason_of(error), log=str(error)) from error
    if not same:
        raise FetchedDiffers(key=key)


def _is_stored(target: Path, expected: Expected, progress: Progress) -> bool:
    size = target.stat().st_size
    return size == expected.size and _sha256(target, progress) == expected.sha256


def _size(storage: Storage, key: str) -> int:
    found = storage.stat(key)
    if found is None:
        location = storage.location("")
        raise NotAtStorage(
            key=key, location=location, remedy=NotAtStorage.remedy_address
        )
    return found.size


def require_space(need: Need, space: Reservations | None) -> None:
    """Raise an EngineError when there is no room for an archive, beside what others
    have reserved in ``space``, where anybody has."""
    short = space.take([need]) if space else shortage([need])
    if short:
        raise short.explained(FetchNeedsSpace)


def _go_on(storage: Storage, key: str, target: Path, progress: Progress) -> None:
    with _explained(target), open(target, "ab", opener=open_private) as writer:
        done = writer.tell()
        progress.advance(done)
        with storage.open(key, done) as reader:
            while piece := reader.read(CHUNK):
                writer.write(piece)
                checkpoint("fetch.piece")
                progress.advance(len(piece))


def _sha256(path: Path, progress: Progress) -> str:
    """Return the SHA-256 of what reached the disk. Its bytes are counted already:
    only tick."""
    with _explained(path):
        return sha256_on_disk(path, lambda _count: progress.tick())


@contextlib.contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        yield
    except EngineError:
        raise
    except OSError as error:
        remedy = ArchiveNotKept.remedy_full if is_full(error) else None
        raise ArchiveNotKept(
            folder=target.parent, reason=reason_of(error), remedy=remedy
        ) from error
