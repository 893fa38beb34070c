"""SFTP version 3 (draft-ietf-secsh-filexfer-02) over a channel that is open already.

paramiko does SSH. Its own SFTP client hides what a backup needs: the exact status
codes, the mode of a new file, what the server offers, and how many requests may be
under way.
"""

import contextlib
import stat
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ...errors import EngineError
from ..base import LARGEST

VERSION = 3
INIT, VERSION_REPLY, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT = 1, 2, 3, 4, 5, 6, 7, 8
OPENDIR, READDIR, REMOVE, MKDIR, STAT, RENAME = 11, 12, 13, 14, 17, 18
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED, EXTENDED_REPLY = (
    101,
    102,
    103,
    104,
    105,
    200,
    201,
)

OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE = 0, 1, 2, 3, 4
NO_CONNECTION, CONNECTION_LOST, UNSUPPORTED = 6, 7, 8

FOR_READING, FOR_WRITING, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 8, 16, 32
ATTR_SIZE, ATTR_OWNER, ATTR_MODE, ATTR_TIMES, ATTR_EXTENDED = 1, 2, 4, 8, 1 << 31

POSIX_RENAME, FSYNC, STATVFS = (
    "posix-rename@openssh.com",
    "fsync@openssh.com",
    "statvfs@openssh.com",
)
LIMITS = "limits@openssh.com"
PAYLOAD = 32 << 10  # bytes of a file that every server takes in one request
PAYLOAD_MOST = 255 << 10  # and what OpenSSH takes
RECEIVE = 2 << 20  # bytes: all that may wait in the channel, which moves what it keeps
LARGEST_PACKET = (
    16 << 20
)  # bytes: more is not SFTP, but for example the greeting of a shell


class SftpStatusError(Exception):
    """The server answered a request with a status that is not OK (``code``)."""

    def __init__(self, code: int, text: str):
        super().__init__(f"{text} (SFTP status {code})")
        self.code = code
        self.text = text


class ProtocolError(Exception):
    """What came is not SFTP."""


class Channel(Protocol):
    """A stream of bytes. Both raise when it is broken, and ``recv`` also when it has
    ended."""

    def send(self, data: bytes, /) -> int: ...
    def recv(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Attributes:
    """What is known of a file. ``mode`` holds the kind of file, too; ``modified`` is
    a Unix time. A server may leave out each of them."""

    size: int | None = None
    mode: int | None = None
    modified: int | None = None

    @property
    def is_file(self) -> bool:
        return self.mode is None or stat.S_ISREG(self.mode)

    @property
    def is_directory(self) -> bool:
        return self.mode is not None and stat.S_ISDIR(self.mode)


@dataclass(frozen=True)
class Reply:
    kind: int
    body: "Fields"

    def require(self, kind: int) -> "Fields":
        """Return the fields of a reply of this kind. Raise SftpStatusError, or
        ProtocolError."""
        if self.kind == STATUS:
            raise self.refusal() or ProtocolError("a status where data was expected")
        if self.kind != kind:
            raise ProtocolError(f"a reply of kind {self.kind} instead of {kind}")
        return self.body

    def refusal(self) -> SftpStatusError | None:
        """Return why the request was refused, or None when it was not."""
        if self.kind != STATUS:
            return None
        code = self.body.number()
        text = self.body.string().decode("utf-8", "replace") if self.body.left() else ""
        return SftpStatusError(code, text) if code != OK else None


class Fields:
    """Reads the fields of a packet, one after the other."""

    def __init__(self, data: bytes, start: int = 0):
        self._data = memoryview(data)
        self._at = start

    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, layout: str) -> tuple[int, ...]:
        size = struct.calcsize(layout)
        if self.left() < size:
            raise ProtocolError("a packet that is too short")
        self._at += size
        return struct.unpack_from(layout, self._data, self._at - size)

    def number(self) -> int:
        return self.take(">I")[0]

    def view(self) -> memoryview:
        """Return the next string without a copy."""
        size = self.number()
        if self.left() < size:
            raise ProtocolError("a packet that is too short")
        self._at += size
        return self._data[self._at - size : self._at]

    def string(self) -> bytes:
        return bytes(self.view())

    def attributes(self) -> Attributes:
        flags = self.number()
        size = self.take(">Q")[0] if flags & ATTR_SIZE else None
        if size and size > LARGEST:
            raise ProtocolError(f"a file of {size} bytes")
        if flags & ATTR_OWNER:
            self.take(">II")
        mode = self.number() if flags & ATTR_MODE else None
        modified = self.take(">II")[1] if flags & ATTR_TIMES else None
        if flags & ATTR_EXTENDED:
            for _ in range(2 * self.number()):
                self.view()
        return Attributes(size, mode, modified)


def string(value: str | bytes) -> bytes:
    """Return ``value`` as SFTP writes it: its length, then its bytes."""
    data = value.encode("utf-8") if isinstance(value, str) else value
    return struct.pack(">I", len(data)) + data


def _with_mode(mode: int) -> bytes:
    return struct.pack(">II", ATTR_MODE, mode)


