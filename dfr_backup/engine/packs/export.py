"""A stored backup as one complete zip in a file, which needs no packs."""

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


def export(backup: StoredBackup, target: Path, progress: Progress) -> Manifest:
    """Write a complete zip of a backup to ``target``, in the clear; return the manifest
    in it. Every member is compared on its way. The file has its name when it is
    complete, and nothing stays when anything fails; what a kill has left, the next call
    replaces. Raise TargetExists, other EngineErrors and Cancelled."""
    _refuse_existing(target)
    whole = CompleteZip(backup)
    partial = target.with_name(target.name + PARTIAL)
    progress.expect(whole.size)
    try:
        partial.unlink(missing_ok=True)
        require_space(Need(target.parent, whole.size), None)
        _write(whole, partial, progress)
        checkpoint("export.written")
        _refuse_existing(target)
        partial.rename(target)
        sync_directory(target.parent)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise explain(target.parent, error) from error
        raise
    return whole.manifest


def _write(whole: CompleteZip, partial: Path, progress: Progress) -> None:
    created = os.O_CREAT | os.O_EXCL
    with closing(AppendFile(partial, created, lambda _bytes: None)) as file:
        for piece in whole.pieces():
            file.write(piece)
            progress.advance(len(piece))
        file.sync(progress.tick)


def _refuse_existing(target: Path) -> None:
    if os.path.lexists(target):
        raise TargetExists(path=target)
