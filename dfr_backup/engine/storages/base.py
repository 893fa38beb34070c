"""The contract of a storage. ``tests/engine/storage_contract.py`` runs against every
one."""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import BinaryIO, TypeVar, final

from ..errors.storage import BadKey, ContentDiffers, CopyMissing, SizeDiffers
from ..fileio.streams import read_fully
from ..messages import Message
from ..outbound import DEFAULT_RULES, OutboundRules
from ..progress import Progress
from ..retry import DEFAULT_RETRIES, RetryPolicy, with_retries

CHUNK = 1 << 20  # bytes
LARGEST = (1 << 63) - 1  # bytes: what a file can have, and a column can hold
LONGEST_NAME = 255  # bytes: of a folder, in file systems
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
MOST_OBJECTS = 500_000  # in one storage: of an hourly plan, those of 25 years


@dataclass(frozen=True)
class TransferLimits:
    """What a transfer may take: ``bandwidth`` in bytes per second (0: all there is),
    ``timeout``, the seconds without any sign of life after which the far end
    counts as gone, ``outbound``, the addresses that it may lead to, and ``retries``,
    how long it is tried again."""

    bandwidth: int = 0
    timeout: float = 60.0
    outbound: OutboundRules = DEFAULT_RULES
    retries: RetryPolicy = DEFAULT_RETRIES


UNLIMITED = TransferLimits()
Result = TypeVar("Result")


@dataclass(frozen=True)
class Capabilities:
    """What a probe found out that is no failure. ``can_delete``: False where the
    credentials may add and read but not delete, so that retention is the storage's
    own business; ``can_list``: False where they may not list; ``takes_away``: True
    where it deletes by itself what is old, or moves it to where it cannot be read;
    ``notes`` are for the administrator; ``expires_after``: after so many days it
    deletes by itself, None for never; ``rules_unknown``: it may do so, and does not
    tell; ``locks_by_default``: it locks all objects by itself, so that none can be
    deleted; ``extends_locks``: whether it extends the lock of an object, None where
    that was not tried."""

    can_delete: bool = True
    takes_away: bool = False
    notes: tuple[Message, ...] = ()
    expires_after: int | None = None
    can_list: bool = True
    rules_unknown: bool = False
    locks_by_default: bool = False
    extends_locks: bool | None = None


class Unknown(Enum):
    """What a storage answers that may not tell whether an object is there."""

    UNKNOWN = "unknown"


UNKNOWN = Unknown.UNKNOWN


