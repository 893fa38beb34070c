"""Two backups, side by side: what has come and what has gone."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from ..archive.zip_reader import ZipReader
from ..errors.other import NotComparable
from ..manifest.model import Addon
from .browse import files


@dataclass(frozen=True)
class Change:
    """What differs between two backups. None: it is not in that one."""

    name: str
    before: int | None
    after: int | None

    @property
    def difference(self) -> int:
        return (self.after or 0) - (self.before or 0)


@dataclass
class FileChanges:
    """Attachment files that are in one of two archives only: how many, their bytes,
    and the first of them by ``store_fname``."""

    count: int = 0
    bytes: int = 0
    first: dict[str, int] = field(default_factory=dict)

    def add(self, store_fname: str, size: int, most: int) -> None:
        self.count += 1
        self.bytes += size
        if len(self.first) < most:
            self.first[store_fname] = size


def compare_rows(before: Mapping[str, int], after: Mapping[str, int]) -> list[Change]:
    """Return the tables whose numbers of rows differ, in the order of their names."""
    return [
        Change(name, before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def compare_addons(
    before: tuple[Addon, ...], after: tuple[Addon, ...]
) -> list[tuple[str, str, str]]:
    """Return (name, revision before, revision after) of the addons that differ; ""
    where there is none, "?" where nobody knows it."""
    old, new = ({addon.name: addon for addon in addons} for addons in (before, after))
    return [
        (name, _revision(old.get(name)), _revision(new.get(name)))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _revision(addon: Addon | None) -> str:
    return (addon.revision or "?") if addon else ""


def compare_files(
    old: Iterator[tuple[str, int]],
    new: Iterator[tuple[str, int]],
    most: int,
    tick: Callable[[], object] = lambda: None,
) -> tuple[FileChanges, FileChanges]:
    """Return the files that were added, and those that were removed; at most ``most``
    of each are named.

    Given (``store_fname``, bytes) of the files of both, ``in_order`` of their names.
    """
    added, removed = FileChanges(), FileChanges()
    left, right = next(old, None), next(new, None)
    while left or right:
        tick()
        if left and right and left[0] == right[0]:
            left, right = next(old, None), next(new, None)
        elif left and (right is None or left[0] < right[0]):
            removed.add(*left, most)
            left = next(old, None)
        elif right:
            added.add(*right, most)
            right = next(new, None)
    return added, removed


def in_order(reader: ZipReader) -> Iterator[tuple[str, int]]:
    """Yield (``store_fname``, bytes) of the files of an archive, which are in the order
    of their names in ours: memory does not grow. Raise NotComparable when they are
    not."""
    last = ""
    for store_fname, entry in files(reader):
        if store_fname <= last:
            raise NotComparable
        last = store_fname
        yield store_fname, entry.size
