"""A directory of an SFTP server."""

import contextlib
import secrets
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from ...checkpoints import checkpoint
from ...errors import Cancelled, EngineError, PermanentError
from ...errors.fetch import FileGone
from ...errors.sftp import (
    NotSftp,
    RequestFailed,
    SentSizeDiffers,
    SftpConnectionLost,
    SftpDirectoryMissing,
    SftpDiskFull,
    SftpNoPermission,
    SftpNoRoom,
    SftpNotADirectory,
)
from ...errors.storage import BadKey, TooManyObjects
from ...messages import Message, Size
from ...progress import Progress
from .. import doing
from ..base import (
    CHUNK,
    LARGEST,
    MOST_OBJECTS,
    Storage,
    StoredObject,
    TransferLimits,
    is_key,
)
from . import protocol
from .keys import require_paramiko
from .link import Link, SftpConfig
from .protocol import Attributes, ProtocolError, Session, SftpStatusError
from .transfer import Pace, Reader, Writer, resumable

PARTIAL = ".part"
ALMOST_NOTHING = 1 << 20  # bytes: a disk with less than this counts as full
SYNC_PATIENCE = 10  # times the timeout: a slow disk is silent while it syncs
KINDS: dict[int, type[EngineError]] = {
    protocol.NO_SUCH_FILE: SftpDirectoryMissing,
    protocol.PERMISSION_DENIED: SftpNoPermission,
    protocol.NO_CONNECTION: SftpConnectionLost,
    protocol.CONNECTION_LOST: SftpConnectionLost,
}
CLEAN_UP_SECONDS = 3.0  # a cancel must not wait for a server that is gone


