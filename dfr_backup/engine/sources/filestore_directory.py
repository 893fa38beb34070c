"""A filestore's directory: its files, opened without being led out of it."""

import errno
import os
import re
import stat
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

from ..manifest.names import FILESTORE, is_safe_name

SHARD = re.compile(r"[0-9a-f]{2}")  # Odoo's folders: two digits of a file's SHA-1
NO_ATIME = getattr(os, "O_NOATIME", 0)
OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FilestoreDirectory:
    """A filestore's directory. The names come from the database: nobody may lead us
    out of the filestore with one, nor with a link in it. Only one of Odoo's own folders
    may be a link, as Odoo follows it: an administrator has moved it to another disk."""

    def __init__(self, root: Path):
        self._root = os.path.realpath(root)
        self._flags = OPEN | NO_ATIME
        self._folder = lru_cache(1024)(self._resolve)

    def open(self, store_fname: str, files: ExitStack) -> tuple[int, int]:
        """Return (descriptor, size in bytes) of a regular file, which ``files``
        closes. Raise OSError."""
        file = self._open(store_fname)
        files.callback(os.close, file)
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EISDIR, "not a regular file")
        return file, status.st_size

    def _open(self, store_fname: str) -> int:
        folder, _slash, name = store_fname.rpartition("/")
        # a name that no reader takes would make all of the archive unusable
        if not _is_file_name(name) or not is_safe_name(FILESTORE + store_fname):
            raise OSError(errno.ENOENT, "not the name of a file")
        path, flags = f"{self._folder(folder)}/{name}", self._flags
        try:
            return os.open(path, flags)
        except PermissionError as error:
            if error.errno != errno.EPERM or not flags & NO_ATIME:
                raise
            self._flags = OPEN  # only the owner of a file may ask for NO_ATIME
            return os.open(path, OPEN)

    def _resolve(self, folder: str) -> str:
        """Return the real path of a folder of the filestore."""
        plain = not folder or (folder[0] != "/" and folder == os.path.normpath(folder))
        if plain and "\0" not in folder:
            real = os.path.realpath(os.path.join(self._root, folder))
            inside = real == self._root or real.startswith(self._root + "/")
            if inside or SHARD.fullmatch(folder):
                return real
        raise OSError(errno.ENOENT, "the name leads out of the filestore")


def _is_file_name(name: str) -> bool:
    try:
        return b"\0" not in name.encode() and name not in ("", ".", "..")
    except UnicodeEncodeError:
        return False
