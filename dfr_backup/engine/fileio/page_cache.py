"""Giving the page cache back as it was: what a backup reads once pushes nothing out of
it.

All of it is advice: where the system takes none, nothing is lost but speed.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable

BLOCK = 4096  # bytes: what direct I/O wants places and lengths to be multiples of
BEHIND = (
    32 << 20
)  # bytes of a file that may be in the page cache before they are let go
O_DIRECT = getattr(os, "O_DIRECT", 0)
NO_WAIT = getattr(os, "RWF_NOWAIT", 0)


def advise(file: int, advice: str, start: int = 0, length: int = 0) -> None:
    """Tell the kernel what will be done with an open file, where it can be told."""
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):
            os.posix_fadvise(file, start, length, getattr(os, f"POSIX_FADV_{advice}"))


def forget_cached(file: int) -> None:
    """Let the next reads of an open file come from the disk, not from memory (best
    effort)."""
    advise(file, "DONTNEED")
    advise(file, "SEQUENTIAL")


def is_cached(file: int) -> bool:
    """Tell whether the beginning of an open file is in the page cache; True when nobody
    knows.

    Linux begins to read what is not there when it is asked so (6.18): ask once.
    """
    if not NO_WAIT:
        return True
    try:
        os.preadv(file, [bytearray(1)], 0, NO_WAIT)
    except OSError as error:
        return error.errno != errno.EAGAIN
    return True


def go_direct(file: int, wanted: bool) -> None:
    """Switch direct I/O of an open file on or off, where the file system has it at
    all."""
    flags = fcntl.fcntl(file, fcntl.F_GETFL) & ~O_DIRECT
    with contextlib.suppress(OSError):
        fcntl.fcntl(file, fcntl.F_SETFL, flags | O_DIRECT if wanted else flags)


def direct_or_cached(operate: Callable[..., int], file: int, *args: object) -> int:
    """Return ``operate(file, *args)``; where direct I/O is refused, without it from
    then on.

    Some file systems take the flag and refuse to read or to write, and none works
    directly from the middle of a block, where a short operation may have left us.
    """
    try:
        return operate(file, *args)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        go_direct(file, False)
        return operate(file, *args)


class Passage:
    """Reading an open file from its beginning, as a context. What others had of it
    in the page cache stays there; what only we have read is let go."""

    def __init__(self, file: int):
        self._file = file
        self._is_new = not is_cached(file)
        self._let_go = 0

    def __enter__(self) -> "Passage":
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._is_new:
            advise(self._file, "DONTNEED", self._let_go)

    def passed(self, position: int) -> None:
        """Note how far the file has been read: in bytes."""
        if self._is_new and position - self._let_go >= BEHIND:
            advise(self._file, "DONTNEED", self._let_go, position - self._let_go)
            self._let_go = position
