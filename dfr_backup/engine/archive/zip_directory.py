"""The central directory of a zip file, read entry by entry: memory does not grow with
it.

What comes from elsewhere is not trusted: every entry is looked at before any of it is
used. Source: PKWARE's APPNOTE 6.3, sections 4.3 and 4.5.3.
"""

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors.fetch import DamagedArchive, RefusedArchive
from ..manifest.names import is_safe_name
from ..messages import Message, _
from .random_access import Source, read_from
from .zip_format import (
    DEFLATED,
    LIMIT,
    LIMIT_16,
    LOCAL_HEADER,
    MADE_BY_UNIX,
    STORED,
    UTF8,
)

END = struct.Struct("<4s4H2LH")
END_64_LOCATOR = struct.Struct("<4sLQL")
END_64 = struct.Struct("<4sQ2H2L4Q")
ENTRY = struct.Struct("<4s6H3L5H2L")
CHUNK = 1 << 20  # bytes
LONGEST_COMMENT = LIMIT_16
ENCRYPTED = 0x0041  # the two flags of encryption
MOST_MEMBERS = 20_000_000
DEFLATE_RATIO = 1040  # nothing that deflate makes grows more than 1032 times
TWICE = _("“%(name)s” is in it twice")


class Entry(
    NamedTuple
):  # a million of them are made: a dataclass takes three times as long
    """A member, as the central directory has it: sizes and ``offset`` (where its
    local header begins) in bytes."""

    name: str
    method: int
    size: int
    compressed_size: int
    crc: int
    offset: int

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


@dataclass(frozen=True)
class Directory:
    """Where the central directory is: ``start`` and ``size`` in bytes, ``count``
    entries."""

    start: int
    size: int
    count: int


def refused(reason: str, name: str = "") -> RefusedArchive:
    """Return the error of a zip that no honest program makes, given a template and
    the name of the member."""
    return RefusedArchive(reason=Message(reason, name=name))


def find_directory(file: Source) -> Directory:
    """Return where the central directory of a zip file is. Raise PermanentError."""
    size = file.size
    length = min(size, END.size + LONGEST_COMMENT)
    tail = bytes(read_at(file, length, size - length))
    at = tail.rfind(b"PK\5\6", 0, len(tail) - END.size + 4)
    if at < 0:
        raise DamagedArchive(log="there is no end of a central directory")
    end = size - length + at
    _magic, _disk, _start_disk, _here, count, extent, start, _comment = END.unpack_from(
        tail, at
    )
    if LIMIT_16 in (count,) or LIMIT in (extent, start):
        start, extent, count, end = _find_directory_64(
            file, end, (start, extent, count)
        )
    if start + extent > end or count > MOST_MEMBERS or count * ENTRY.size > extent:
        raise DamagedArchive(log="the central directory is not where it should be")
    return Directory(start, extent, count)


def _find_directory_64(
    file: Source, end: int, plain: tuple[int, int, int]
) -> tuple[int, int, int, int]:
    """Return (start, size, count, end) of the directory from the records of zip64,
    if any."""
    if end < END_64_LOCATOR.size:
        return (*plain, end)
    locator = END_64_LOCATOR.unpack(
        read_at(file, END_64_LOCATOR.size, end - END_64_LOCATOR.size)
    )
    if locator[0] != b"PK\6\7":
        return (*plain, end)
    record = END_64.unpack(read_at(file, END_64.size, locator[2]))
    if record[0] != b"PK\6\6":
        raise DamagedArchive(
            log="the zip64 end of the central directory is not where it should be"
        )
    *_others, count, extent, start = record
    return start, extent, count, locator[2]


def read_at(file: Source, size: int, offset: int) -> bytes | memoryview:
    """Return ``size`` bytes of a file. Raise PermanentError when it ends before, or
    cannot be read."""
    data = read_from(file, size, offset) if offset >= 0 else b""
    if len(data) < size:
        raise DamagedArchive(log=f"{size} bytes at {offset} are not there")
    return data


