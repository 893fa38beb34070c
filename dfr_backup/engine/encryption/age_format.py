"""The age file format (c2sp.org/age, version 1): header and payload.

pyrage, the package that offers it, cannot be cancelled (it holds the interpreter's
lock), needs the whole file in memory for a passphrase and cannot seek. The format is
small, and every primitive comes from ``cryptography``, which Odoo has; the tests hold
it against ``age`` itself.
"""

import base64
import hmac
import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from ..errors import EngineError
from ..errors.encryption import (
    CutOff,
    HeaderDamaged,
    NotEncrypted,
    OtherKeys,
    PayloadDamaged,
    WrongPassphrase,
)
from .armour import COLUMNS, Source

VERSION = b"age-encryption.org/v1"
CHUNK = 64 << 10  # bytes of plain text; set by the format, as all that follows
TAG = 16
ENCRYPTED = CHUNK + TAG
MOST_STANZAS = 256
MOST_BODY_LINES = 64
ARGUMENTS = re.compile(rb"-> [!-~]+( [!-~]+)*")


@dataclass(frozen=True)
class Stanza:
    """The file key, wrapped for one recipient."""

    kind: str
    args: tuple[str, ...]
    body: bytes


class Recipient(Protocol):
    def wrap(self, file_key: bytes) -> Stanza:
        """Return the file key (16 bytes), encrypted."""


class Identity(Protocol):
    def unwrap(self, stanza: Stanza) -> bytes | None:
        """Return the file key, or None when the stanza is for somebody else."""