class SftpStorage(Storage):
    """Objects are files with mode 0600 in one directory, which ``prepare`` makes.

    A connection serves several calls. It ends when it was not used for a while, when
    something went wrong, and with the storage object.
    """

    def __init__(self, config: SftpConfig, limits: TransferLimits):
        self._config = config
        self._limits = limits
        self._directory = config.directory.rstrip("/") or (
            "/" if config.directory else "."
        )
        self._tick: Callable[[], None] = _go_on
        self._link: Link | None = None
        self._closer: weakref.finalize[[], SftpStorage] | None = None

    def close(self) -> None:
        """End the connection. The next call makes a new one."""
        self._link = None
        if self._closer:
            self._closer()

    def require(self) -> None:
        require_paramiko()

    def location(self, key: str) -> str:
        return f"{self._address()}/{key}"

    def prepare(self) -> None:
        with self._session(doing.MAKE_DIRECTORY) as session:
            _make(session, PurePosixPath(self._directory))
        self.check()

    def check(self) -> None:
        with self._session(doing.LOOK_AT_DIRECTORY) as session:
            found = session.stat(self._directory)
            if found is None:
                raise SftpStatusError(protocol.NO_SUCH_FILE, "No such file")
            if found.mode is not None and not found.is_directory:
                raise SftpNotADirectory(location=self._address())

    def put(self, source: Path, key: str, progress: Progress) -> None:
        partial = self._path(key + PARTIAL)
        size = source.stat().st_size
        progress.expect(size)
        link = self._connected()
        try:
            with self.reporting_to(progress), self._storing(link, key):
                done = resumable(link.session, source, partial, size)
                self._require_space(link.session, size - done)
                self._upload(link, source, partial, done, progress)
                checkpoint("storage.put.written")
                _publish(link.session, partial, self._path(key))
        except (PermanentError, Cancelled):
            self._clean_up(partial)
            raise

    def put_bytes(self, data: bytes, key: str) -> None:
        partial = self._path(f"{key}.{secrets.token_hex(4)}{PARTIAL}")
        link = self._connected()
        try:
            with self._storing(link, key):
                flags = protocol.FOR_WRITING | protocol.CREATE | protocol.EXCLUSIVE
                handle = link.session.open(partial, flags)
                writer = Writer(link.session, handle, 0, self._pace())
                writer.write(memoryview(data))
                self._seal(link, handle, writer, len(data))
                _publish(link.session, partial, self._path(key))
        except EngineError:
            self._clean_up(partial)
            raise

    def create(self, data: bytes, key: str) -> bool:
        link, path = self._connected(), self._path(key)
        with self._storing(link, key):
            flags = protocol.FOR_WRITING | protocol.CREATE | protocol.EXCLUSIVE
            try:
                handle = link.session.open(path, flags)
            except SftpStatusError:
                if link.session.stat(path) is None:
                    raise
                return False
            writer = Writer(link.session, handle, 0, self._pace())
            writer.write(memoryview(data))
            self._seal(link, handle, writer, len(data))
        return True

    def stat(self, key: str) -> StoredObject | None:
        path = self._path(key)
        with self._session(doing.looking_at(key)) as session:
            found = session.stat(path)
        return _stored(key, found) if found and found.is_file else None

    def list(self) -> Iterator[StoredObject]:
        with self._session(doing.LIST_DIRECTORY) as session:
            entries = list(self._entries(session))
        for name, found in sorted(entries, key=lambda entry: entry[0]):
            with contextlib.suppress(UnicodeDecodeError):  # not one of ours
                if not name.endswith(PARTIAL.encode()) and is_key(name.decode()):
                    yield _stored(name.decode(), found)

    def _entries(self, session: Session) -> Iterator[tuple[bytes, Attributes]]:
        for number, entry in enumerate(session.scan(self._directory)):
            if number == MOST_OBJECTS:
                raise TooManyObjects(location=self._address(), most=MOST_OBJECTS)
            self._tick()
            if entry[1].is_file:
                yield entry

    @contextmanager
    def open(self, key: str, offset: int = 0) -> Iterator[BinaryIO]:
        link = self._connected()
        what = doing.reading(key)
        with self._guarded(link, what):
            found = link.session.stat(self._path(key))
            if found is None:
                raise FileGone(file=key, folder=self._address())
            handle = link.session.open(self._path(key), protocol.FOR_READING)
        size = found.size or 0
        guard = lambda: self._guarded(link, what)  # noqa: E731 (a name for a long line)
        reader = Reader(link.session, handle, size, offset, self._pace(), guard)
        try:
            yield cast(BinaryIO, reader)
        finally:
            self._end_reading(link, reader, handle)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._session(doing.deleting(key)) as session:
            checkpoint("storage.delete")
            session.remove(path)

    def discard_partial(self, key: str) -> None:
        path = self._path(key + PARTIAL)
        with self._session(doing.deleting(key + PARTIAL)) as session:
            session.remove(path)

    def free_space(self) -> int | None:
        with self._session(doing.LOOK_AT_SPACE) as session:
            return _free_space(session, self._directory)

    def verify(self, key: str, size: int, sha256: str, progress: Progress) -> None:
        with self.reporting_to(progress):
            return super().verify(key, size, sha256, progress)

    def _address(self) -> str:
        host = (
            f"[{self._config.host}]" if ":" in self._config.host else self._config.host
        )
        path = {".": "/~", "/": ""}.get(self._directory, self._directory)
        if not path.startswith("/") and path:
            path = f"/~/{path}"
        return f"sftp://{self._config.user}@{host}:{self._config.port}{path}"

    def _path(self, key: str) -> str:
        if not key or "/" in key or "\0" in key or key in (".", ".."):
            raise BadKey(key=key)
        return f"{self._directory.rstrip('/')}/{key}"

    def _pace(self) -> Pace:
        return Pace(self._limits.bandwidth, lambda: self._tick())

    def _connected(self) -> Link:
        """Return a connection that works. Raise an EngineError."""
        if self._link is None or not self._link.usable:
            self.close()
            link = Link(self._config, self._limits.timeout, self._limits.outbound)
            link.tick = self._tick
            link.open()
            self._closer = weakref.finalize(self, link.close)
            self._link = link
        return self._link

    @contextmanager
    def _session(self, what: Message) -> Iterator[Session]:
        link = self._connected()
        with self._guarded(link, what):
            yield link.session

    @contextmanager
    def _storing(self, link: Link, key: str) -> Iterator[None]:
        """Guard what writes ``key``: of a full disk many servers say nothing."""
        try:
            with self._guarded(link, doing.writing(key)):
                yield
        except RequestFailed as error:
            if not self._is_full():
                raise
            raise SftpDiskFull(location=self._address(), log=error.log) from error

    @contextmanager
    def _guarded(self, link: Link, what: Message) -> Iterator[None]:
        """Turn what the server refuses into an EngineError. After any error the
        connection ends: requests may be under way, and files open."""
        before, link.tick = link.tick, self._tick
        try:
            yield
        except BaseException as error:
            if link is self._link:
                self.close()
            if isinstance(error, SftpStatusError):
                raise self._explain(error, what) from error
            if isinstance(error, ProtocolError):
                raise NotSftp(host=self._config.host, log=str(error)) from error
            raise
        finally:
            link.tick = before

    @contextmanager
    def reporting_to(self, progress: Progress) -> Iterator[None]:
        before, self._tick = self._tick, progress.tick
        try:
            yield
        finally:
            self._tick = before

    def _require_space(self, session: Session, needed: int) -> None:
        free = _free_space(session, self._directory)
        if free is not None and free < needed:
            raise SftpNoRoom(
                location=self._address(), free=Size(free), needed=Size(needed)
            )

    def _upload(
        self, link: Link, source: Path, partial: str, done: int, progress: Progress
    ) -> None:
        flags = (
            protocol.FOR_WRITING | protocol.CREATE | (0 if done else protocol.TRUNCATE)
        )
        handle = link.session.open(partial, flags)
        progress.advance(done)
        writer = Writer(link.session, handle, done, self._pace())
        view = memoryview(bytearray(CHUNK))
        counted = 0
        with open(source, "rb", buffering=0) as reader:
            reader.seek(done)
            while count := reader.readinto(view):
                writer.write(view[:count])
                checkpoint("storage.put.part")
                progress.advance(writer.stored - counted)
                counted = writer.stored
            self._seal(link, handle, writer, reader.tell())
        progress.advance(writer.stored - counted)

    def _seal(self, link: Link, handle: bytes, writer: Writer, size: int) -> None:
        """Wait until a file is complete on the server's disk, and close it."""
        writer.finish()
        session = link.session
        if protocol.FSYNC in session.extensions:
            link.patience(SYNC_PATIENCE * self._limits.timeout)
            session.fsync(handle)
            link.patience(self._limits.timeout)
        stored = session.fstat(handle).size
        if stored not in (None, size):
            raise SentSizeDiffers(stored=stored, sent=size)
        session.close(handle)

    def _clean_up(self, partial: str) -> None:
        """Remove a partial file if that can be done soon; a later discard_partial
        does it, too."""
        seconds = min(CLEAN_UP_SECONDS, self._limits.timeout)
        quick = replace(self._limits, timeout=seconds)
        helper = SftpStorage(self._config, quick)
        with contextlib.suppress(EngineError), helper._session(doing.WRITE) as session:
            session.remove(partial)
        helper.close()

    def _end_reading(self, link: Link, reader: Reader, handle: bytes) -> None:
        """Close a file that was read. When more of it is under way, the connection
        goes."""
        if link is not self._link:
            return
        if reader.is_ahead:
            self.close()
            return
        with contextlib.suppress(EngineError), self._guarded(link, doing.WRITE):
            link.session.close(handle)

    def _deletes(self, key: str) -> bool:
        try:
            self.delete(key)
        except PermanentError:
            return False
        return True

    def _explain(self, error: SftpStatusError, what: Message) -> EngineError:
        kind = KINDS.get(error.code, RequestFailed)
        return kind(
            doing=what,
            location=self._address(),
            host=self._config.host,
            user=self._config.user,
            answer=error.text or "Failure",
            log=str(error),
        )

    def _is_full(self) -> bool:
        try:
            free = self.free_space()
        except EngineError:
            return False
        return free is not None and free < ALMOST_NOTHING