class Session:
    """The conversation with an SFTP server. Every method raises SftpStatusError,
    ProtocolError, or what the channel raises. Paths are text, handles are bytes. For
    one thread only.
    """

    def __init__(self, channel: Channel):
        self._channel = channel
        self._received = bytearray()
        self._replies: dict[int, Callable[[Reply], None]] = {}
        self._last = 0
        self._send(INIT, struct.pack(">I", VERSION))
        kind, fields = self._receive()
        if kind != VERSION_REPLY or fields.number() < VERSION:
            raise ProtocolError("the server does not speak version 3 of SFTP")
        self.extensions: set[str] = set()
        while fields.left():
            self.extensions.add(fields.string().decode("utf-8", "replace"))
            fields.view()
        self.payload = self._largest_payload()

    def submit(self, kind: int, body: bytes, on_reply: Callable[[Reply], None]) -> None:
        """Send a request, and let ``on_reply`` have the answer in a later ``pump``."""
        self._last = (self._last + 1) & 0xFFFFFFFF
        self._replies[self._last] = on_reply
        self._send(kind, struct.pack(">I", self._last), body)

    def pump(self) -> None:
        """Wait for one answer of the server, and hand it on."""
        kind, fields = self._receive()
        on_reply = self._replies.pop(fields.number(), None)
        if on_reply is None:
            raise ProtocolError("an answer that nobody asked for")
        on_reply(Reply(kind, fields))

    def call(self, kind: int, *fields: bytes) -> Reply:
        """Send a request and return its answer, whatever it is."""
        answers: list[Reply] = []
        self.submit(kind, b"".join(fields), answers.append)
        while not answers:
            self.pump()
        return answers[0]

    def open(self, path: str, flags: int, mode: int = 0o600) -> bytes:
        """Return the handle of a file; ``mode`` is the mode of one that is made."""
        attributes = _with_mode(mode) if flags & CREATE else struct.pack(">I", 0)
        request = string(path) + struct.pack(">I", flags) + attributes
        return self.call(OPEN, request).require(HANDLE).string()

    def close(self, handle: bytes) -> None:
        self._command(CLOSE, string(handle))

    def stat(self, path: str) -> Attributes | None:
        """Return the attributes of what a path leads to, or None when there is
        nothing."""
        return self._attributes(STAT, path)

    def lstat(self, path: str) -> Attributes | None:
        """The same, of a symbolic link itself."""
        return self._attributes(LSTAT, path)

    def fstat(self, handle: bytes) -> Attributes:
        return self.call(FSTAT, string(handle)).require(ATTRS).attributes()

    def mkdir(self, path: str, mode: int) -> None:
        self._command(MKDIR, string(path), _with_mode(mode))

    def remove(self, path: str) -> bool:
        """Delete a file. Return False when it was not there."""
        try:
            self._command(REMOVE, string(path))
        except SftpStatusError as error:
            if error.code != NO_SUCH_FILE:
                raise
            return False
        return True

    def rename(self, source: str, target: str) -> None:
        """Rename a file. What a server does with an existing ``target`` differs."""
        self._command(RENAME, string(source), string(target))

    def posix_rename(self, source: str, target: str) -> None:
        """Rename a file and replace ``target`` in one instant. Only where it is
        offered."""
        self._command(EXTENDED, string(POSIX_RENAME), string(source), string(target))

    def fsync(self, handle: bytes) -> None:
        self._command(EXTENDED, string(FSYNC), string(handle))

    def free_space(self, path: str) -> int:
        """Return the bytes that we may still store there. Only where statvfs is
        offered."""
        reply = self.call(EXTENDED, string(STATVFS), string(path)).require(
            EXTENDED_REPLY
        )
        bsize, frsize, _blocks, _bfree, bavail = reply.take(">11Q")[:5]
        return (frsize or bsize) * bavail

    def scan(self, path: str) -> Iterator[tuple[bytes, Attributes]]:
        """Yield name and attributes (of links themselves) of all that is in a
        directory."""
        handle = self.call(OPENDIR, string(path)).require(HANDLE).string()
        try:
            yield from self._entries(handle)
        except BaseException:
            # the first error counts, and whoever reads no further may have hung up
            with contextlib.suppress(EngineError, SftpStatusError, ProtocolError):
                self.close(handle)
            raise
        self.close(handle)

    def _entries(self, handle: bytes) -> Iterator[tuple[bytes, Attributes]]:
        while True:
            try:
                fields = self.call(READDIR, string(handle)).require(NAME)
            except SftpStatusError as error:
                if error.code == EOF:
                    return
                raise
            for _ in range(fields.number()):
                name, _longname = fields.string(), fields.view()
                yield name, fields.attributes()

    def _largest_payload(self) -> int:
        if LIMITS not in self.extensions:
            return PAYLOAD
        limits = self.call(EXTENDED, string(LIMITS)).require(EXTENDED_REPLY).take(">4Q")
        return max(
            PAYLOAD, min(PAYLOAD_MOST, limits[1] or PAYLOAD, limits[2] or PAYLOAD)
        )

    def _command(self, kind: int, *fields: bytes) -> None:
        reply = self.call(kind, *fields)
        if refusal := reply.refusal():
            raise refusal

    def _attributes(self, kind: int, path: str) -> Attributes | None:
        try:
            return self.call(kind, string(path)).require(ATTRS).attributes()
        except SftpStatusError as error:
            if error.code == NO_SUCH_FILE:
                return None
            raise

    def _send(self, kind: int, *parts: bytes) -> None:
        size = 1 + sum(map(len, parts))
        packet = b"".join((struct.pack(">IB", size, kind), *parts))
        at = self._channel.send(packet)
        while at < len(packet):
            at += self._channel.send(packet[at : at + PAYLOAD])

    def _receive(self) -> tuple[int, Fields]:
        (size,) = struct.unpack(">I", self._take(4))
        if not 5 <= size <= LARGEST_PACKET:
            raise ProtocolError(f"a packet of {size} bytes")
        packet = self._take(size)
        return packet[0], Fields(packet, 1)

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            self._received += self._channel.recv(RECEIVE)
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken
