"""A directory of the server: a disk of its own, or a mounted NFS or SMB share."""

import contextlib
import errno
import io
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any, BinaryIO, cast

from ...checkpoints import checkpoint
from ...errors import EngineError, reason_of
from ...errors.fetch import FileGone
from ...errors.local import (
    DirectoryMissing,
    DiskBroken,
    DiskFull,
    LocalNoRoom,
    NoPermission,
    NotAbsolute,
    NotAllowed,
    PartOfOdoo,
    PathIsFile,
    QuotaUsedUp,
    ReadOnlyDisk,
    ShareLost,
    SystemRefused,
)
from ...fileio.direct_read import open_regular, sha256_on_disk
from ...fileio.durable import (
    make_directory,
    open_private,
    sync,
    sync_directory,
    sync_in_pieces,
)
from ...fileio.page_cache import forget_cached
from ...messages import Joined, Message
from ...progress import Progress
from .. import doing
from ..base import UNLIMITED, StoredObject, TransferLimits
from ..by_hand import ByHand
from ..kind import PARTIAL, Settings, StorageKind

LATEST = 253_402_300_799  # the last second of the year 9999
KINDS: dict[int, type[EngineError]] = {
    errno.EACCES: NoPermission,
    errno.EPERM: NoPermission,
    errno.EROFS: ReadOnlyDisk,
    errno.ENOSPC: DiskFull,
    errno.EDQUOT: QuotaUsedUp,
    errno.ENOTDIR: PathIsFile,
    errno.ENOENT: DirectoryMissing,
    errno.EIO: DiskBroken,
    errno.ESTALE: ShareLost,
}
COPY_CHUNK = 8 << 20  # bytes: short enough for a cancel within a second on a slow disk


@dataclass(frozen=True)
class LocalRules:
    """Where a local storage may be.

    ``allowed``: below these directories only, because who administers a database does
    not administer the server. ``forbidden``: never in or around these (filestores,
    addons paths).
    """

    allowed: Sequence[Path]
    forbidden: Sequence[Path] = ()

    def check(self, path: Path) -> Path:
        """Return the real path of ``path``. Raise PermanentError when the rules
        forbid it."""
        if not path.is_absolute() or ".." in path.parts:
            raise NotAbsolute(folder=path)
        real = Path(os.path.realpath(path))
        if not any(_is_below(real, root) for root in self.allowed):
            raise NotAllowed(folder=path, roots=Joined(map(str, self.allowed), ", "))
        for root in self.forbidden:
            if _is_below(real, root) or _is_below(Path(os.path.realpath(root)), real):
                raise PartOfOdoo(folder=path, root=root)
        return real


def _is_below(path: Path, root: Path) -> bool:
    return path.is_relative_to(os.path.realpath(root))