def _go_on() -> None:
    """The tick of a call that nobody can cancel."""


def _make(session: Session, path: PurePosixPath) -> None:
    """Make a directory, and what is missing above it: only as far up as that is, since
    a login may be refused to look at what is above its own folder."""
    if session.stat(str(path)) is not None:
        return
    if path != path.parent:
        # then the directory cannot be made either
        with contextlib.suppress(SftpStatusError):
            _make(session, path.parent)
    session.mkdir(str(path), 0o700)


def _free_space(session: Session, directory: str) -> int | None:
    if protocol.STATVFS not in session.extensions:
        return None
    return min(session.free_space(directory), LARGEST)


def _publish(session: Session, partial: str, path: str) -> None:
    checkpoint("storage.rename.before")
    if protocol.POSIX_RENAME in session.extensions:
        session.posix_rename(partial, path)
    else:
        _replace(session, partial, path)
    checkpoint("storage.rename.after")


def _replace(session: Session, partial: str, path: str) -> None:
    """Rename on a server whose rename does not replace: the old file steps aside,
    and comes back when the new one cannot take its place."""
    try:
        session.rename(partial, path)
    except SftpStatusError:
        if session.lstat(path) is None:
            raise
    else:
        return
    aside = f"{path}.{secrets.token_hex(4)}{PARTIAL}"
    session.rename(path, aside)
    try:
        session.rename(partial, path)
    except SftpStatusError:
        session.rename(aside, path)
        raise
    with contextlib.suppress(SftpStatusError):
        session.remove(aside)


def _stored(key: str, found: Attributes) -> StoredObject:
    modified = datetime.fromtimestamp(found.modified or 0, tz=timezone.utc)
    return StoredObject(key, found.size or 0, modified)
