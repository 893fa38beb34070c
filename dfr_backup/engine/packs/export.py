"""A stored backup as one complete zip in a file, which needs no packs."""

import errno
import os
from contextlib import closing
from pathlib import Path

from ..archive.disk import explain
from ..catalog.fetch import require_space
from ..checkpoints import checkpoint
from ..errors.packs import TargetExists
from ..fileio.append_file import AppendFile
from ..fileio.durable import sync_directory
from ..manifest.model import Manifest
from ..progress import Progress
from ..queue.reservations import Need
from .complete import CompleteZip
from .reading import StoredBackup

PARTIAL = ".part"
OWN_FILES = Path("/proc/self/fd")
# what a file system says that has no files without a name
UNABLE = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)


def export(backup: StoredBackup, target: Path, progress: Progress) -> Manifest:
    """Write a complete zip of a backup to ``target``, in the clear; return the manifest
    in it. Every member is compared on its way. The file has its name when it is
    complete, and nothing stays when anything fails or the process is killed. Where the
    file system has no files without a name, what a kill has left stays until the next
    call. Raise TargetExists, other EngineErrors and Cancelled."""
    _refuse_existing(target)
    whole = CompleteZip(backup)
    partial = target.with_name(target.name + PARTIAL)
    progress.expect(whole.size)
    try:
        partial.unlink(missing_ok=True)
        require_space(Need(target.parent, whole.size), None)
        file, name = _opened(target.parent, partial)
        with closing(file):
            _write(whole, file, progress)
            checkpoint("export.written")
            _give_name(file, name, target)
        sync_directory(target.parent)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise explain(target.parent, error) from error
        raise
    return whole.manifest


def _opened(folder: Path, partial: Path) -> tuple[AppendFile, Path | None]:
    """Return a new file in a directory, and its name: None where it can be without one,
    so that what was encrypted is gone with the process."""
    nameless = getattr(os, "O_TMPFILE", None)
    if nameless and OWN_FILES.is_dir():
        try:
            return AppendFile(folder.resolve(), nameless, lambda _bytes: None), None
        except OSError as error:
            if error.errno not in UNABLE:
                raise
    created = os.O_CREAT | os.O_EXCL
    return AppendFile(partial, created, lambda _bytes: None), partial


def _give_name(file: AppendFile, name: Path | None, target: Path) -> None:
    _refuse_existing(target)
    if name:
        name.rename(target)
        return
    try:
        file.link_to(target)
    except FileExistsError:
        raise TargetExists(path=target) from None


def _write(whole: CompleteZip, file: AppendFile, progress: Progress) -> None:
    for piece in whole.pieces():
        file.write(piece)
        progress.advance(len(piece))
    file.sync(progress.tick)


def _refuse_existing(target: Path) -> None:
    if os.path.lexists(target):
        raise TargetExists(path=target)
