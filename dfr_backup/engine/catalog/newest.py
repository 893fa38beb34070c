"""Of all backups in some storages, the one of each database that a restore takes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..errors import PermanentError
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
    report: Callable[[Storage, PermanentError | None], None],
) -> Iterator[tuple[Storage, Found]]:
    """Yield what a storage holds, and what the folders below it hold, each with its
    storage. ``report`` is told of a storage before it is looked at, and once more, with
    an error, where one of a folder cannot be read. Raise FoldersNotListed,
    TooManyFolders, or what else is wrong with ``root``."""
    ahead, left = deque([(root, 0)]), MOST_FOLDERS
    while ahead:
        storage, depth = ahead.popleft()
        report(storage, None)
        try:
            yield from ((storage, one) for one in scan(storage, progress))
            names = _folders_in(storage, progress) if depth < DEEPEST else ()
        except PermanentError as error:
            if depth:
                report(storage, error)
                continue
            raise _of_root(root, error) from error
        left -= len(names)
        if left < 0:
            raise TooManyFolders(location=root.location(""), most=MOST_FOLDERS)
        ahead.extend((storage.subfolder(name), depth + 1) for name in names)


def _folders_in(storage: Storage, progress: Progress) -> Sequence[str]:
    with storage.reporting_to(progress):
        return storage.subfolders() or ()


def _of_root(root: Storage, error: PermanentError) -> PermanentError:
    if not isinstance(error, NotPermitted):
        return error
    where = root.location("")
    return FoldersNotListed(location=where, reason=error.message, log=error.log)
