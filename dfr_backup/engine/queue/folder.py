"""The folder of the slots: its files, and what is said where they cannot be used."""

import contextlib
import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import reason_of
from ..errors.runs import SlotsUnusable
from ..fileio.durable import make_directory, require_writable
from ..fileio.locking import try_lock

PRIVATE, SHARED = 0o600, 0o660
LONGEST = 4096  # bytes of a file that somebody else may have written
PATIENCE = 10.0  # seconds for whoever looks at the slots in this moment
POLL_INTERVAL = 0.02  # seconds
PARTIAL = ".part"


@dataclass(frozen=True)
class Folder:
    """Where slots and tickets are files. One that is ``shared`` belongs to servers that
    run as other system users: its files may be read and written by its group. Whatever
    the system refuses is raised as SlotsUnusable."""

    path: Path
    shared: bool = False

    def prepare(self) -> None:
        """Make the folder, unless it is there."""
        with self._explained(self.path):
            if not self.path.is_dir():
                make_directory(self.path)
                _give_to_owner_of(self.path.parent, self.path)

    def require_writable(self) -> None:
        """Raise SlotsUnusable unless files can be made here."""
        self.prepare()
        with self._explained(self.path):
            require_writable(self.path)

    def names(self) -> list[str]:
        """Return what the files are called."""
        with self._explained(self.path):
            return os.listdir(self.path)

    def open(self, name: str) -> int:
        """Open a file that may be locked; make it where there is none."""
        path = self.path / name
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        with self._explained(path):
            with contextlib.suppress(FileNotFoundError):
                return os.open(path, flags)
            file = os.open(path, flags | os.O_CREAT, self._mode)
            self._share(file)
            return file

    def read(self, name: str) -> bytes:
        """Return what a file holds, b"" where it cannot be read or holds too much."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        with contextlib.suppress(OSError):
            file = os.open(self.path / name, flags)
            with open(file, "rb") as stream:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    return b""  # a pipe that somebody keeps open says nothing
                content = stream.read(LONGEST + 1)
                return content if len(content) <= LONGEST else b""
        return b""

    def write(self, name: str, data: bytes) -> None:
        """Let a file have this content, as a whole or not at all. It need not be there
        after a loss of power."""
        path = self.path / name
        partial = path.with_name(f"{name}.{secrets.token_hex(4)}{PARTIAL}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with self._explained(path):
            try:
                file = os.open(partial, flags, self._mode)
                with open(file, "wb") as stream:
                    self._share(file)
                    stream.write(data)
                partial.replace(path)
            finally:
                with contextlib.suppress(OSError):
                    partial.unlink()

    def touch(self, name: str) -> None:
        """Say that a file is still meant, where it is there."""
        with contextlib.suppress(OSError):
            os.utime(self.path / name, follow_symlinks=False)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with self._explained(self.path / name):
            (self.path / name).unlink(missing_ok=True)

    def try_remove(self, name: str) -> None:
        """Remove a file, if it is there and may be removed."""
        with contextlib.suppress(SlotsUnusable):
            self.remove(name)

    def age(self, name: str, now: float) -> float | None:
        """Return for how many seconds a file has been left alone, None where there is
        none."""
        with contextlib.suppress(OSError):
            return now - os.lstat(self.path / name).st_mtime
        return None

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Let nobody else be in here at the same time."""
        file = self.open(name)
        try:
            until = time.monotonic() + PATIENCE
            while not self.try_lock(file):
                if time.monotonic() > until:
                    busy = os.strerror(errno.EBUSY)
                    raise SlotsUnusable(file=self.path / name, reason=busy)
                time.sleep(POLL_INTERVAL)
            yield
        finally:
            os.close(file)

    def try_lock(self, file: int) -> bool:
        """Lock a file of this folder until it is closed by every process that has it;
        tell whether nobody else has."""
        with self._explained(self.path):
            return try_lock(file)

    @property
    def _mode(self) -> int:
        return SHARED if self.shared else PRIVATE

    def _share(self, file: int) -> None:
        """Let those who may use the folder use a new file: a umask may forbid it, or
        the administrator has called a command as root."""
        if self.shared:
            os.fchmod(file, SHARED)
        _give_to_owner_of(self.path, file)

    @contextlib.contextmanager
    def _explained(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SlotsUnusable(
                file=error.filename or path, reason=reason_of(error), log=str(error)
            ) from error


def _give_to_owner_of(folder: Path, made: Path | int) -> None:
    if os.geteuid() == 0:
        owner = os.stat(folder)
        os.chown(made, owner.st_uid, owner.st_gid)
