"""The records of a zip file, as bytes. Source: PKWARE's APPNOTE 6.3, sections 4.3
and 4.5.3."""

import struct
from dataclasses import dataclass
from datetime import datetime

STORED, DEFLATED = 0, 8
LIMIT = 0xFFFFFFFF
LIMIT_16 = 0xFFFF
UTF8 = 0x0800
DESCRIPTOR = 0x0008
VERSION = 45  # zip64
MADE_BY_UNIX = 3 << 8 | VERSION
REGULAR_FILE = 0o100644 << 16
LOCAL_HEADER = struct.Struct("<4s5H3L2H")


@dataclass(frozen=True)
class Member:
    """A complete member. Sizes and places are in bytes from the start of the
    archive; ``offset`` is where its local header begins and ``end`` where the next
    member begins."""

    name: str
    method: int
    size: int
    compressed_size: int
    crc: int
    sha256: str
    offset: int
    end: int
    streamed: bool = False

    @property
    def flags(self) -> int:
        return UTF8 | (DESCRIPTOR if self.streamed else 0)


def dos_time(moment: datetime) -> tuple[int, int]:
    """Return (time, date) as zip keeps them."""
    date = (max(moment.year, 1980) - 1980) << 9 | moment.month << 5 | moment.day
    return moment.hour << 11 | moment.minute << 5 | moment.second // 2, date


def local_header(member: Member, stamp: tuple[int, int]) -> bytes:
    """Return the header before a member's bytes. That of a streamed member, whose
    sizes follow in the descriptor, announces by its zip64 field that they have eight
    bytes."""
    name = member.name.encode()
    extra = struct.pack("<2H2Q", 1, 16, 0, 0) if member.streamed else b""
    known = (0, LIMIT, LIMIT)
    if not member.streamed:
        known = (member.crc, member.compressed_size, member.size)
    fields = (
        VERSION,
        member.flags,
        member.method,
        *stamp,
        *known,
        len(name),
        len(extra),
    )
    return LOCAL_HEADER.pack(b"PK\3\4", *fields) + name + extra


def descriptor(crc: int, compressed_size: int, size: int) -> bytes:
    """Return what follows the bytes of a streamed member."""
    return struct.pack("<4sL2Q", b"PK\7\x08", crc, compressed_size, size)


def central_entry(member: Member, stamp: tuple[int, int]) -> bytes:
    """Return the entry of a member in the central directory."""
    name = member.name.encode()
    large = [
        v for v in (member.size, member.compressed_size, member.offset) if v >= LIMIT
    ]
    extra = (
        struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    )
    size, compressed, offset = (
        min(v, LIMIT) for v in (member.size, member.compressed_size, member.offset)
    )
    head = struct.pack(
        "<4s6H3L5H2L",
        b"PK\1\2",
        MADE_BY_UNIX,
        VERSION,
        member.flags,
        member.method,
        *stamp,
        member.crc,
        compressed,
        size,
        len(name),
        len(extra),
        0,
        0,
        0,
        REGULAR_FILE,
        offset,
    )
    return head + name + extra


def end_records(count: int, start: int, size: int) -> bytes:
    """Return what ends the archive, given the number of members, and where the central
    directory starts and how long it is, in bytes."""
    zip64 = b""
    if count >= LIMIT_16 or start >= LIMIT or size >= LIMIT:
        zip64 = struct.pack(
            "<4sQ2H2L4Q",
            b"PK\6\6",
            44,
            MADE_BY_UNIX,
            VERSION,
            0,
            0,
            count,
            count,
            size,
            start,
        )
        zip64 += struct.pack("<4sLQL", b"PK\6\7", 0, start + size, 1)
    few = min(count, LIMIT_16)
    return zip64 + struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, few, few, min(size, LIMIT), min(start, LIMIT), 0
    )
