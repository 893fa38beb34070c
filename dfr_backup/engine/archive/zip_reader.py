"""Members of a zip file that somebody else may have made: read in pieces, never
trusted."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from ..errors import reason_of
from ..errors.fetch import ArchiveNotOpened, DamagedArchive
from ..fileio.direct_read import DirectFile
from .deflate import Codec, default_codec
from .member_reader import inflated
from .random_access import Source, Window
from .zip_directory import Directory, Entry, entries, find_directory, read_at
from .zip_format import DEFLATED, LOCAL_HEADER

CHUNK = 1 << 20  # bytes
LARGEST_WINDOW = 8 << 20  # bytes of neighbours that are read at once
BESIDE_CONTENT = (
    512  # bytes: what a member has in most cases besides its content and its name
)


def open_file(path: Path, resources: ExitStack) -> DirectFile:
    """Return an archive of this server, open until ``resources`` are closed. Raise
    ArchiveNotOpened."""
    try:
        file = DirectFile(path)
    except OSError as error:
        raise ArchiveNotOpened(reason=reason_of(error), log=str(error)) from error
    resources.callback(file.close)
    return file


class Members(Protocol):
    """What holds members that can be read: a zip, or several together."""

    def entries(self) -> Iterator[Entry]:
        """Yield every member."""

    def pieces(self, entry: Entry) -> Iterator[bytes]:
        """Yield the content of a member."""


class ZipReader:
    """A zip file: one of this server, given by its path, or wherever a source is. Use
    as a context manager. Threads may share it: nothing of it moves.

    Every method raises PermanentError when the file is damaged or was tampered with,
    and what the source raises.
    """

    def __init__(self, place: Path | Source, codec: Codec | None = None):
        self.codec = codec or default_codec()
        self._resources = ExitStack()
        source = open_file(place, self._resources) if isinstance(place, Path) else place
        self.size = source.size
        self._file = source
        try:
            self.directory: Directory = find_directory(source)
        except BaseException:
            self._resources.close()
            raise

    def __enter__(self) -> "ZipReader":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._resources.close()

    def entries(self) -> Iterator[Entry]:
        """Yield every member, read from the disk each time."""
        return entries(self._file, self.directory)

    def members(
        self, neighbours: Sequence[Entry]
    ) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        """Yield members with their ``pieces``, which must be taken before the next
        member is.

        They follow each other in the file, and are read from the disk at once if they
        are small.
        """
        source = self._window(neighbours) if len(neighbours) > 1 else self._file
        for entry in neighbours:
            yield entry, self._pieces(entry, source)

    def _window(self, neighbours: Sequence[Entry]) -> Source:
        start, last = neighbours[0].offset, neighbours[-1]
        size = (
            last.offset + last.compressed_size + len(last.name) + BESIDE_CONTENT - start
        )
        return Window(self._file, size, start) if size <= LARGEST_WINDOW else self._file

    def pieces(self, entry: Entry) -> Iterator[bytes]:
        """Yield the content of a member, in pieces of at most 1 MiB.

        After the last one its size and its CRC-32 are known to be right; never more is
        yielded than the directory has announced.
        """
        return self._pieces(entry, self._file)

    def copied(
        self, entry: Entry, content: Callable[[bytes], object]
    ) -> Iterator[bytes]:
        """Yield a member as it is in the file, compressed or not; ``content`` gets what
        that is. The last piece comes when its size and its CRC-32 are known to be
        right."""
        taken: list[bytes] = []

        def raw() -> Iterator[bytes]:
            for piece in _raw(entry, self._file):
                taken.append(bytes(piece))
                yield taken[-1]

        for piece in self._checked(entry, self._decoded(entry, raw())):
            content(piece)
            yield from taken[:-1]
            del taken[:-1]
        yield from taken

    def _pieces(self, entry: Entry, source: Source) -> Iterator[bytes]:
        return self._checked(entry, self._decoded(entry, _raw(entry, source)))

    def _checked(self, entry: Entry, content: Iterator[bytes]) -> Iterator[bytes]:
        size = crc = 0
        for piece in content:
            size += len(piece)
            if size > entry.size:
                raise DamagedArchive(
                    log=f"{entry.name} is larger than its announced {entry.size} bytes"
                )
            crc = self.codec.crc32(piece, crc)
            yield piece
        if (size, crc) != (entry.size, entry.crc):
            raise DamagedArchive(
                log=f"{entry.name} has another size or CRC-32 than in its directory"
            )

    def read(self, entry: Entry, most: int) -> bytes:
        """Return the whole content of a member that should have at most ``most``
        bytes."""
        if entry.size > most:
            raise DamagedArchive(
                log=f"{entry.name} has {entry.size} bytes: {most} at most are expected"
            )
        return b"".join(self.pieces(entry))

    def _decoded(
        self, entry: Entry, raw: Iterable[bytes | memoryview]
    ) -> Iterator[bytes]:
        return (
            self._inflated(raw, entry) if entry.method == DEFLATED else map(bytes, raw)
        )

    def _inflated(
        self, raw: Iterable[bytes | memoryview], entry: Entry
    ) -> Iterator[bytes]:
        try:
            yield from inflated(raw, self.codec)
        except self.codec.error as error:
            raise DamagedArchive(log=f"{entry.name}: {error}") from error


def _raw(entry: Entry, source: Source) -> Iterator[bytes | memoryview]:
    position = _content_start(entry, source)
    end = position + entry.compressed_size
    while position < end:
        data = read_at(source, min(CHUNK, end - position), position)
        position += len(data)
        yield data


def _content_start(entry: Entry, source: Source) -> int:
    """Return where the bytes of a member begin, after the local header that must be
    its."""
    header = LOCAL_HEADER.unpack(read_at(source, LOCAL_HEADER.size, entry.offset))
    name_length: int = header[-2]
    extra_length: int = header[-1]
    at = entry.offset + LOCAL_HEADER.size
    name = read_at(source, name_length, at) if name_length else b""
    known = entry.name.encode(), entry.name.encode("cp437", "replace")
    if header[0] != b"PK\3\4" or name not in known:
        raise DamagedArchive(
            log=f"at {entry.offset} there is no header of {entry.name}"
        )
    return at + name_length + extra_length
