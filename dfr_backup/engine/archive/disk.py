"""What the writer of an archive does with files, and the errors that it makes of
theirs."""

import errno
import os
from pathlib import Path

from ..errors import PermanentError, reason_of
from ..errors.archive import ArchiveDiskFull, ArchiveNotContinued, ArchiveNotWritten
from ..fileio.durable import is_full


def read_up_to(file: int, size: int) -> bytes:
    """Return the next ``size`` bytes of an open file, or fewer when it ends before."""
    data = os.read(file, size)
    while len(data) < size and (more := os.read(file, size - len(data))):
        data += more
    return data


def write_all(file: int, view: memoryview) -> None:
    while view:
        view = view[os.write(file, view) :]


def lost(path: Path, why: str) -> ArchiveNotContinued:
    return ArchiveNotContinued(log=f"{path}: {why}")


def explain(folder: Path, error: OSError) -> PermanentError:
    if is_full(error) or error.errno == errno.EFBIG:
        return ArchiveDiskFull(folder=folder, log=str(error))
    return ArchiveNotWritten(folder=folder, reason=reason_of(error), log=str(error))
