"""A file that only grows, written round the page cache where its file system can do
that.

Gigabytes that are read once, if at all, would push out of the page cache what others
need, and memory that the machine has not used for a while costs more to fill than the
disk does (measured: 0.1 s of processor time for 1.3 GiB, instead of 0.3 to 3 s).
"""

import mmap
import os
from collections.abc import Callable
from pathlib import Path

from .pagecache import BEHIND, BLOCK, advise, direct_or_cached, go_direct, is_direct

BUFFER = 4 << 20  # bytes: a disk that turns wants large writes
Bytes = bytes | bytearray | memoryview


class AppendFile:
    """A file whose first ``position`` bytes stay, and to which ``write`` adds.

    ``added`` gets every byte once, in order, when the file has it. Until ``sync`` is
    called the file may end with up to 4 KiB of zeros that do not belong to it. Every
    method raises OSError; what could not be written is then still in memory.
    """

    def __init__(self, path: Path, flags: int, added: Callable[[memoryview], object]):
        self._buffer = memoryview(mmap.mmap(-1, BUFFER))  # direct I/O wants whole pages
        self._added = added
        self._start = self._filled = (
            0  # of the buffer: its place in the file, and what it holds
        )
        self._flushed = 0  # of what it holds
        self._released = 0  # what is before need not be in the page cache
        mode = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(path, mode | flags, 0o600)
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

    def flush(self) -> bytes:
        """Let the file have everything: it outlives the process then, not the
        machine. Return what is in the last block, if that is not full: ``return_to``
        wants it."""
        filled = self._filled
        if filled != self._flushed:
            whole = -(-filled // BLOCK) * BLOCK
            self._buffer[filled:whole] = bytes(whole - filled)
            self._put(self._buffer[:whole])
            self._added(self._buffer[self._flushed : filled])
            self._go_on(
                self._start + filled,
                bytes(self._buffer[filled - filled % BLOCK : filled]),
            )
        return bytes(self._buffer[: self._filled])

    def sync(self) -> None:
        """Let everything reach the disk, and nothing else."""
        self.flush()
        os.ftruncate(self._file, self.position)
        os.fsync(self._file)

    def return_to(self, position: int, tail: bytes) -> None:
        """Forget what comes after ``position``; ``tail`` is what is in its block
        before it."""
        self._go_on(position, tail)
        self._released = min(self._released, position)
        os.ftruncate(self._file, position)

    def close(self) -> None:
        """Close the file as it is: what was not flushed is lost."""
        file, self._file = (
            self._file,
            -1,
        )  # a thread that still writes must find no other file
        os.close(file)

    def _go_on(self, position: int, tail: bytes) -> None:
        """Go on at ``position``, with the block in which it is: that is written once
        more."""
        kept = position % BLOCK
        if len(tail) != kept:
            raise ValueError(f"{len(tail)} bytes of a block that has {kept}")
        self._buffer[:kept] = tail
        self._start, self._filled, self._flushed = position - kept, kept, kept

    def _put(self, view: memoryview) -> None:
        write_at(self._file, view, self._start)
        if not is_direct(self._file) and self._start - self._released >= BEHIND:
            self._release()

    def _release(self) -> None:
        """Let the disk begin with what is new, and the page cache forget what it has
        by now."""
        before, self._released = self._released, self._start
        start = max(0, before - BEHIND)
        advise(self._file, "DONTNEED", start, self._start - start)


def write_at(file: int, view: memoryview, offset: int) -> None:
    """Write all of ``view``; without direct I/O from where the file system refuses
    it."""
    while view:
        count = direct_or_cached(os.pwrite, file, view, offset)
        view, offset = view[count:], offset + count
