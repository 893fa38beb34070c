"""One complete zip of a stored backup, in pieces: members are copied as they are
compressed, and each is compared on its way."""

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from tempfile import SpooledTemporaryFile
from typing import Any

from ..archive.reader import Listed, is_attachment
from ..archive.writer import checksum_line
from ..archive.zip_directory import Entry
from ..archive.zip_format import (
    LIMIT,
    STORED,
    Member,
    central_entry,
    descriptor,
    dos_time,
    end_records,
    local_header,
)
from ..errors.fetch import MemberDiffers
from ..manifest.model import COMPLETE, Manifest
from ..manifest.names import CHECKSUMS, CLOSING, DUMP, INCREMENTAL_DUMP, MANIFEST
from ..manifest.write import encode
from .reading import OpenPart, StoredBackup

IN_MEMORY = 8 << 20  # bytes of each of the two lists at the end
CHUNK = 1 << 20  # bytes
UNKNOWN = "0" * 64  # where the SHA-256 of something is not known yet


class CompleteZip:
    """A stored backup as a zip in the clear, of format 1, which Odoo takes as well. Its
    ``size`` (bytes) is known before the first piece, and all of it is the same each
    time. Attachment files come pack after pack, of which one is open at a time.

    Raise AttachmentsDiffer when the packs do not hold what the archive says, and other
    EngineErrors.
    """

    def __init__(self, backup: StoredBackup):
        self._backup = backup
        self._stamp = dos_time(backup.sidecar.taken_at)
        self._inside = backup.manifest()
        backup.require_content()
        self.size = self._measured()
        self.manifest = self._inside  # that of the zip, once all of it was taken

    def pieces(self) -> Iterator[bytes]:
        """Yield the zip. What is damaged is found at its end at the latest: before the
        zip is complete. Raise EngineError."""
        with ExitStack() as files:
            target = _Zip(
                self._stamp,
                files.enter_context(SpooledTemporaryFile(IN_MEMORY)),
            )
            sums = files.enter_context(SpooledTemporaryFile(IN_MEMORY))
            for copied in self._copied():
                raw = copied.raw()
                yield from target.member(copied.member(target.position), raw)
                sums.write(copied.line())
            digest, crc, size = hashlib.sha256(), 0, sums.tell()
            for piece in _read(sums):
                digest.update(piece)
                crc = zlib.crc32(piece, crc)
            listed = Member(CHECKSUMS, STORED, size, size, crc, "", target.position, 0)
            count = target.count
            yield from target.member(_large(listed), _read(sums))
            self.manifest = self._manifest(count, digest.hexdigest())
            yield from target.stored(MANIFEST, encode(self.manifest))
            yield from target.end()

    def _measured(self) -> int:
        """Return the size of what ``pieces`` yields."""
        position = directory = count = sums = 0

        def add(member: Member) -> None:
            nonlocal position, directory, count
            directory += len(central_entry(member, self._stamp))
            position = _end_of(member, self._stamp)
            count += 1

        for copied in self._copied():
            add(copied.member(position))
            sums += len(copied.line())
        size = len(encode(self._manifest(count, UNKNOWN)))
        for name, length in ((CHECKSUMS, sums), (MANIFEST, size)):
            add(_large(Member(name, STORED, length, length, 0, "", position, 0)))
        return position + directory + len(end_records(count, position, directory))

    def _copied(self) -> Iterator["_Copied"]:
        """Yield the members: first what is no attachment."""
        for attachments in (False, True):
            for part in self._backup.parts:
                if part.use and not attachments:
                    continue
                with part.open() as opened:
                    members = [
                        entry
                        for entry in opened.members()
                        if is_attachment(entry) == attachments
                        and entry.name not in CLOSING
                    ]
                    for listed in opened.reader.listed(members):
                        yield _Copied(opened, listed)

    def _manifest(self, count: int, sums: str) -> Manifest:
        """Return the manifest of the complete zip."""
        members = {"count": count, "sha256sums": sums}
        ours = {**self._inside.ours, "format": COMPLETE, "members": members}
        ours.pop("packed", None)
        if ours.get("encryption"):
            ours["encryption"] = {}
        return Manifest({**self._inside.values, "dfr_backup": ours})


class _Copied:
    """A member on its way from a part of the backup into the zip."""

    def __init__(self, opened: OpenPart, listed: Listed):
        self._opened = opened
        self._listed = listed
        self._sha256 = listed.sha256 or UNKNOWN

    def member(self, offset: int) -> Member:
        entry: Entry = self._listed.entry
        name = DUMP if entry.name == INCREMENTAL_DUMP else entry.name
        sizes = entry.size, entry.compressed_size, entry.crc
        return _large(Member(name, entry.method, *sizes, self._sha256, offset, 0))

    def line(self) -> bytes:
        """Return its line in SHA256SUMS."""
        return checksum_line(self.member(0))

    def raw(self) -> Iterator[bytes]:
        """Yield its bytes as they are stored. Raise MemberDiffers before the last ones
        when the content is not right."""
        digest = hashlib.sha256()
        raw = self._opened.reader.copied(self._listed.entry, digest.update)
        yield from raw
        self._sha256 = digest.hexdigest()
        if self._listed.sha256 not in (None, self._sha256):
            name = self._listed.entry.name
            raise MemberDiffers(log=f"{name}: its SHA-256 is not that of {CHECKSUMS}")


class _Zip:
    """A zip that is made piece by piece. ``directory`` is a file for what is at its
    end."""

    def __init__(self, stamp: tuple[int, int], directory: Any):
        self._stamp = stamp
        self._directory = directory
        self.position = 0
        self.count = 0

    def member(self, member: Member, raw: Iterable[bytes]) -> Iterator[bytes]:
        """Yield a member, given its bytes as they are in a zip."""
        yield local_header(member, self._stamp)
        yield from raw
        if member.streamed:
            yield descriptor(member.crc, member.compressed_size, member.size)
        self._directory.write(central_entry(member, self._stamp))
        self.position = _end_of(member, self._stamp)
        self.count += 1

    def stored(self, name: str, data: bytes) -> Iterator[bytes]:
        """Yield a small member that is not compressed."""
        about = STORED, len(data), len(data), zlib.crc32(data), "", self.position, 0
        yield from self.member(Member(name, *about), [data])

    def end(self) -> Iterator[bytes]:
        size = self._directory.tell()
        yield from _read(self._directory)
        yield end_records(self.count, self.position, size)


def _large(member: Member) -> Member:
    """Return a member with room for its sizes: those from 4 GiB on are behind it."""
    if max(member.size, member.compressed_size) < LIMIT:
        return member
    return replace(member, streamed=True)


def _end_of(member: Member, stamp: tuple[int, int]) -> int:
    """Return where the next member begins."""
    about = member.crc, member.compressed_size, member.size
    behind = len(descriptor(*about)) if member.streamed else 0
    header = len(local_header(member, stamp))
    return member.offset + header + member.compressed_size + behind


def _read(file: Any) -> Iterator[bytes]:
    """Yield all of a file, from its beginning."""
    file.seek(0)
    while piece := file.read(CHUNK):
        yield piece
