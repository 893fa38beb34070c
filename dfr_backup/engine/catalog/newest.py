"""Of all backups in some storages, the one of each database that a restore takes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..manifest.sidecar import Sidecar
from ..storages.base import Storage
from .scan import Found

DEEPEST = 3  # levels of folders below the one that is named
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


def folders_below(folder: Path) -> list[Path]:
    """Return a folder and those below it, a few levels deep. Links are not followed.
    Raise OSError when the folder itself cannot be read."""
    found, level = [folder], [folder]
    for depth in range(DEEPEST):
        level = [sub for one in level for sub in _folders_in(one, not depth)]
        found += level
    return found


def _folders_in(folder: Path, must: bool) -> list[Path]:
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        if must:
            raise
        return []
    return [path for path in inside if path.is_dir() and not path.is_symlink()]