@dataclass(frozen=True)
class StoredObject:
    """One object in a storage: its key, its size in bytes, and when it was last
    changed (UTC)."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Lock:
    """Nobody deletes an object ``until`` then (UTC); where the lock is not ``firm``,
    but for those who have the right to undo it."""

    until: datetime
    firm: bool = False

    def covers(self, other: "Lock") -> bool:
        """Tell whether it protects at least as well as another one."""
        return self.until >= other.until and self.firm >= other.firm

    def joined(self, other: "Lock") -> "Lock":
        """Return one that covers both."""
        return Lock(max(self.until, other.until), self.firm or other.firm)


FOR_EVER = datetime.max.replace(tzinfo=timezone.utc)


def is_size(value: object) -> bool:
    """Tell whether a far end has given a number of bytes."""
    return type(value) is int and 0 <= value <= LARGEST


def is_key(key: str) -> bool:
    """Tell whether a name can be that of an object."""
    return bool(key) and key not in (".", "..") and not set(key) & set("/\0")


def is_folder(name: str) -> bool:
    """Tell whether a name can be that of a folder that holds backups."""
    try:
        size = len(name.encode("utf-8", "surrogateescape"))  # local ones are bytes
    except UnicodeEncodeError:
        return False
    return is_key(name) and size <= LONGEST_NAME and not CONTROL.search(name)


class Storage(ABC):
    """What keeps objects under keys; a key is a file name, without folders. Kinds of
    storage inherit ``kind.StorageKind``, and what stands before another storage this.

    Every method raises an ``EngineError`` with a hint; a missing object is ``None``
    from ``stat`` and a ``PermanentError`` from ``open``.
    """

    retries: RetryPolicy = UNLIMITED.retries

    @final
    def with_retries(
        self, operation: Callable[[], Result], progress: Progress
    ) -> Result:
        """Return what ``operation`` returns, which uses this storage: while it raises
        RetryableError it is called again, as ``retries`` say. Who looks at a form does
        not wait for that, so the methods below ask once."""
        return with_retries(operation, progress, self.retries)

    @abstractmethod
    def put(self, source: Path, key: str, progress: Progress) -> None:
        """Store the file ``source`` under ``key``, replacing what is there.

        The object is visible under its key only when it is complete. What a call has
        already stored that was killed, or that raised RetryableError, is used again.
        Raise ``Cancelled`` when the progress says so, or PermanentError, and leave
        nothing behind then. A kind only tells the two errors apart: ``with_retries``
        calls again.
        """

    @abstractmethod
    def put_bytes(self, data: bytes, key: str) -> None:
        """Store a small object, for example a manifest; visible only when complete."""

    def put_passing(self, data: bytes, key: str) -> None:
        """Store a small object that can be deleted at any time, also where all others
        get a lock."""
        self.put_bytes(data, key)

    def create(self, data: bytes, key: str) -> bool:
        """Store a small object unless there is one; tell whether it was stored. Of
        several who do so at once, only one is told so: where a kind cannot create
        exclusively, what was written is read back."""
        if self.stat(key) is not None:
            return False
        self.put_bytes(data, key)
        return self.peek(key, len(data) + 1) == data

    def peek(self, key: str, most: int) -> bytes | Unknown | None:
        """Return the first ``most`` bytes of an object, None when there is none, and
        ``UNKNOWN`` when the credentials may not tell."""
        if self.stat(key) is None:
            return None
        with self.open(key) as stream:
            return read_fully(stream, most)

    @abstractmethod
    def stat(self, key: str) -> StoredObject | None:
        """Return what is stored under ``key``, or None."""

    @abstractmethod
    def list(self) -> Iterator[StoredObject]:
        """Yield every complete object, in the order of their keys. Raise
        TooManyObjects when there are more than ``MOST_OBJECTS``."""

    def may_list(self) -> bool:
        """Tell whether the credentials may list. Raise what else keeps them from
        it."""
        return True

    def subfolders(self) -> Sequence[str] | None:
        """Return the names of the folders directly below this one, in order, or None
        where a kind has none. Raise TooManyObjects, as ``list``."""
        return None

    def subfolder(self, name: str) -> "Storage":
        """Return the storage of a folder directly below. Both may share a connection
        and a cancel: one thread uses them."""
        raise BadKey(key=name)

    @contextmanager
    def reporting_to(self, progress: Progress) -> Iterator[None]:
        """Meanwhile, let calls that have no progress of their own be cancelled by
        this one, where a kind can."""
        yield

    @abstractmethod
    def open(self, key: str, offset: int = 0) -> AbstractContextManager[BinaryIO]:
        """Open an object for reading from byte ``offset``."""

    def reader(self) -> "Storage | None":
        """Return a storage of the same objects from which another thread may read
        while this one does; None where only one can."""
        return None

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete an object. One that does not exist is no error."""

    def new_lock(self, periods: float = 1.0) -> Lock | None:
        """Return the lock of an object that is locked now, for so many times as long
        as the storage locks what it gets; None where it locks nothing."""
        return None

    def lock_of(self, key: str) -> Lock | None:
        """Return the lock of an object, ``FOR_EVER`` for one that somebody has to end;
        None when it has none, or its time is over, or the credentials may not know."""
        return None

    def extend_lock(self, key: str, lock: Lock) -> Lock:
        """Let an object have this lock, or the better one that it has already; return
        that. Raise CopyMissing, and LockRefused where the storage does not do it."""
        raise NotImplementedError(f"{type(self).__name__} locks nothing")

    @abstractmethod
    def probe(self) -> Capabilities:
        """Write, read back, list and delete a small object; return what is possible.

        Raise an error that names the missing right when writing or reading fails. A
        missing right to list or to delete is no error.
        """

    def require(self) -> None:  # noqa: B027 (optional: not every kind needs anything)
        """Raise PermanentError when something of this server is missing that the
        kind needs: a package, a program, what its operator has to configure. Nothing
        far away is asked."""

    def prepare(self) -> None:  # noqa: B027 (optional: most kinds need nothing)
        """Make what the storage needs before its first object. Called when it is
        configured, never by a backup: a directory that is gone may be a disk that is
        not mounted."""

    def check(self) -> None:  # noqa: B027 (optional)
        """Find out cheaply, without writing, what would make ``put`` fail. Raise it."""

    def discard_partial(self, key: str) -> None:  # noqa: B027 (optional: not every kind has one)
        """Remove what an interrupted ``put`` of ``key`` has left."""

    def free_space(self) -> int | None:
        """Return the bytes that can still be stored, or None when nobody knows."""
        return None

    def folder(self) -> Path | None:
        """Return the directory of this server that holds the objects, or None where
        they are elsewhere."""
        return None

    def local_path(self, key: str) -> Path | None:
        """Return where the object can be read as a file of this server, or None."""
        return None

    def download_url(
        self, key: str, filename: str, seconds: int, sha256: str = ""
    ) -> str | None:
        """Return an address from which a browser can download the object as
        ``filename`` for so many seconds, or None where the kind has no such thing, or
        has checksums of its own that do not prove the content with this ``sha256``
        (hexadecimal; "": whatever it is)."""
        return None

    def location(self, key: str) -> str:
        """Return where ``key`` is, in words that a person can use: a path or an
        address. That of the storage itself for ""."""
        return key

    def verify(self, key: str, size: int, sha256: str, progress: Progress) -> None:
        """Read the object back and compare it with what was sent (hexadecimal SHA-256).

        Raise Mismatch when it is missing or differs in size or in one bit.
        """
        found = self.stat(key)
        if found is None:
            raise CopyMissing(key=key)
        if found.size != size:
            raise SizeDiffers(key=key, size=found.size, expected=size)
        progress.expect(size)
        if self._digest(key, progress) != sha256:
            raise ContentDiffers(key=key)

    def _digest(self, key: str, progress: Progress) -> str:
        digest = hashlib.sha256()
        buffer = bytearray(CHUNK)
        view = memoryview(buffer)
        with self.open(key) as stream:
            while count := stream.readinto(buffer):  # type: ignore[attr-defined]
                digest.update(view[:count])
                progress.advance(count)
        return digest.hexdigest()
