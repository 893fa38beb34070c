"""Where an archive's bytes come from, at any place of it: a file, a storage, an
encrypted file."""

import io
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar, cast

from ..encryption.files import Passphrase, open_decrypted
from ..errors import reason_of
from ..errors.fetch import (
    ArchiveUnreadable,
    FileGone,
    FileUnreadable,
    KeyNeeded,
    NotAtStorage,
)
from ..fileio.direct_read import DirectFile, open_regular
from ..fileio.streams import SeekableStream, read_fully
from ..storages.base import Storage

Opened = TypeVar("Opened")
SKIP = 256 << 10  # bytes: so many are read and thrown away rather than asked for anew


class Source(Protocol):
    """``size`` is in bytes. Threads may share a source."""

    size: int

    def read_at(self, size: int, offset: int) -> bytes | memoryview:
        """Return ``size`` bytes from ``offset`` on; fewer when it ends before."""


def read_from(source: Source, size: int, offset: int) -> bytes | memoryview:
    """Return ``size`` bytes from ``offset`` on; fewer when the source ends before.
    Raise PermanentError when its disk cannot read them, and what a storage raises."""
    try:
        return source.read_at(size, offset)
    except OSError as error:
        raise ArchiveUnreadable(reason=reason_of(error), log=str(error)) from error


class Window:
    """A part of a source that is held in memory; what is around it is read from the
    source."""

    def __init__(self, source: Source, size: int, offset: int):
        self.size = source.size
        self._source = source
        self._start = offset
        self._data = memoryview(read_from(source, size, offset))

    def read_at(self, size: int, offset: int) -> bytes | memoryview:
        begin = offset - self._start
        if begin >= 0 and begin + size <= len(self._data):
            return self._data[begin : begin + size]
        return self._source.read_at(size, offset)


class StreamSource:
    """A stream that can seek; one thread at a time moves it."""

    def __init__(self, stream: BinaryIO):
        self.size = stream.seek(0, os.SEEK_END)
        self._stream = stream
        self._lock = threading.Lock()

    def read_at(self, size: int, offset: int) -> bytes:
        with self._lock:
            self._stream.seek(offset)
            return read_fully(self._stream, size)


class StoredFile(SeekableStream):
    """An object of a storage that can seek: what is read is fetched, and little else.

    Reading on, or a little further, goes on with the same request; a jump makes another
    one.
    """

    def __init__(self, storage: Storage, key: str):
        found = storage.stat(key)
        if found is None:
            raise NotAtStorage(key=key, location=storage.location(""))
        self._storage = storage
        self._key = key
        self._size = found.size
        self._position = 0
        self._at = 0  # where the open request stands
        self._request: AbstractContextManager[BinaryIO] | None = None
        self._stream: BinaryIO | None = None

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._position)
        if wanted <= 0:
            return 0
        data = self._stream_at(self._position).read(wanted)
        buffer[: len(data)] = data
        self._position = self._at = self._position + len(data)
        return len(data)

    def close(self) -> None:
        self._end_request()
        return super().close()

    def _stream_at(self, position: int) -> BinaryIO:
        """Return a stream that stands at ``position``."""
        ahead = position - self._at
        if self._stream is None or not 0 <= ahead <= SKIP:
            self._end_request()
            self._request = self._storage.open(self._key, position)
            self._stream = self._request.__enter__()
        elif ahead:
            read_fully(self._stream, ahead)
        self._at = position
        return self._stream

    def _end_request(self) -> None:
        request, self._request, self._stream = self._request, None, None
        if request is not None:
            request.__exit__(None, None, None)


@contextmanager
def open_stored(
    storage: Storage,
    key: str,
    identities: Sequence[Any] | Passphrase | None = None,
    *,
    direct: bool = False,
) -> Iterator[Source]:
    """Open a stored archive where it is: nothing is fetched but what is read from it.

    One that is encrypted (``.age``) is decrypted by ``identities``. ``direct``: what
    lies on this server is read past the page cache, for who reads all of it once. Raise
    PermanentError when it is not there or no key fits, and RetryableError; reading
    raises the same.
    """
    with ExitStack() as resources:
        local = storage.local_path(key)
        if local and direct and not key.endswith(".age"):
            file = _explained(DirectFile, local)
            resources.callback(file.close)
            yield file
            return
        stream = cast(
            BinaryIO,
            resources.enter_context(
                _open_file(local) if local else StoredFile(storage, key)
            ),
        )
        if key.endswith(".age"):
            if identities is None:
                raise KeyNeeded
            stream = resources.enter_context(open_decrypted(stream, identities))
        yield StreamSource(stream)


def _open_file(path: Path) -> io.FileIO:
    return _explained(lambda path: io.FileIO(path, opener=open_regular), path)


def _explained(opening: Callable[[Path], Opened], path: Path) -> Opened:
    try:
        return opening(path)
    except FileNotFoundError as error:
        raise FileGone(file=path.name, folder=path.parent) from error
    except OSError as error:
        raise FileUnreadable(
            file=path.name, reason=reason_of(error), log=str(error)
        ) from error
