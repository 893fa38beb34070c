"""What the writer of an archive does with files, and the errors that it makes of
theirs."""

import errno
import os
from pathlib import Path

from ..errors import PermanentError
from ..errors.archive import ArchiveDiskFull, ArchiveNotContinued, ArchiveNotWritten

TOO_MUCH = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def open_private(path: Path, flags: int) -> int:
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)


def read_up_to(file: int, size: int) -> bytes:
    """Return the next ``size`` bytes of an open file, or fewer when it ends before."""
    data = os.read(file, size)
    while len(data) < size and (more := os.read(file, size - len(data))):
        data += more
    return data


def write_all(file: int, view: memoryview) -> None:
    while view:
        view = view[os.write(file, view) :]


def sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def lost(path: Path, why: str) -> ArchiveNotContinued:
    return ArchiveNotContinued(log=f"{path}: {why}")


def explain(folder: Path, error: OSError) -> PermanentError:
    if error.errno in TOO_MUCH:
        return ArchiveDiskFull(folder=folder, log=str(error))
    return ArchiveNotWritten(folder=folder, reason=error.strerror, log=str(error))
