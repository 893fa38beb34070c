"""Disk space that the runs of a host will need: several that fit one by one must not
fill a disk together.

A run that is about to write leaves a file beside the slots, locked as long as its
process lives. What it says counts against the free space of that disk for all others,
less what the run has written of it.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import EngineError
from ..errors.runs import SlotsUnusable, SpaceReserved
from ..messages import Size
from ..untrusted import Unusable, parse_json
from .folder import LONGEST, Folder

GATE = "space-gate"
SUFFIX = ".space"
STEP = 0.01  # a change that is worth telling
LARGEST = 1 << 62  # bytes


@dataclass(frozen=True)
class Need:
    """So many ``bytes`` will be written in ``folder``. What lies there already in files
    with ``mark`` in their name is part of them; ``mark`` None: nothing that is there
    is."""

    folder: Path
    bytes: int
    mark: str | None = None

    @property
    def left(self) -> int:
        """What is still to be written."""
        return max(0, self.bytes - self._written())

    def _written(self) -> int:
        written = 0
        # folders of other servers may be closed to us: then all of it is still to come
        with contextlib.suppress(OSError):
            if self.mark is not None:
                for entry in os.scandir(self.folder):
                    if self.mark in entry.name:
                        written += entry.stat(follow_symlinks=False).st_blocks * 512
        return written


Reserved: TypeAlias = tuple[int, Need]  # with the number of its disk


@dataclass(frozen=True)
class Shortage:
    """``folder`` needs more than its disk has: ``free`` bytes, of which other runs will
    take ``reserved``."""

    folder: Path
    needed: int
    free: int
    reserved: int

    def explained(self, alone: type[EngineError]) -> EngineError:
        """Return the error that says so: of the kind ``alone`` where other runs are not
        to blame."""
        about: dict[str, Any] = {"needed": Size(self.needed), "free": Size(self.free)}
        if not self.by_others:
            return alone(folder=self.folder, location=f"{self.folder}/", **about)
        reserved = Size(self.reserved)
        return SpaceReserved(folder=self.folder, reserved=reserved, **about)

    @property
    def by_others(self) -> bool:
        """Tell whether it would fit if there were no other runs."""
        return self.free >= self.needed


class Reservations:
    """What runs have reserved in a folder of slots, as the run ``run`` sees it."""

    def __init__(self, folder: Folder, run: str):
        self._folder = folder
        self._name = f"{hashlib.sha256(run.encode()).hexdigest()[:32]}{SUFFIX}"
        self._file: int | None = None
        self._taken: Sequence[Need] = ()
        self._told = 1.0

    def take(self, needs: Sequence[Need]) -> Shortage | None:
        """Reserve all of this instead of what this run had before, or return what is
        short; then nothing has changed. Where the folder cannot be used, only free
        space counts."""
        with contextlib.suppress(SlotsUnusable), self._alone():
            short = shortage(needs, self._of_others())
            if short is None:
                self._taken, self._told = needs, 1.0
                self._write(needs)
            return short
        return shortage(needs)

    def shrink(self, left: float) -> None:
        """Say that only this share of what was taken is still to be written, of what
        nobody else can look at."""
        if abs(self._told - left) >= STEP:
            self._told = left
            self.keep([replace(n, bytes=int(n.bytes * left)) for n in self._taken])

    def keep(self, needs: Sequence[Need]) -> None:
        """Reserve this without a question: it is being written already."""
        with contextlib.suppress(SlotsUnusable), self._alone():
            self._write(needs)

    def release(self) -> None:
        """Reserve nothing any more."""
        if self._file is None:
            return
        with contextlib.suppress(SlotsUnusable), self._alone():
            self._folder.try_remove(self._name)
        os.close(self._file)
        self._file = None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self._folder.prepare()
        with self._folder.alone(GATE):
            yield

    def _of_others(self) -> Iterator[Reserved]:
        """Yield what living runs have reserved, and forget what dead ones had."""
        for name in self._folder.names():
            if not name.endswith(SUFFIX) or name == self._name:
                continue
            with contextlib.suppress(SlotsUnusable):  # a link, or a folder
                yield from self._of(name)

    def _of(self, name: str) -> list[Reserved]:
        file = self._folder.open(name)
        try:
            if not self._folder.try_lock(file):
                return _read(self._folder.read(name))
            self._folder.try_remove(name)
            return []
        finally:
            os.close(file)

    def _write(self, needs: Sequence[Need]) -> None:
        if self._file is None:
            file = self._folder.open(self._name)
            if not self._folder.try_lock(file):  # a process of this run is ending
                os.close(file)
                return
            self._file = file
        told = [
            {"disk": _disk(need.folder), **asdict(need), "folder": str(need.folder)}
            for need in needs
        ]
        while len(data := json.dumps(told).encode()) > LONGEST:
            told.pop()  # nobody would read it
        with contextlib.suppress(OSError):  # a full disk
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, data, 0)


def shortage(needs: Iterable[Need], others: Iterable[Reserved] = ()) -> Shortage | None:
    """Return the first disk that has less than is needed, beside what is still to be
    written of ``others``; None when there is none."""
    wanted: dict[int, list[Need]] = {}
    for need in needs:
        wanted.setdefault(_disk(need.folder), []).append(need)
    reserved = dict.fromkeys(wanted, 0)
    for disk, other in others:
        if disk in wanted:  # the folder of another one may be on a share that is away
            reserved[disk] += other.left
    for disk, here in wanted.items():
        folder = here[0].folder
        needed = sum(need.left for need in here)
        free = shutil.disk_usage(existing(folder)).free
        if needed and free - reserved[disk] < needed:
            return Shortage(folder, needed, free, reserved[disk])
    return None


def is_one_disk(one: Path, other: Path) -> bool:
    """Tell whether what is written in either folder takes the space of the same file
    system."""
    return _disk(one) == _disk(other)


def _disk(folder: Path) -> int:
    return os.stat(existing(folder)).st_dev


def existing(path: Path) -> Path:
    """Return a path, or what is there of the way to it."""
    return next(folder for folder in (path, *path.parents) if _is_there(folder))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # in a folder that is closed to us
        return False


def _read(data: bytes) -> list[Reserved]:
    """Return what a run has reserved; nothing where the file says nothing usable."""
    try:
        return [_reserved(told) for told in parse_json(data)]
    except (Unusable, TypeError, KeyError, ValueError):
        return []


def _reserved(told: Any) -> Reserved:
    disk, folder, mark = told["disk"], told["folder"], told["mark"]
    if type(folder) is not str or not os.path.isabs(folder) or "\0" in folder:
        raise TypeError("this is a path")
    if mark is not None and type(mark) is not str:
        raise TypeError("this is a part of a name")
    size = told["bytes"]
    if type(disk) is not int or type(size) is not int or not 0 <= size <= LARGEST:
        raise TypeError("these are whole numbers")
    return disk, Need(Path(folder), size, mark)
