"""Members of an archive under construction, read again: are they what the journal
says?"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..fileio.page_cache import forget_cached
from ..manifest.names import CLOSING
from ..progress import Progress
from .deflate import Codec
from .journal import journal_path, read_journal, stamp_line
from .zip_format import DEFLATED, Member, descriptor, local_header

CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class State:
    """Where the archive and its journal agree: sizes in bytes, the number of members,
    and the hash up to there."""

    position: int
    journal: int
    count: int
    digest: Any


def find_intact(
    path: Path, stamp: tuple[int, int], codec: Codec, progress: Progress
) -> State:
    """Read an archive again, up to the first member that is not what it should be."""
    journal = journal_path(path)
    safe = State(0, len(stamp_line(journal)), 0, hashlib.sha256())
    with open(path, "rb", buffering=CHUNK) as archive:
        reader = MemberReader(archive, stamp, codec, progress)
        for line_end, member, _note in read_journal(journal):
            digest = safe.digest.copy()
            if member.offset != safe.position or member.name in CLOSING:
                break
            if not reader.is_intact(member, digest):
                break
            safe = State(member.end, line_end, safe.count + 1, digest)
        forget_cached(archive.fileno())
    return safe


class MemberReader:
    """Reads members of an archive under construction again."""

    def __init__(
        self,
        archive: BinaryIO,
        stamp: tuple[int, int],
        codec: Codec,
        progress: Progress,
    ):
        self._archive = archive
        self._stamp = stamp
        self._codec = codec
        self._progress = progress

    def is_intact(self, member: Member, digest: Any) -> bool:
        """Feed the member's bytes to ``digest``; tell whether they are what they
        should be."""
        self._archive.seek(member.offset)
        tail = b""
        if member.streamed:
            tail = descriptor(member.crc, member.compressed_size, member.size)
        try:
            return (
                self._holds(local_header(member, self._stamp), digest)
                and self._decodes(member, digest)
                and self._holds(tail, digest)
                and self._archive.tell() == member.end
            )
        except self._codec.error:
            return False

    def _holds(self, expected: bytes, digest: Any) -> bool:
        data = self._archive.read(len(expected))
        digest.update(data)
        return data == expected

    def _decodes(self, member: Member, digest: Any) -> bool:
        """Tell whether what follows decodes to the member's size, CRC-32 and
        SHA-256."""
        crc, size, content = 0, 0, hashlib.sha256()
        for piece in self._decoded(member, digest):
            crc = self._codec.crc32(piece, crc)
            size += len(piece)
            content.update(piece)
        return (crc, size, content.hexdigest()) == (
            member.crc,
            member.size,
            member.sha256,
        )

    def _decoded(self, member: Member, digest: Any) -> Iterator[bytes]:
        raw = self._raw(member.compressed_size, digest)
        return inflated(raw, self._codec) if member.method == DEFLATED else raw

    def _raw(self, left: int, digest: Any) -> Iterator[bytes]:
        while left and (data := self._archive.read(min(CHUNK, left))):
            left -= len(data)
            digest.update(data)
            self._progress.tick()
            yield data


def inflated(raw: Iterable[bytes | memoryview], codec: Codec) -> Iterator[bytes]:
    """Yield what a raw deflate stream decodes to, in pieces of at most 1 MiB.

    Raise ``codec.error`` when it is damaged or not complete.
    """
    inflate = codec.decompressobj()
    for data in raw:
        left = data
        while left:
            yield inflate.decompress(left, CHUNK)
            left = inflate.unconsumed_tail
    # the decompressor may still hold what did not fit into the last piece
    while piece := inflate.decompress(b"", CHUNK):
        yield piece
    if not inflate.eof or inflate.unused_data:
        raise codec.error("the stream has another end")