def derive(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """Return 32 bytes of HKDF-SHA-256."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info).derive(
        secret
    )


def encode64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def decode64(text: str) -> bytes:
    """Return what unpadded, canonical base64 says. Raise ValueError."""
    data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    if encode64(data) != text:
        raise ValueError("not canonical base64")
    return data


class EncryptedWriter:
    """Encrypt what is written, piece by piece, and pass it on to ``write``.

    ``finish`` must be called at the end: without its last chunk a file counts as cut
    off.
    """

    def __init__(
        self, write: Callable[[bytes], object], recipients: Sequence[Recipient]
    ):
        file_key, nonce = os.urandom(16), os.urandom(16)
        self._write = write
        self._payload = _Payload(file_key, nonce)
        self._buffer = bytearray()
        self._index = 0
        write(
            _header(file_key, [recipient.wrap(file_key) for recipient in recipients])
            + nonce
        )

    def write(self, data: bytes | memoryview) -> None:
        """Take plain text of any length."""
        view = memoryview(data)
        if self._buffer:
            missing = CHUNK - len(self._buffer)
            self._buffer += view[:missing]
            view = view[missing:]
            if not view:
                return  # a full buffer may be the last chunk: that is not known yet
            self._encrypt(self._buffer, last=False)
            self._buffer.clear()
        start = 0
        while len(view) - start > CHUNK:
            self._encrypt(view[start : start + CHUNK], last=False)
            start += CHUNK
        self._buffer += view[start:]

    def finish(self) -> None:
        """Write the last chunk."""
        self._encrypt(self._buffer, last=True)

    def _encrypt(self, chunk: bytes | bytearray | memoryview, last: bool) -> None:
        self._write(self._payload.encrypt(chunk, self._index, last))
        self._index += 1


class EncryptedReader(io.RawIOBase):
    """The plain text of an encrypted stream, which stays the caller's to close.

    Seekable when the stream is, and not armoured. Every byte that is returned is
    authentic; that nothing was cut off is only known once the end was read. Raise
    PermanentError when the stream is no age file, is for other identities, damaged or
    cut off.
    """

    def __init__(self, stream: BinaryIO, identities: Sequence[Identity]):
        self._source = Source(stream)
        self._armoured = self._source.dearmour_if_needed()
        file_key = _open_header(self._source, identities)
        nonce = self._source.read(16)
        if len(nonce) < 16:
            raise CutOff()
        self._payload = _Payload(file_key, nonce)
        self._start = self._source.position
        self._position = 0
        self._index = -1  # of the chunk in self._plain
        self._plain = memoryview(b"")
        self._is_last = False  # that chunk
        self._ahead = self._source.read(ENCRYPTED)  # the chunk after it

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return not self._armoured and self._source.seekable()

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if not self.seekable():
            raise io.UnsupportedOperation("this stream cannot seek")
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}
        base = bases[whence] if whence in bases else self._load_last()
        if base + offset < 0:
            raise ValueError("a position before the beginning")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        index, start = divmod(self._position, CHUNK)
        if index != self._index:
            self._load(index)
        piece = self._plain[start : start + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _load(self, index: int) -> None:
        """Make chunk ``index`` the one in hand; it is empty behind the end."""
        in_order = index == self._index + 1
        encrypted = self._ahead if in_order else self._read_at(index)
        if index and not encrypted:
            if not in_order:
                self._load_last()
            elif not self._is_last:
                raise CutOff()
            self._index, self._plain, self._ahead = index, memoryview(b""), b""
            return
        if in_order and self._is_last:
            raise PayloadDamaged()
        ahead = self._source.read(ENCRYPTED) if len(encrypted) == ENCRYPTED else b""
        plain, self._is_last = self._payload.decrypt(
            encrypted, index, followed=bool(ahead)
        )
        self._index, self._plain, self._ahead = index, memoryview(plain), ahead

    def _read_at(self, index: int) -> bytes:
        self._source.seek(self._start + index * ENCRYPTED)
        return self._source.read(ENCRYPTED)

    def _load_last(self) -> int:
        """Load the last chunk. Return the size of all."""
        encrypted = self._source.length() - self._start
        chunks = max(-(-encrypted // ENCRYPTED), 1)
        if self._index != chunks - 1:
            self._load(chunks - 1)
        if not self._is_last:
            raise CutOff()
        return encrypted - TAG * chunks


class _Payload:
    """Chunks of 64 KiB, each encrypted with its number and whether it is the last."""

    def __init__(self, file_key: bytes, nonce: bytes):
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        self._cipher = ChaCha20Poly1305(derive(file_key, nonce, b"payload"))

    def encrypt(
        self, chunk: bytes | bytearray | memoryview, index: int, last: bool
    ) -> bytes:
        # bytes: the cryptography that Odoo asks for on older systems takes no view
        return self._cipher.encrypt(_nonce(index, last), bytes(chunk), None)

    def decrypt(
        self, encrypted: bytes, index: int, followed: bool
    ) -> tuple[bytes, bool]:
        """Return a chunk, and whether it is the last one: ``followed`` makes that
        improbable."""
        for last in (not followed, followed):
            plain = self._try(encrypted, index, last)
            if plain is not None:
                if not last and len(plain) < CHUNK:
                    raise CutOff()
                if index and not plain:
                    raise PayloadDamaged()
                return plain, last
        raise PayloadDamaged()

    def _try(self, encrypted: bytes, index: int, last: bool) -> bytes | None:
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(_nonce(index, last), encrypted, None)
        except (InvalidTag, ValueError):
            return None


def _nonce(index: int, last: bool) -> bytes:
    return index.to_bytes(11, "big") + bytes([last])


def _header(file_key: bytes, stanzas: Sequence[Stanza]) -> bytes:
    lines = [VERSION]
    for stanza in stanzas:
        lines.append(" ".join(("->", stanza.kind, *stanza.args)).encode())
        body = encode64(stanza.body).encode()
        # the last line is shorter than the others, if need be empty: that ends the body
        lines += [body[at : at + COLUMNS] for at in range(0, len(body) + 1, COLUMNS)]
    text = b"\n".join([*lines, b"---"])
    return text + b" " + encode64(_mac(file_key, text)).encode() + b"\n"


def _mac(file_key: bytes, text: bytes) -> bytes:
    return hmac.digest(derive(file_key, b"", b"header"), text, "sha256")


def _open_header(source: Source, identities: Sequence[Identity]) -> bytes:
    """Read the header and return the file key. Raise an EngineError."""
    if source.line() != VERSION:
        raise NotEncrypted()
    try:
        text, stanzas, mac = _parse_header(source)
    except (ValueError, UnicodeDecodeError) as error:
        raise HeaderDamaged() from error
    if len(stanzas) > 1 and any(stanza.kind == "scrypt" for stanza in stanzas):
        raise HeaderDamaged()
    for stanza in stanzas:
        for identity in identities:
            file_key = identity.unwrap(stanza)
            if file_key is not None:
                if len(file_key) != 16 or not hmac.compare_digest(
                    _mac(file_key, text), mac
                ):
                    raise HeaderDamaged()
                return file_key
    raise _nobody_s_key(stanzas)


def _parse_header(source: Source) -> tuple[bytes, list[Stanza], bytes]:
    """Return what the MAC covers, the stanzas, and the MAC. Raise ValueError."""
    lines, stanzas = [VERSION], []
    while (line := source.line()).startswith(b"-> "):
        if not ARGUMENTS.fullmatch(line):
            raise ValueError("not the arguments of a stanza")
        kind, *args = line.decode().split(" ")[1:]
        body_lines = []
        while True:
            body_lines.append(source.line())
            if len(body_lines[-1]) < COLUMNS:
                break
            if len(body_lines[-1]) > COLUMNS or len(body_lines) > MOST_BODY_LINES:
                raise ValueError("a stanza without an end")
        body = decode64(b"".join(body_lines).decode("ascii"))
        stanzas.append(Stanza(kind, tuple(args), body))
        lines += [line, *body_lines]
        if len(stanzas) > MOST_STANZAS:
            raise ValueError("too many stanzas")
    if not stanzas or not line.startswith(b"--- "):
        raise ValueError("no stanza, or no MAC")
    mac = decode64(line[4:].decode("ascii"))
    return b"\n".join([*lines, b"---"]), stanzas, mac


def _nobody_s_key(stanzas: Sequence[Stanza]) -> EngineError:
    by_passphrase = any(stanza.kind == "scrypt" for stanza in stanzas)
    return WrongPassphrase() if by_passphrase else OtherKeys()
