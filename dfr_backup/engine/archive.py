"""The zip under construction: append-only, hashed as it grows, with a journal beside it.

Nothing that was written is changed later, so the SHA-256 of the whole is ready together with
its last byte, and a run that is interrupted goes on after the last complete member. The journal
has one line per complete member; the central directory is written from it, so memory does not
grow with the number of members.
"""

import errno
import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from .checkpoints import checkpoint
from .deflate import RAW, Codec, default_codec
from .errors import PermanentError
from .zipformat import (
    DEFLATED,
    LOCAL_HEADER,
    STORED,
    Member,
    central_entry,
    descriptor,
    dos_time,
    end_records,
    local_header,
)

CHUNK = 1 << 20  # bytes
CHECKSUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
CLOSING = (CHECKSUMS, MANIFEST)  # members about the others: always written anew
TOO_MUCH = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Prepared:
    """A small member whose bytes are ready: ``payload`` is deflated or stored, by ``method``."""

    name: str
    method: int
    payload: bytes
    size: int
    crc: int
    sha256: str


@dataclass(frozen=True)
class Sealed:
    """A complete archive: its size in bytes, its SHA-256 in hexadecimal, its members."""

    size: int
    sha256: str
    members: int


def prepare(name: str, data: bytes, codec: Codec, sha256: str | None = None) -> Prepared:
    """Return a member of ``data``, deflated where that makes it smaller."""
    method, payload = STORED, data
    if codec.shrinks(data):
        method, payload = DEFLATED, codec.compress(data)
    digest = sha256 or hashlib.sha256(data).hexdigest()
    return Prepared(name, method, payload, len(data), codec.crc32(data), digest)


