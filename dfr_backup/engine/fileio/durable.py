"""Files that nobody else may read, and that are there after a loss of power."""

import contextlib
import ctypes
import errno
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from ..concurrency.process import libc

PIECE = 64 << 20  # bytes
WAIT_FOR_DISK = 7  # SYNC_FILE_RANGE_WAIT_BEFORE | WRITE | WAIT_AFTER
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
# what file systems answer that cannot sync a directory
UNABLE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF, errno.EPERM)


def open_private(path: str | Path, flags: int) -> int:
    """Open a file, whose mode is 0600 if it is made. An opener for ``open``. Raise
    OSError, also for a link."""
    # a pipe of that name must not let anybody wait
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)


def require_writable(folder: Path) -> None:
    """Write something into a directory, and leave nothing behind. Raise OSError, which
    names the directory."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            file.write(b"\0")
    except OSError as error:
        error.filename = os.fspath(folder)
        raise


def is_full(error: OSError) -> bool:
    """Tell whether the disk, or what this user may have of it, is used up."""
    return error.errno in NO_ROOM


def sync(stream: IO[Any]) -> None:
    """Let what was written to a file reach the disk."""
    stream.flush()
    sync_descriptor(stream.fileno())


def sync_descriptor(file: int) -> None:
    """Let what was written to an open file reach the disk. Raise OSError."""
    os.fsync(file)


def sync_in_pieces(file: int, size: int, look: Callable[[], object]) -> None:
    """Let a large file reach the disk piece by piece. ``look`` is called in between:
    one fsync of gigabytes takes minutes on a slow disk, and hears no cancel. Raise
    OSError, and what ``look`` raises."""
    for start in range(0, size, PIECE):
        _write_out(file, start)
        look()
    sync_descriptor(file)


def _write_out(file: int, start: int) -> None:
    call = getattr(libc, "sync_file_range", None)  # Linux
    if call is None:
        return
    at, count = ctypes.c_int64(start), ctypes.c_int64(PIECE)
    if call(file, at, count, ctypes.c_uint(WAIT_FOR_DISK)):
        code = ctypes.get_errno()
        # fsync would not tell such an error a second time
        if code not in (*UNABLE, errno.ESPIPE):
            raise OSError(code, os.strerror(code))


def sync_directory(path: Path) -> None:
    """Let the names in a directory reach the disk, where the file system can do so:
    some of the network's cannot."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_descriptor(directory)
    except OSError as error:
        if error.errno not in UNABLE:
            raise
    finally:
        os.close(directory)


def sync_file_system(file: int) -> None:
    """Let everything that was written to the file system of an open file reach the
    disk. Raise OSError."""
    syncfs = getattr(libc, "syncfs", None)
    if syncfs is not None and syncfs(file) == 0:
        return
    code = ctypes.get_errno()
    if syncfs is None or code in (errno.ENOSYS, errno.EPERM):
        os.sync()
    else:
        raise OSError(code, os.strerror(code))


def make_directory(path: Path) -> None:
    """Make a directory, with mode 0700, and those around it that are missing."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    with contextlib.suppress(PermissionError):  # where we may write, and not read
        sync_directory(path.parent)


def write_private(path: Path, data: bytes, *, over: bool) -> bool:
    """Let ``path`` have this content, as a whole or not at all. ``over`` replaces what
    is there; without it, tell whether nobody was faster. Raise OSError."""
    make_directory(path.parent)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(partial, "xb", opener=open_private) as stream:
            stream.write(data)
            sync(stream)
        if over:
            partial.replace(path)
        else:
            os.link(partial, path)  # unlike a rename, it never replaces anything
    except FileExistsError:
        return False
    finally:
        partial.unlink(missing_ok=True)
    sync_directory(path.parent)
    return True
