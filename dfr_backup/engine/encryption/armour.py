"""Bytes and lines of an encrypted file, taken out of its ASCII armour if it has one.

The armour is read strictly, as the format asks for: who has no key could otherwise
change a file, and nobody would notice.
"""

import base64
import binascii
import os
from collections.abc import Callable
from typing import BinaryIO

from ..errors.encryption import ArmourBroken

BEGIN = b"-----BEGIN AGE ENCRYPTED FILE-----"
END = b"-----END AGE ENCRYPTED FILE-----"
COLUMNS = 64  # of a line in an armour and in a header, but for the last one
LONGEST_LINE = 2048  # bytes in a header
WHITE = b" \t\r\n"
MOST_WHITE = 1024  # bytes of white space before an armour


class Source:
    """Lines and exact numbers of bytes from a stream that may return fewer than
    asked for."""

    def __init__(self, stream: BinaryIO):
        self._stream = stream
        self._read: Callable[[int], bytes] = stream.read
        self._origin = stream.tell() if self.seekable() else 0
        self._pending = b""
        self.position = 0  # bytes that were taken

    def seekable(self) -> bool:
        seekable = getattr(self._stream, "seekable", None)
        return bool(seekable and seekable())

    def read(self, count: int) -> bytes:
        """Return ``count`` bytes, fewer only at the end."""
        pieces = [self._pending[:count]]
        self._pending = self._pending[count:]
        missing = count - len(pieces[0])
        while missing and (piece := self._read(missing)):
            pieces.append(piece[:missing])
            self._pending = piece[missing:]
            missing -= len(pieces[-1])
        self.position += count - missing
        return b"".join(pieces)

    def line(self) -> bytes:
        """Return the next line without its line feed; cut off when it is too long."""
        while b"\n" not in self._pending and len(self._pending) < LONGEST_LINE:
            piece = self._read(LONGEST_LINE)
            if not piece:
                break
            self._pending += piece
        line, _feed, _rest = self._pending[:LONGEST_LINE].partition(b"\n")
        self._pending = self._pending[len(line) + 1 :]
        self.position += len(line) + 1
        return line

    def seek(self, position: int) -> None:
        self._stream.seek(self._origin + position)
        self._pending = b""
        self.position = position

    def length(self) -> int:
        here = self._stream.tell()
        end = self._stream.seek(0, os.SEEK_END)
        self._stream.seek(here)
        return end - self._origin

    def dearmour_if_needed(self) -> bool:
        """Decode what follows if it is armoured. Return whether it is."""
        self._pending = self.read(MOST_WHITE + len(BEGIN))
        self.position = 0
        head = self._pending.lstrip(WHITE)
        if not head.startswith(BEGIN):
            return False
        inner = Source(self._stream)
        inner._pending, self._pending = head, b""
        self._read = _Armour(inner).read
        return True


class _Armour:
    """The bytes inside an ASCII armour."""

    def __init__(self, source: Source):
        self._source = source
        self._columns = COLUMNS  # of the last line, 0 after the end
        if self._line() != BEGIN:
            raise ArmourBroken()

    def read(self, _count: int) -> bytes:
        """Return some bytes (those of one line), none at the end. Raise
        ArmourBroken."""
        if not self._columns:
            return b""
        line = self._line()
        if line == END:
            self._finish()
            return b""
        try:
            data = base64.b64decode(line, validate=True)
        except binascii.Error as error:
            raise ArmourBroken() from error
        # only the last line may be shorter
        if self._columns < COLUMNS or not 0 < len(line) <= COLUMNS:
            raise ArmourBroken()
        if base64.b64encode(data) != line:
            raise ArmourBroken()
        self._columns = len(line.rstrip(b"="))
        return data

    def _line(self) -> bytes:
        return self._source.line().removesuffix(b"\r")

    def _finish(self) -> None:
        self._columns = 0
        while rest := self._source.read(LONGEST_LINE):
            if rest.strip(WHITE):
                raise ArmourBroken()
