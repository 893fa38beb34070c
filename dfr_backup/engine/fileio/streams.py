"""What streams of this engine have in common."""

import io
import os
from typing import Any


class SeekableStream(io.RawIOBase):
    """A stream of ``_size`` bytes that stands at ``_position``; both are the
    subclass's to set, and so is ``readinto``."""

    _size: int
    _position: int

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}
        position = max(0, bases[whence] + offset)
        if position != self._position:
            self._position = position
            self._start_over()
        return position

    def _start_over(self) -> None:
        """What was read ahead is of another place now."""


def read_fully(stream: Any, size: int) -> bytes:
    """Return ``size`` bytes of a stream that may return fewer at once; fewer at its
    end."""
    data = b""
    while len(data) < size and (more := stream.read(size - len(data))):
        data = data + more if data else more
    return data
