"""A directory of an SFTP server."""

import contextlib
import copy
import secrets
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast
from urllib.parse import SplitResult

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
from ...messages import Message
from ...progress import Progress
from .. import doing
from ..base import CHUNK, LARGEST, UNLIMITED, StoredObject, TransferLimits
from ..by_hand import ByHand
from ..kind import PARTIAL, Settings, StorageKind
from ..source import open_source
from . import protocol
from .address import by_hand, config_at, config_of
from .keys import require_paramiko
from .link import Link, SftpConfig
from .protocol import Attributes, ProtocolError, Session, SftpStatusError
from .transfer import Reader, Writer, publish, resumable

NEW = protocol.FOR_WRITING | protocol.CREATE | protocol.EXCLUSIVE
SYNC_PATIENCE = 10  # times the timeout: a slow disk is silent while it syncs
KINDS: dict[int, type[EngineError]] = {
    protocol.NO_SUCH_FILE: SftpDirectoryMissing,
    protocol.PERMISSION_DENIED: SftpNoPermission,
    protocol.NO_CONNECTION: SftpConnectionLost,
    protocol.CONNECTION_LOST: SftpConnectionLost,
}
CLEAN_UP_SECONDS = 3.0  # a cancel must not wait for a server that is gone


class _Shared:
    """The connection of a storage, and of those of the folders below it; it ends with
    the last of them."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self._closer: weakref.finalize[[], _Shared] | None = None

    def begin(self, link: Link) -> None:
        self._closer = weakref.finalize(self, link.close)
        self.link = link

    def end(self) -> None:
        self.link = None
        if self._closer:
            self._closer()


class SftpStorage(StorageKind):
    """Objects are files with mode 0600 in one directory, which ``prepare`` makes.

    A connection serves several calls. It ends when it was not used for a while, when
    something went wrong, and with the storage object.
    """

    def __init__(self, config: SftpConfig, limits: TransferLimits):
        super().__init__(limits)
        self._config = config
        self._directory = config.directory.rstrip("/") or (
            "/" if config.directory else "."
        )
        self._shared = _Shared()

    @property
    def _link(self) -> Link | None:
        return self._shared.link

    def close(self) -> None:
        """End the connection. The next call makes a new one."""
        self._shared.end()

    def location(self, key: str) -> str:
        return f"{self._address()}/{key}"

    def by_hand(self) -> ByHand:
        return by_hand(self._config)

    def _explain(self, error: Exception, what: Message) -> EngineError | None:
        if isinstance(error, ProtocolError):
            return NotSftp(host=self._config.host, log=str(error))
        if not isinstance(error, SftpStatusError):
            return None
        return KINDS.get(error.code, RequestFailed)(
            doing=what,
            location=self._address(),
            host=self._config.host,
            user=self._config.user,
            answer=error.text or "Failure",
            log=str(error),
        )

    @classmethod
    def from_settings(cls, settings: Settings) -> "SftpStorage":
        return cls(config_of(settings), settings.limits)

    @classmethod
    def from_url(cls, url: SplitResult, environ: Mapping[str, str]) -> "SftpStorage":
        """Take DFR_BACKUP_SFTP_PASSWORD, or the private key in the file
        DFR_BACKUP_SFTP_KEY (else ~/.ssh/id_ed25519); the host must be in
        ~/.ssh/known_hosts, or DFR_BACKUP_SFTP_HOST_KEY must hold its key."""
        return cls(config_at(url, environ), UNLIMITED)

    def _require(self) -> None:
        require_paramiko()

    def _prepare(self) -> None:
        with self._session() as session:
            _make(session, PurePosixPath(self._directory))
        self.check()

    def _check(self) -> None:
        with self._session() as session:
            found = session.stat(self._directory)
        if found is None:
            raise SftpStatusError(protocol.NO_SUCH_FILE, "No such file")
        if found.mode is not None and not found.is_directory:
            raise SftpNotADirectory(location=self._address())

    def reader(self) -> "SftpStorage":
        """A connection is of one thread: this has another one."""
        other = copy.copy(self)
        other._shared = _Shared()
        return other

    def _put(self, source: Path, key: str, progress: Progress) -> None:
        partial, size = self._path(key + PARTIAL), progress.total
        link = self._connected()
        try:
            with self._storing(link, key):
                done = resumable(link.session, source, partial, size)
                self._require_space(size - done, SftpNoRoom)
                self._upload(link, source, partial, done, progress)
                checkpoint("storage.put.written")
                publish(link.session, partial, self._path(key))
        except (PermanentError, Cancelled):
            self._clean_up(partial)
            raise

    def _put_bytes(self, data: bytes, key: str) -> None:
        partial = self._path(f"{key}.{secrets.token_hex(4)}{PARTIAL}")
        link = self._connected()
        try:
            with self._storing(link, key):
                self._write_new(link, link.session.open(partial, NEW), data)
                publish(link.session, partial, self._path(key))
        except EngineError:
            self._clean_up(partial)
            raise

    def _create(self, data: bytes, key: str) -> bool:
        link, path = self._connected(), self._path(key)
        with self._storing(link, key):
            try:
                handle = link.session.open(path, NEW)
            except SftpStatusError:
                if link.session.stat(path) is None:
                    raise
                return False
            self._write_new(link, handle, data)
        return True

    def _write_new(self, link: Link, handle: bytes, data: bytes) -> None:
        writer = Writer(link.session, handle, 0, self._spend)
        writer.write(memoryview(data))
        self._complete(link, handle, writer, len(data))

    def _stat(self, key: str) -> StoredObject | None:
        with self._session() as session:
            found = session.stat(self._path(key))
        return _stored(key, found) if found and found.is_file else None

    def _list(self) -> Iterator[StoredObject]:
        with self._session() as session:
            entries = list(self._entries(session))
        for name, found in sorted(entries, key=lambda entry: entry[0]):
            with contextlib.suppress(UnicodeDecodeError):  # not one of ours
                if not name.endswith(PARTIAL.encode()):
                    yield _stored(name.decode(), found)

    def _entries(self, session: Session) -> Iterator[tuple[bytes, Attributes]]:
        for entry in self._bounded(session.scan(self._directory)):
            if entry[1].is_file:
                yield entry

    def _subfolders(self) -> Iterator[str]:
        with self._session() as session:
            for name, found in self._bounded(session.scan(self._directory)):
                # one whose bytes are no text is none of ours
                with contextlib.suppress(UnicodeDecodeError):
                    if found.is_directory:
                        yield name.decode()

    def _enter(self, name: str) -> None:
        self._directory = name if self._directory == "." else self._path(name)
        self._config = replace(self._config, directory=self._directory)

    @contextmanager
    def _open(self, key: str, offset: int) -> Iterator[BinaryIO]:
        link, path = self._connected(), self._path(key)
        with self._guarded(link):
            found = link.session.stat(path)
            if found is None:
                raise FileGone(file=key, folder=self._address())
            handle = link.session.open(path, protocol.FOR_READING)
        reader = Reader(
            link.session,
            handle,
            found.size or 0,
            offset,
            self._spend,
            lambda: self._reading(link, key),
        )
        try:
            yield cast(BinaryIO, reader)
        finally:
            self._end_reading(link, reader, handle)

    @contextmanager
    def _reading(self, link: Link, key: str) -> Iterator[None]:
        with self._explained(doing.reading(key)), self._guarded(link):
            yield

    def _delete(self, key: str) -> None:
        self._remove(self._path(key))

    def _remove(self, path: str) -> None:
        with self._session() as session:
            session.remove(path)

    def _discard_partial(self, key: str) -> None:
        self._delete(key + PARTIAL)

    def _free_space(self) -> int | None:
        with self._session() as session:
            return _free_space(session, self._directory)

    def _address(self) -> str:
        host = (
            f"[{self._config.host}]" if ":" in self._config.host else self._config.host
        )
        path = {".": "/~", "/": ""}.get(self._directory, self._directory)
        if not path.startswith("/") and path:
            path = f"/~/{path}"
        return f"sftp://{self._config.user}@{host}:{self._config.port}{path}"

    def _path(self, key: str) -> str:
        return f"{self._directory.rstrip('/')}/{key}"

    def _connected(self) -> Link:
        """Return a connection that works. Raise an EngineError."""
        if self._link is None or not self._link.usable:
            self.close()
            limits, cancel = self._limits, self._cancel
            link = Link(self._config, limits.timeout, limits.outbound, cancel)
            link.open()
            self._shared.begin(link)
            return link
        return self._link

    @contextmanager
    def _session(self) -> Iterator[Session]:
        link = self._connected()
        with self._guarded(link):
            yield link.session

    @contextmanager
    def _storing(self, link: Link, key: str) -> Iterator[None]:
        """Guard what writes ``key``: of a full disk many servers say nothing."""
        try:
            with self._explained(doing.writing(key)), self._guarded(link):
                yield
        except RequestFailed as error:
            if not self._is_full():
                raise
            raise SftpDiskFull(location=self._address(), log=error.log) from error

    @contextmanager
    def _guarded(self, link: Link) -> Iterator[None]:
        """End the connection after any error: requests may be under way, and files
        open."""
        try:
            yield
        except BaseException:
            if link is self._link:
                self.close()
            raise

    def _upload(
        self, link: Link, source: Path, partial: str, done: int, progress: Progress
    ) -> None:
        flags = (
            protocol.FOR_WRITING | protocol.CREATE | (0 if done else protocol.TRUNCATE)
        )
        handle = link.session.open(partial, flags)
        progress.advance(done)
        writer = Writer(link.session, handle, done, self._spend)
        view = memoryview(bytearray(CHUNK))
        counted = 0
        with open_source(source) as reader:
            reader.seek(done)
            while count := reader.readinto(view):
                writer.write(view[:count])
                checkpoint("storage.put.part")
                progress.advance(writer.stored - counted)
                counted = writer.stored
            self._complete(link, handle, writer, reader.tell())
        progress.advance(writer.stored - counted)

    def _complete(self, link: Link, handle: bytes, writer: Writer, size: int) -> None:
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
        with contextlib.suppress(EngineError), helper._explained(doing.WRITE):
            helper._remove(partial)
        helper.close()

    def _end_reading(self, link: Link, reader: Reader, handle: bytes) -> None:
        """Close a file that was read. When more of it is under way, the connection
        goes."""
        if link is not self._link:
            return
        if reader.is_ahead:
            self.close()
            return
        with (
            contextlib.suppress(EngineError),
            self._explained(doing.WRITE),
            self._guarded(link),
        ):
            link.session.close(handle)


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


def _stored(key: str, found: Attributes) -> StoredObject:
    modified = datetime.fromtimestamp(found.modified or 0, tz=timezone.utc)
    return StoredObject(key, found.size or 0, modified)
