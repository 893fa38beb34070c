"""Files of a restore on their way to the disk, and what its errors mean."""

import os
import resource
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from ..concurrency.background import Task
from ..errors import reason_of
from ..errors.restore import FileExists, FilesNotWritten
from ..fileio.durable import sync_file_system
from ..fileio.page_cache import advise

BEHIND = 256  # files that are still open while the disk takes them
SPARE = 1 << 20  # bytes: a disk with less is full


class WriteBehind:
    """Lets files go to the disk while the next are written, and then out of the page
    cache.

    Else gigabytes wait there until all of them go at once, and who writes something
    else waits for them: PostgreSQL, say. The last ``most`` files are kept open, as only
    what has reached the disk leaves the cache. With 0 this does nothing but close them.
    Use as a context manager; threads may share it.
    """

    def __init__(self, most: int):
        self._most = most
        self._files: deque[int] = deque()

    def __enter__(self) -> "WriteBehind":
        return self

    def __exit__(self, kind: type[BaseException] | None, *others: object) -> None:
        """Close what is still open: all of it, also when the disk refuses one of
        them. Raise OSError then, unless there is an error already."""
        failed: OSError | None = None
        while self._files:
            try:
                self._shrink(len(self._files) - 1)
            except OSError as error:
                failed = failed or error
        if failed and kind is None:
            raise failed

    def close(self, file: int) -> None:
        """Close an open file, now or later. Raise OSError."""
        if not self._most:
            os.close(file)
            return
        advise(file, "DONTNEED")  # which begins to write what is not on the disk
        self._files.append(file)
        self._shrink(self._most)

    def _shrink(self, most: int) -> None:
        while len(self._files) > most:
            with suppress(IndexError):  # another thread may have been faster
                file = self._files.popleft()
                advise(file, "DONTNEED")
                os.close(file)


@contextmanager
def reaching_the_disk(folder: Path, look: Callable[[], object]) -> Iterator[None]:
    """Let everything that is written meanwhile to the file system of ``folder`` reach
    the disk.

    Raise PermanentError when the disk has not taken it. ``look`` is called while it
    does, and what it raises leaves: the disk goes on by itself. The folder is open all
    the while, because syncfs(2) reports the errors since then (Linux 5.8 or newer;
    older ones none).
    """
    with explained(folder):
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield
        with explained(folder):
            syncing = Task(partial(_sync_and_close, os.dup(file)), "dfr_backup sync")
            syncing.finish(look)
    finally:
        os.close(file)


def _sync_and_close(file: int) -> None:
    try:
        sync_file_system(file)
    finally:
        os.close(file)


def files_behind() -> int:
    """Return how many files may stay open: 0 where that is of no use."""
    if not hasattr(os, "posix_fadvise"):
        return 0
    most, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return BEHIND if most == resource.RLIM_INFINITY else min(BEHIND, most // 4)


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Raise FileExists or FilesNotWritten for an OSError of writing in ``folder``."""
    try:
        yield
    except FileExistsError as error:
        raise FileExists(path=error.filename) from error
    except OSError as error:
        full = shutil.disk_usage(_existing(folder)).free < SPARE
        remedy = FilesNotWritten.remedy_full if full else None
        raise FilesNotWritten(
            folder=folder, reason=reason_of(error), remedy=remedy, log=str(error)
        ) from error


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())