class ArchiveWriter:
    """Make one with ``create`` or ``resume``; end it with ``close``, or let go of it with
    ``release`` to resume it later. Only one thread may use it."""

    def __init__(self, path: Path, codec: Codec | None = None):
        self.codec = codec or default_codec()
        self._path = path
        self._journal_path = path.with_name(path.name + ".journal")
        self._descriptor = -1
        self._digest = hashlib.sha256()
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._position = 0
        self._count = 0
        self._stamp = (0, 0)
        self._journal: TextIO

    @classmethod
    def create(cls, path: Path, *, codec: Codec | None = None) -> "ArchiveWriter":
        """Begin an archive at ``path``, replacing what is there."""
        writer = cls(path, codec)
        writer._stamp = dos_time(datetime.now())
        with writer._explained():
            writer._open(os.O_TRUNC)
            writer._journal.write(json.dumps(writer._stamp) + "\n")
            writer._journal.flush()
        return writer

    @classmethod
    def resume(cls, path: Path, *, codec: Codec | None = None) -> "ArchiveWriter":
        """Go on with an archive after its last member that is complete.

        Every member is read again and must decode to what the journal says; what follows the
        last good one is cut off, and so are checksums and manifest.
        """
        writer = cls(path, codec)
        with writer._explained():
            writer._open(0)
            writer._rewind(*writer._intact_members())
        return writer

    def _open(self, flags: int) -> None:
        self._descriptor = os.open(
            self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flags, 0o600
        )
        self._journal = open(
            self._journal_path, "w" if flags else "a", encoding="utf-8", opener=_private
        )

    # === MEMBERS === #

    @contextmanager
    def stream_member(self, name: str, *, compress: bool = True) -> Iterator["MemberStream"]:
        """Yield a stream whose ``write`` adds to the member ``name``, of any size.

        When the body raises, the member has never been there.
        """
        self._flush()
        start, digest = self._position, self._digest.copy()
        method = DEFLATED if compress else STORED
        checkpoint("archive.member.begin")
        try:
            head = Member(name, method, 0, 0, 0, "", start, start, streamed=True)
            self._write(local_header(head, self._stamp))
            with MemberStream(self, method) as stream:
                yield stream
            member = stream.finish(name, start)
            self._flush()
        except BaseException:
            self._roll_back(start, digest)
            raise
        checkpoint("archive.member.written")
        self._record(member)
        self._journal.flush()

    def add_prepared(self, prepared: Prepared) -> None:
        """Add a small member. After an error only ``release`` and ``resume`` make sense."""
        start = self._position
        p = prepared
        end_of_header = Member(
            p.name, p.method, p.size, len(p.payload), p.crc, p.sha256, start, start
        )
        self._write(local_header(end_of_header, self._stamp))
        self._write(p.payload)
        self._record(
            Member(
                p.name,
                p.method,
                p.size,
                len(p.payload),
                p.crc,
                p.sha256,
                start,
                self._position,
            )
        )

    def add_bytes(self, name: str, data: bytes) -> None:
        """Add a small member."""
        self.add_prepared(prepare(name, data, self.codec))

    def members(self) -> Iterator[Member]:
        """Yield the complete members, in their order in the archive."""
        self._journal.flush()
        for _position, member in _read_journal(self._journal_path):
            yield member

    # === THE END === #

    def write_checksums(self) -> tuple[int, str]:
        """Add SHA256SUMS, as ``sha256sum -c`` wants it; return the number of its lines, and its
        own SHA-256 in hexadecimal."""
        count, digest = self._count, hashlib.sha256()
        with self.stream_member(CHECKSUMS) as stream:
            for member in self.members():
                line = f"{member.sha256}  {member.name}\n".encode()
                digest.update(line)
                stream.write(line)
        checkpoint("archive.checksums.written")
        return count, digest.hexdigest()

    def close(self) -> Sealed:
        """Write the central directory, let everything reach the disk, remove the journal."""
        start = self._position
        for member in self.members():
            self._write(central_entry(member, self._stamp))
        self._write(end_records(self._count, start, self._position - start))
        self._flush()
        checkpoint("archive.directory.written")
        with self._explained():
            os.fsync(self._descriptor)
        sealed = Sealed(self._position, self._digest.hexdigest(), self._count)
        self.release()
        self._journal_path.unlink()
        checkpoint("archive.sealed")
        return sealed

    def release(self) -> None:
        """Let go of the files, as they are."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._journal.close()

    # === BYTES === #

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        self._buffer.append(data)
        self._buffered += len(data)
        self._position += len(data)
        if self._buffered >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        with self._explained():
            view = memoryview(b"".join(self._buffer))
            while view:
                view = view[os.write(self._descriptor, view) :]
        self._buffer.clear()
        self._buffered = 0

    def _record(self, member: Member) -> None:
        self._count += 1
        with self._explained():
            self._journal.write(json.dumps(astuple(member)) + "\n")

    def _roll_back(self, start: int, digest: Any) -> None:
        self._buffer.clear()
        self._buffered = 0
        self._position, self._digest = start, digest
        os.ftruncate(self._descriptor, start)
        os.lseek(self._descriptor, start, os.SEEK_SET)
        checkpoint("archive.rollback")

    # === RESUME === #

    def _intact_members(self) -> tuple[int, int]:
        """Read everything again; return how many members, and how much of the journal, hold."""
        journal_end = 0
        self._stamp = _read_stamp(self._journal_path) or dos_time(datetime.now())
        with open(self._path, "rb") as archive:
            for line_end, member in _read_journal(self._journal_path):
                digest = self._digest.copy()
                whole = member.name not in CLOSING and member.offset == self._position
                if not whole or not _is_intact(archive, member, digest):
                    break
                self._digest, self._position = digest, member.end
                self._count += 1
                journal_end = line_end
        return journal_end, self._count

    def _rewind(self, journal_end: int, count: int) -> None:
        os.ftruncate(self._descriptor, self._position)
        os.lseek(self._descriptor, self._position, os.SEEK_SET)
        if count:
            os.ftruncate(self._journal.fileno(), journal_end)
        else:
            os.ftruncate(self._journal.fileno(), 0)
            self._journal.write(json.dumps(self._stamp) + "\n")
            self._journal.flush()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            folder = self._path.parent
            if error.errno in TOO_MUCH:
                raise PermanentError(
                    f"No space left in {folder} while writing the archive.",
                    hint="Free some space on that disk, or give Odoo a larger data directory.",
                    log=str(error),
                ) from error
            raise PermanentError(
                f"The archive cannot be written in {folder}: {error.strerror}.",
                hint="Check that directory: its disk, and whether Odoo may write there.",
                log=str(error),
            ) from error


class MemberStream:
    """What is written into a member of unknown size. Hashing goes on in a thread beside the
    compression: both let go of Python's lock."""

    def __init__(self, writer: ArchiveWriter, method: int):
        self._writer = writer
        self._codec = writer.codec
        self._method = method
        self._compressor = self._codec.compressobj() if method == DEFLATED else None
        self._digest = hashlib.sha256()
        self._hashing: Future | None = None
        self._crc = 0
        self._size = 0
        self._compressed = 0

    def __enter__(self) -> "MemberStream":
        self._thread = ThreadPoolExecutor(1, "dfr_backup hash")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._thread.shutdown()

    def write(self, data: bytes) -> None:
        """Add ``data``, which nobody may change afterwards."""
        if self._hashing:
            self._hashing.result()
        self._hashing = self._thread.submit(self._digest.update, data)
        self._crc = self._codec.crc32(data, self._crc)
        self._size += len(data)
        self._put(self._compressor.compress(data) if self._compressor else data)

    def finish(self, name: str, start: int) -> Member:
        """Write the descriptor; return the complete member."""
        if self._compressor:
            self._put(self._compressor.flush())
        writer = self._writer
        writer._write(descriptor(self._crc, self._compressed, self._size))
        return Member(
            name,
            self._method,
            self._size,
            self._compressed,
            self._crc,
            self._digest.hexdigest(),
            start,
            writer._position,
            streamed=True,
        )

    def _put(self, data: bytes) -> None:
        self._compressed += len(data)
        self._writer._write(data)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _read_stamp(path: Path) -> tuple[int, int] | None:
    with open(path, encoding="utf-8") as stream:
        try:
            hour, day = json.loads(stream.readline())
        except ValueError:
            return None
    return hour, day


