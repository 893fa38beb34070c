"""Files over SFTP with many requests under way, and never more memory than those
take."""

import contextlib
import secrets
import stat
import struct
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from io import BufferedReader
from pathlib import Path
from typing import Any

from ...checkpoints import checkpoint
from ...fileio.streams import SeekableStream
from ..base import CHUNK
from ..kind import PARTIAL
from ..source import open_source
from . import protocol
from .protocol import Reply, Session, SftpStatusError

WINDOW = 2 << 20  # bytes under way: the SSH channel lets no more pass
COMPARED = 2 * WINDOW  # bytes at the end of a partial file, before it goes on


class Writer:
    """Writes to an open file from ``offset`` on. ``stored`` counts the bytes that
    the server has confirmed; a refused write is raised by the next call. Bytes pass
    through ``spend``."""

    def __init__(
        self,
        session: Session,
        handle: bytes,
        offset: int,
        spend: Callable[[int], object],
    ):
        self._session = session
        self._handle = protocol.string(handle)
        self._offset = offset
        self._spend = spend
        self._under_way = 0  # bytes
        self._refusal: SftpStatusError | None = None
        self.stored = 0

    def write(self, data: memoryview) -> None:
        step = self._session.payload
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            self._spend(len(piece))
            self._wait_for(WINDOW - len(piece))
            self._send(piece)

    def finish(self) -> None:
        """Wait until the server has confirmed everything."""
        self._wait_for(0)

    def _send(self, piece: memoryview) -> None:
        size = len(piece)
        place = struct.pack(">QI", self._offset, size)
        self._under_way += size
        self._offset += size
        request = b"".join((self._handle, place, piece))
        self._session.submit(
            protocol.WRITE, request, lambda reply: self._confirmed(size, reply)
        )

    def _confirmed(self, size: int, reply: Reply) -> None:
        self._under_way -= size
        self._refusal = self._refusal or reply.refusal()
        if not self._refusal:
            self.stored += size

    def _wait_for(self, under_way: int) -> None:
        while self._under_way > under_way:
            self._session.pump()
        if self._refusal:
            raise self._refusal


class Reader(SeekableStream):
    """Reads an open file of ``size`` bytes from ``offset`` on, ahead of who reads it.

    ``guard`` makes the context in which the server is asked: it turns errors into
    EngineErrors.
    """

    def __init__(
        self,
        session: Session,
        handle: bytes,
        size: int,
        offset: int,
        spend: Callable[[int], object],
        guard: Callable[[], AbstractContextManager[object]] = nullcontext,
    ):
        super().__init__()
        self._guard = guard
        self._session = session
        self._handle = handle
        self._size = size
        self._spend = spend
        self._position = offset
        self._allowed = 0  # bytes that are read ahead
        self._start_over()

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer``, at least a part of it. Return 0 at the end of the file."""
        with self._guard():
            self._ask_ahead()
            if not self._pieces:
                return 0
            piece = self._arrived(self._pieces[0])
        count = min(len(buffer), len(piece.data))
        buffer[:count] = piece.data[:count]
        piece.data = piece.data[count:]
        self._position += count
        if not piece.data:
            self._pieces.popleft()
            self._allowed = min(2 * self._allowed, WINDOW)
        self._spend(count)
        return count

    @property
    def is_ahead(self) -> bool:
        """Whether the server still sends what nobody has read."""
        return bool(self._pieces)

    def _arrived(self, piece: "_Piece") -> "_Piece":
        while not piece.done:
            self._session.pump()
        if piece.refusal:
            raise piece.refusal
        return piece

    def _start_over(self) -> None:
        # a reader that jumps wants little from each place: read ahead more as it stays
        self._pieces: deque[_Piece] = deque()
        self._next = self._position
        self._allowed = 4 * protocol.PAYLOAD

    def _ask_ahead(self) -> None:
        end = min(self._size, self._position + self._allowed)
        while self._next < end:
            piece = _Piece(
                self._session,
                self._handle,
                self._next,
                min(self._session.payload, self._size - self._next),
            )
            self._next += piece.wanted
            self._pieces.append(piece)
            piece.ask()


class _Piece:
    """A part of a file: asked for, then there, all of it."""

    def __init__(self, session: Session, handle: bytes, offset: int, wanted: int):
        self._session = session
        self._handle = protocol.string(handle)
        self._offset = offset
        self.wanted = wanted
        self.data = memoryview(b"")
        self.refusal: SftpStatusError | None = None
        self.done = False

    def ask(self) -> None:
        got = len(self.data)
        place = struct.pack(">QI", self._offset + got, self.wanted - got)
        self._session.submit(protocol.READ, self._handle + place, self._answered)

    def _answered(self, reply: Reply) -> None:
        try:
            self._add(reply.require(protocol.DATA).view())
        except SftpStatusError as refusal:
            self.refusal = refusal
            self.done = True

    def _add(self, data: memoryview) -> None:
        if not data:
            raise SftpStatusError(protocol.FAILURE, "the server sent nothing")
        self.data = memoryview(b"".join((self.data, data))) if self.data else data
        self.done = len(self.data) >= self.wanted
        if not self.done:  # a server may send less than it was asked for
            self.ask()


def resumable(session: Session, source: Path, partial: str, size: int) -> int:
    """Return how many bytes of ``source`` are in the partial file already.

    Its end is compared: of what was under way when it was interrupted, a server may
    have written a later part and not an earlier one.
    """
    found = session.lstat(partial)
    if found is None:
        return 0
    if found.mode is None or not stat.S_ISREG(found.mode):
        session.remove(partial)  # a link would lead us elsewhere
        return 0
    done = found.size or 0
    if not 0 < done <= size:
        return 0
    start = max(0, done - COMPARED)
    return done if _same(session, source, partial, start, done) else 0


def _same(session: Session, source: Path, partial: str, start: int, end: int) -> bool:
    handle = session.open(partial, protocol.FOR_READING)
    stored = Reader(session, handle, end, start, lambda _count: None)
    view = memoryview(bytearray(CHUNK))
    with BufferedReader(open_source(source)) as reader:
        reader.seek(start)
        while count := stored.readinto(view):
            if reader.read(count) != view[:count]:
                return False
    session.close(handle)
    return True


def publish(session: Session, partial: str, path: str) -> None:
    """Give a file its name, over one that has it."""
    checkpoint("storage.rename.before")
    if protocol.POSIX_RENAME in session.extensions:
        session.posix_rename(partial, path)
    else:
        _replace(session, partial, path)
    checkpoint("storage.rename.after")


def _replace(session: Session, partial: str, path: str) -> None:
    """Rename on a server whose rename does not replace: the old file steps aside,
    and comes back when the new one cannot take its place."""
    try:
        session.rename(partial, path)
    except SftpStatusError:
        if session.lstat(path) is None:
            raise
    else:
        return
    aside = f"{path}.{secrets.token_hex(4)}{PARTIAL}"
    session.rename(path, aside)
    try:
        session.rename(partial, path)
    except SftpStatusError:
        session.rename(aside, path)
        raise
    with contextlib.suppress(SftpStatusError):
        session.remove(aside)
