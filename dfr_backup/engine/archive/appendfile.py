"""A file that only grows, written round the page cache where its file system can do that.

Gigabytes that nobody reads soon would push out of the page cache what others need, and memory
that the machine has not used for a while costs more to fill than the disk does (measured: 0.1 s of
processor time for 1.3 GiB, instead of 0.3 to 3 s).
"""

import errno
import mmap
import os
from collections.abc import Callable
from pathlib import Path

from ..directread import BLOCK
from ..pagecache import BEHIND, advise, go_direct, is_direct

BUFFER = 4 << 20  # bytes: a disk that turns wants large writes
Bytes = bytes | bytearray | memoryview


class AppendFile:
    """A file whose first ``position`` bytes stay, and to which ``write`` adds.

    ``added`` gets every byte once, in order, when the file has it. Until ``cut`` is called the
    file may end with up to 4 KiB of zeros that do not belong to it. Every method raises OSError;
    what could not be written is then still in memory.
    """

    def __init__(self, path: Path, flags: int, added: Callable[[memoryview], object]):
        mode = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(path, mode | flags, 0o600)
        self._added = added
        self._buffer = memoryview(mmap.mmap(-1, BUFFER))  # direct I/O wants whole pages
        self._start = self._filled = self._known = 0  # of the buffer: where, and how much in it
        self._released = 0  # what is before need not be in the page cache
        go_direct(self._file, True)

    @property
    def position(self) -> int:
        """How many bytes belong to the file."""
        return self._start + self._filled

    def write(self, data: Bytes) -> None:
        """Add ``data``, which may be changed afterwards; it may be in memory only."""
        view = memoryview(data)
        while view:
            part = view[: BUFFER - self._filled]
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            view = view[len(part) :]
            if self._filled == BUFFER:
                self.flush()

    def flush(self) -> None:
        """Let the file have everything: it outlives the process then, not the machine."""
        filled = self._filled
        if filled == self._known:
            return
        whole = -(-filled // BLOCK) * BLOCK
        self._buffer[filled:whole] = bytes(whole - filled)
        self._put(self._buffer[:whole])
        self._added(self._buffer[self._known : filled])
        kept = filled % BLOCK  # of a block that will be written once more
        self._buffer[:kept] = self._buffer[filled - kept : filled]
        self._start += filled - kept
        self._filled = self._known = kept

    def sync(self) -> None:
        """Let everything reach the disk."""
        self.cut()
        os.fsync(self._file)

    def cut(self) -> None:
        """Let the file have everything, and nothing else."""
        self.flush()
        os.ftruncate(self._file, self.position)

    def return_to(self, position: int) -> None:
        """Forget what comes after ``position``."""
        os.ftruncate(self._file, position)
        kept = position % BLOCK
        self._start = position - kept
        self._filled = self._known = kept
        self._released = min(self._released, position)
        if kept:
            os.preadv(self._file, [self._buffer[:BLOCK]], self._start)

    def close(self) -> None:
        """Close the file as it is: what was not flushed is lost."""
        os.close(self._file)

    def _put(self, view: memoryview) -> None:
        write_at(self._file, view, self._start)
        if not is_direct(self._file) and self._start - self._released >= BEHIND:
            self._release()

    def _release(self) -> None:
        """Let the disk begin with what is new, and the page cache forget what it has by now."""
        before, self._released = self._released, self._start
        start = max(0, before - BEHIND)
        advise(self._file, "DONTNEED", start, self._start - start)


def write_at(file: int, view: memoryview, offset: int) -> None:
    while view:
        try:
            count = os.pwrite(file, view, offset)
        except OSError as error:
            if error.errno != errno.EINVAL or not is_direct(file):
                raise
            go_direct(file, False)  # some file systems take the flag and refuse to write
            continue
        view, offset = view[count:], offset + count
