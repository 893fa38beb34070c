"""A file that only grows, and that leaves the page cache to others.

Gigabytes that are read once, if at all, would push out of the page cache what others
need: what the disk has is let go while the file grows.
"""

import os
from collections.abc import Callable
from pathlib import Path

from .durable import open_private, sync_in_pieces
from .page_cache import BEHIND, advise

BUFFER = 4 << 20  # bytes: a disk that turns wants large writes
Bytes = bytes | bytearray | memoryview


class AppendFile:
    """A file whose first ``position`` bytes stay, and to which ``write`` adds.

    ``added`` gets every byte once, in order, when the file has it. Every method raises
    OSError; what could not be written is then still in memory, and a part of it may
    follow what belongs to the file until the next ``flush`` or ``return_to``.
    """

    def __init__(self, path: Path, flags: int, added: Callable[[memoryview], object]):
        self._buffer = memoryview(bytearray(BUFFER))
        self._filled = 0  # bytes of the buffer
        self._written = 0  # bytes that the file has
        self._released = 0  # what is before need not be in the page cache
        self._added = added
        self._file = open_private(path, os.O_RDWR | flags)

    @property
    def position(self) -> int:
        """How many bytes belong to the file."""
        return self._written + self._filled

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
        """Let the file have everything: it outlives the process then, not the
        machine."""
        view = self._buffer[: self._filled]
        write_at(self._file, view, self._written)
        self._added(view)
        self._written, self._filled = self.position, 0
        if self._written - self._released >= BEHIND:
            self._release()

    def sync(self, look: Callable[[], object] = lambda: None) -> None:
        """Let everything reach the disk, and the page cache forget it. ``look`` is
        called in between, and what it raises leaves."""
        self.flush()
        sync_in_pieces(self._file, self._written, look)
        advise(self._file, "DONTNEED")

    def return_to(self, position: int) -> None:
        """Forget what comes after ``position``, of what the file has."""
        os.ftruncate(self._file, position)
        self._written, self._filled = position, 0
        self._released = min(self._released, position)

    def link_to(self, path: Path) -> None:
        """Give a file that has no name this one. Raise FileExistsError when something
        has it."""
        source = f"/proc/self/fd/{self._file}"
        # with a descriptor, Python lets the system follow the link to the file itself
        os.link(source, path, src_dir_fd=self._file)

    def close(self) -> None:
        """Close the file as it is: what was not flushed is lost."""
        # a thread that still writes must find no other file
        file, self._file = self._file, -1
        os.close(file)

    def _release(self) -> None:
        """Let the disk begin with what is new, and the page cache forget what it has
        by now."""
        before, self._released = self._released, self._written
        start = max(0, before - BEHIND)
        advise(self._file, "DONTNEED", start, self._written - start)


def write_at(file: int, view: memoryview, offset: int) -> None:
    """Write all of ``view`` at ``offset``, in bytes. Raise OSError."""
    while view:
        count = os.pwrite(file, view, offset)
        view, offset = view[count:], offset + count
