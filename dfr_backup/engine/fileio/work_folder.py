"""Folders of which each belongs to one living process."""

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .durable import open_private
from .locking import try_lock

LOCK = ".lock"


@contextmanager
def work_folder(parent: Path, name: str) -> Iterator[Path]:
    """Yield a folder below ``parent`` that no other process has until this one leaves
    it, or dies.

    It is ``name``, with what an earlier process has left in it, unless somebody works
    there: then it is another one. Who is done removes it; an empty one goes by itself.
    Raise OSError.
    """
    folder, lock = _claim(parent, name)
    try:
        for other in parent.glob(f"{name}-*"):
            _remove_dead(other)
        yield folder
    finally:
        if _names(folder) == [LOCK]:
            shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _names(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []


def _claim(parent: Path, name: str) -> tuple[Path, int]:
    for number in itertools.count():
        folder = parent / (f"{name}-{number}" if number else name)
        lock = _locked(folder)
        if lock is not None:
            return folder, lock
    raise AssertionError  # one is always free


def _locked(folder: Path) -> int | None:
    """Make the folder ours; return the lock, None when another process has it."""
    while True:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            lock = _open_lock(folder)
        except FileNotFoundError:  # its process was done with it in between
            continue
        if not try_lock(lock):
            os.close(lock)
            return None
        if _is_in(folder, lock):
            return lock
        os.close(lock)


def _open_lock(folder: Path) -> int:
    return open_private(folder / LOCK, os.O_RDWR | os.O_CREAT)


def _is_in(folder: Path, lock: int) -> bool:
    try:
        return os.path.samestat(os.stat(folder / LOCK), os.fstat(lock))
    except FileNotFoundError:
        return False


def _remove_dead(folder: Path) -> None:
    """Remove what a process that is gone has had beside the first folder."""
    lock = _locked(folder)
    if lock is not None:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