class LocalStorage(StorageKind):
    """Objects are files with mode 0600 in one directory, which ``prepare`` makes. What
    is no regular file, a link for example, is no object."""

    def __init__(
        self, path: Path, rules: LocalRules, limits: TransferLimits = UNLIMITED
    ):
        super().__init__(limits)
        self._path = rules.check(path)

    @classmethod
    def from_settings(cls, settings: Settings) -> "LocalStorage":
        path, rules = Path(settings.value("path")), settings.server.local_rules()
        return cls(path, rules, settings.limits)

    def location(self, key: str) -> str:
        return str(self._file(key)) if key else f"{self._path}/"

    def by_hand(self) -> ByHand:
        folder = quote(self.location(""))
        return ByHand(f'cp {folder}"$1" files/', is_addressed=True)

    def _explain(self, error: Exception, what: Message) -> EngineError | None:
        if not isinstance(error, OSError):
            return None
        kind, reason = KINDS.get(error.errno or 0, SystemRefused), reason_of(error)
        log = f"{what}: {error}"
        return kind(doing=what, folder=self._path, reason=reason, log=log)

    def _prepare(self) -> None:
        make_directory(self._path)

    def _check(self) -> None:
        with self._explained(doing.WRITE):
            if not self._path.is_dir():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            if not os.access(self._path, os.W_OK | os.X_OK):
                raise _why_not_writable(self._path)

    def _put(self, source: Path, key: str, progress: Progress) -> None:
        part = self._file(key + PARTIAL)
        if _link(source, part):
            progress.advance(progress.total)
        else:
            present = part.stat().st_size if part.exists() else 0
            self._require_space(progress.total - present, LocalNoRoom)
            self._copy(source, part, progress)
        checkpoint("storage.put.written")
        self._publish(part, key)

    def _put_bytes(self, data: bytes, key: str) -> None:
        with self._written(data, key) as partial:
            self._publish(partial, key)

    def _create(self, data: bytes, key: str) -> bool:
        with self._written(data, key) as partial:
            return self._publish_new(partial, key, data)

    @contextmanager
    def _written(self, data: bytes, key: str) -> Iterator[Path]:
        """Yield a new file with these bytes, which is to get the name ``key``."""
        partial = self._file(f"{key}.{secrets.token_hex(4)}{PARTIAL}")
        try:
            _write_new(partial, data)
            yield partial
        finally:
            partial.unlink(missing_ok=True)

    def _stat(self, key: str) -> StoredObject | None:
        try:
            status = self._file(key).lstat()
        except FileNotFoundError:
            return None
        return _stored(key, status) if stat.S_ISREG(status.st_mode) else None

    def _list(self) -> Iterator[StoredObject]:
        for name in sorted(self._names()):
            found = None if name.endswith(PARTIAL) else self._stat(name)
            if found:
                yield found

    def _names(self) -> Iterator[str]:
        for entry in self._entries():
            if entry.is_file(follow_symlinks=False):
                yield entry.name

    def _entries(self) -> Iterator["os.DirEntry[str]"]:
        with os.scandir(self._path) as entries:
            yield from self._bounded(entries)

    def _subfolders(self) -> Iterator[str]:
        for entry in self._entries():
            if entry.is_dir(follow_symlinks=False):
                yield entry.name

    def _enter(self, name: str) -> None:
        self._path = self._file(name)

    @contextmanager
    def _open(self, key: str, offset: int) -> Iterator[BinaryIO]:
        explained = partial(self._explained, doing.reading(key))
        try:
            stream = _File(self._file(key), explained)
        except FileNotFoundError as error:
            raise FileGone(file=key, folder=self._path) from error
        with stream:
            forget_cached(stream.fileno())
            stream.seek(offset)
            yield cast(BinaryIO, stream)

    def _delete(self, key: str) -> None:
        self._file(key).unlink(missing_ok=True)
        sync_directory(self._path)

    def _discard_partial(self, key: str) -> None:
        self._file(key + PARTIAL).unlink(missing_ok=True)

    def _local_path(self, key: str) -> Path | None:
        return self._file(key) if self.stat(key) else None

    def _free_space(self) -> int | None:
        return shutil.disk_usage(self._path).free

    def folder(self) -> Path:
        return self._path

    def _digest(self, key: str, progress: Progress) -> str:
        return sha256_on_disk(self._file(key), progress.advance)

    def _file(self, key: str) -> Path:
        return self._path / key

    def _copy(self, source: Path, partial: Path, progress: Progress) -> None:
        done = _same_so_far(source, partial, progress)
        with (
            open(source, "rb") as reader,
            open(partial, "ab", opener=open_private) as writer,
        ):
            writer.truncate(done)
            reader.seek(done)
            try:
                while chunk := reader.read(COPY_CHUNK):
                    writer.write(chunk)
                    checkpoint("storage.put.part")
                    progress.advance(len(chunk))
                writer.flush()
                sync_in_pieces(writer.fileno(), writer.tell(), progress.tick)
            except (EngineError, OSError):
                # a full disk or a cancel: what is there is only in the way. After a
                # kill it stays
                partial.unlink(missing_ok=True)
                raise

    def _publish(self, partial: Path, key: str) -> None:
        checkpoint("storage.rename.before")
        os.replace(partial, self._file(key))
        checkpoint("storage.rename.after")
        sync_directory(self._path)

    def _publish_new(self, partial: Path, key: str, data: bytes) -> bool:
        """Give a file its name unless that is taken, also where the share knows no
        second names; tell whether it has it."""
        try:
            os.link(partial, self._file(key))
        except FileExistsError:
            return False
        except OSError:
            with contextlib.suppress(FileExistsError):
                _write_new(self._file(key), data)
                return True
            return False
        sync_directory(self._path)
        return True


class _File(io.FileIO):
    """A file that is read; what the system refuses meanwhile leaves explained."""

    def __init__(
        self, path: Path, explained: Callable[[], AbstractContextManager[None]]
    ):
        super().__init__(path, "rb", opener=open_regular)
        self._explained = explained

    def read(self, size: int | None = -1) -> bytes:
        with self._explained():
            return super().read(-1 if size is None else size)

    def readinto(self, buffer: Any) -> int:
        with self._explained():
            return super().readinto(buffer)


def _why_not_writable(path: Path) -> OSError:
    """Return the error that writing would give: asking for the right to write tells
    only that there is none."""
    read_only = os.statvfs(path).f_flag & os.ST_RDONLY
    number = errno.EROFS if read_only else errno.EACCES
    return OSError(number, os.strerror(number))


def _write_new(path: Path, data: bytes) -> None:
    with open(path, "xb", opener=open_private) as stream:
        stream.write(data)
        sync(stream)


def _link(source: Path, target: Path) -> bool:
    """Make ``target`` a second name of ``source`` instead of a copy, once per source.

    The archive is complete and never written again, and its first name goes away with
    the run. A second storage on the same disk gets a real copy: two names are not two
    backups.
    """
    if source.stat().st_nlink > 1:
        return False
    with contextlib.suppress(OSError):
        target.unlink(missing_ok=True)
        os.link(source, target)
        return True
    return False


def _same_so_far(source: Path, partial: Path, progress: Progress) -> int:
    """Return how many bytes of an interrupted copy are those of its source: after a
    loss of power a file may have its size and not its content."""
    done = 0
    if not partial.exists():
        return done
    with open(source, "rb") as reader, open(partial, "rb", opener=open_private) as copy:
        while (chunk := copy.read(COPY_CHUNK)) and chunk == reader.read(len(chunk)):
            done += len(chunk)
            progress.advance(len(chunk))
    return done


def _stored(key: str, status: os.stat_result) -> StoredObject:
    # a file may claim to be of a year that no calendar has
    seconds = min(max(status.st_mtime, 0), LATEST)
    moment = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return StoredObject(key, status.st_size, moment)