def _read_journal(path: Path) -> Iterator[tuple[int, Member]]:
    """Yield (where the line ends in the journal, member) for every complete line."""
    with open(path, "rb") as stream:
        position = len(stream.readline())
        for line in stream:
            position += len(line)
            try:
                yield position, Member(*json.loads(line))
            except (ValueError, TypeError):
                return


def _is_intact(archive: Any, member: Member, digest: Any) -> bool:
    """Feed the member's bytes to ``digest``; tell whether they decode to what it should be."""
    archive.seek(member.offset)
    head = archive.read(LOCAL_HEADER.size)
    if len(head) < LOCAL_HEADER.size:
        return False
    *_fields, name_size, extra_size = LOCAL_HEADER.unpack(head)
    names = archive.read(name_size + extra_size)
    digest.update(head + names)
    crc, size, content = _decode(archive, member, digest)
    tail = archive.read(member.end - archive.tell()) if size >= 0 else b""
    digest.update(tail)
    whole = archive.tell() == member.end
    return whole and (crc, size, content) == (member.crc, member.size, member.sha256)


def _decode(archive: Any, member: Member, digest: Any) -> tuple[int, int, str]:
    """Return (CRC-32, size, SHA-256) of what the member's bytes decode to; size -1: broken."""
    inflate = zlib.decompressobj(RAW) if member.method == DEFLATED else None
    crc, size, content = 0, 0, hashlib.sha256()
    left = member.compressed_size
    while left:
        data = archive.read(min(CHUNK, left))
        if not data:
            return 0, -1, ""
        left -= len(data)
        digest.update(data)
        try:
            for piece in _inflated(inflate, data) if inflate else (data,):
                crc = zlib.crc32(piece, crc)
                size += len(piece)
                content.update(piece)
        except zlib.error:
            return 0, -1, ""
    return crc, size, content.hexdigest()


def _inflated(inflate: Any, data: bytes) -> Iterator[bytes]:
    """Yield the decoded bytes in pieces of bounded size."""
    while data:
        yield inflate.decompress(data, CHUNK)
        data = inflate.unconsumed_tail
