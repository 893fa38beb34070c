"""Of all backups in some storages, the one of each database that a restore takes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..errors import EngineError, PermanentError, RetryableError
from ..errors.server import FoldersNotListed
from ..errors.storage import NotPermitted, TooManyFolders
from ..manifest.sidecar import Sidecar
from ..progress import Progress
from ..storages.base import Storage
from .scan import Found, scan

DEEPEST = 3  # levels of folders below the one that is named
MOST_FOLDERS = 10_000
WHOLE = {"database", "filestore"}


@dataclass
class Newest:
    """The newest whole backup of the databases of one name, None without one. Of those
    that are newer, ``partial`` are without database or attachments, and ``unusable``
    are damaged or gone. ``uuids`` are those of all databases of that name."""

    database: str
    storage: Storage | None = None
    sidecar: Sidecar | None = None
    partial: list[Sidecar] = field(default_factory=list)
    unusable: list[Found] = field(default_factory=list)
    uuids: set[str] = field(default_factory=set)


def newest_of_each(found: Iterable[tuple[Storage, Found]]) -> dict[str, Newest]:
    """Return the newest backup of each database, by its name."""
    every: dict[str, Newest] = {}
    for storage, one in found:
        sidecar = one.sidecar
        if not sidecar:
            continue
        name = sidecar.database
        best = every.setdefault(name, Newest(name))
        best.uuids.add(sidecar.database_uuid)
        if one.problem:
            best.unusable.append(one)
        elif sidecar.contents and not set(sidecar.contents) >= WHOLE:
            best.partial.append(sidecar)
        elif not best.sidecar or sidecar.taken_at > best.sidecar.taken_at:
            best.storage, best.sidecar = storage, sidecar
    for best in every.values():
        _leave_out_older(best)
    return dict(sorted(every.items()))


def _leave_out_older(best: Newest) -> None:
    if best.sidecar:
        since = best.sidecar.taken_at
        best.partial = [one for one in best.partial if one.taken_at > since]
        best.unusable = [
            one for one in best.unusable if one.sidecar and one.sidecar.taken_at > since
        ]


def found_below(
    root: Storage,
    progress: Progress,
    report: Callable[[Storage, EngineError | None], None],
) -> Iterator[tuple[Storage, Found]]:
    """Yield what a storage holds, and what the folders below it hold, each with its
    storage. What may work later is tried again. ``report`` is told of a storage before
    it is looked at, and once more, with an error, where one of a folder cannot be read.
    Raise FoldersNotListed, TooManyFolders, RetryableError when ``root`` does not answer
    either, or what else is wrong with it."""
    ahead, left = deque([(root, 0)]), MOST_FOLDERS
    while ahead:
        storage, depth = ahead.popleft()
        report(storage, None)
        try:
            found, names = _looked_at(storage, depth < DEEPEST, progress)
        except (PermanentError, RetryableError) as error:
            if not depth:
                raise _of_root(root, error) from error
            if isinstance(error, RetryableError):
                _folders_in(root, progress)
            report(storage, error)
            continue
        yield from ((storage, one) for one in found)
        left -= len(names)
        if left < 0:
            raise TooManyFolders(location=root.location(""), most=MOST_FOLDERS)
        ahead.extend((storage.subfolder(name), depth + 1) for name in names)


def _looked_at(
    storage: Storage, has_below: bool, progress: Progress
) -> tuple[Sequence[Found], Sequence[str]]:
    """Return what a folder holds, and which folders are below it."""

    def look() -> tuple[Sequence[Found], Sequence[str]]:
        found = list(scan(storage, progress))
        return found, _folders_in(storage, progress) if has_below else ()

    return storage.with_retries(look, progress)


def _folders_in(storage: Storage, progress: Progress) -> Sequence[str]:
    with storage.reporting_to(progress):
        return storage.subfolders() or ()


def _of_root(root: Storage, error: EngineError) -> EngineError:
    if not isinstance(error, NotPermitted):
        return error
    where = root.location("")
    return FoldersNotListed(location=where, reason=error.message, log=error.log)