def entries(file: Source, directory: Directory) -> Iterator[Entry]:
    """Yield every member in the order of the directory, which must be that of the
    archive.

    Raise PermanentError for what is damaged, and for names and sizes that no honest
    archive has: those that lead out of the target, links, members that overlap, that
    are encrypted, or that claim to grow more than deflate can let them.
    """
    end = 0
    for entry, mode in _records(file, directory):
        _check(entry, mode)
        if entry.offset < end:
            raise refused(
                _("“%(name)s” overlaps with another member, or is in the wrong place"),
                entry.name,
            )
        end = entry.offset + LOCAL_HEADER.size + entry.compressed_size
        yield entry
    if end > directory.start:
        raise DamagedArchive(log="the members reach into the central directory")


def _records(file: Source, directory: Directory) -> Iterator[tuple[Entry, int]]:
    """Yield (entry, mode of the file in Unix or 0)."""
    buffer, at, position = b"", 0, directory.start
    end = directory.start + directory.size
    for _number in range(directory.count):
        if position < end and len(buffer) - at < ENTRY.size + 3 * LIMIT_16:
            more = read_at(file, min(CHUNK, end - position), position)
            buffer, at, position = buffer[at:] + more, 0, position + len(more)
        try:
            fields = ENTRY.unpack_from(buffer, at)
        except struct.error as error:
            raise DamagedArchive(log="the central directory ends too early") from error
        at += ENTRY.size
        length, extra, comment = fields[10:13]
        if fields[0] != b"PK\1\2" or at + length + extra + comment > len(buffer):
            raise DamagedArchive(log="the central directory has something else in it")
        yield _entry(
            fields, buffer[at : at + length], buffer[at + length : at + length + extra]
        )
        at += length + extra + comment


def _entry(fields: tuple[Any, ...], name: bytes, extra: bytes) -> tuple[Entry, int]:
    made_by, flags, method, crc, packed, size = (fields[i] for i in (1, 3, 4, 7, 8, 9))
    offset = fields[16]
    text = _decoded(name, flags)
    if flags & ENCRYPTED:
        raise refused(_("“%(name)s” is encrypted"), text)
    if LIMIT in (size, packed, offset):
        size, packed, offset = _sizes_64(extra, [size, packed, offset])
    mode = fields[15] >> 16 if made_by >> 8 == MADE_BY_UNIX >> 8 else 0
    return Entry(text, method, size, packed, crc, offset), mode


def _decoded(name: bytes, flags: int) -> str:
    try:
        return name.decode("utf-8" if flags & UTF8 else "cp437")
    except UnicodeDecodeError as error:
        raise refused(_("the name of a member is not UTF-8")) from error


def _sizes_64(extra: bytes, values: list[int]) -> list[int]:
    """Return the values with those that the zip64 field holds instead."""
    try:
        at = 0
        while at < len(extra):
            kind, length = struct.unpack_from("<2H", extra, at)
            if kind == 1:
                large = iter(struct.unpack_from(f"<{length // 8}Q", extra, at + 4))
                return [next(large) if value == LIMIT else value for value in values]
            at += 4 + length
    except (struct.error, StopIteration) as error:
        raise DamagedArchive(log="a zip64 field is too short") from error
    return values


def _check(entry: Entry, mode: int) -> None:
    if not is_safe_name(entry.name):
        raise refused(
            _("“%(name)s” would be unpacked outside the target directory"), entry.name
        )
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise refused(_("“%(name)s” is a link or a device"), entry.name)
    if entry.is_folder and entry.size:
        raise refused(_("“%(name)s” is a folder entry that contains data"), entry.name)
    if entry.method not in (STORED, DEFLATED):
        raise refused(
            _("“%(name)s” is compressed in a way that Odoo does not use"), entry.name
        )
    most = entry.compressed_size * (DEFLATE_RATIO if entry.method == DEFLATED else 1)
    if entry.size > most:
        raise refused(_("“%(name)s” declares an impossible size"), entry.name)
