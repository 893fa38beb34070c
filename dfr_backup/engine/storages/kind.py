"""What all kinds of storage have in common, so that it stands once: keys are checked,
what goes wrong gets its words, transfers are held to their bandwidth, a cancel is
heard."""

import copy
import secrets
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar, final
from urllib.parse import SplitResult

from ..checkpoints import checkpoint
from ..errors import Cancelled, EngineError, PermanentError
from ..errors.storage import BadKey, NoRoom, NotPermitted, TooManyObjects
from ..messages import Message, Size
from ..progress import Progress
from . import doing
from .base import (
    MOST_OBJECTS,
    UNKNOWN,
    UNLIMITED,
    Capabilities,
    Storage,
    StoredObject,
    TransferLimits,
    Unknown,
    is_folder,
    is_key,
)
from .by_hand import ByHand
from .cancel import CancelCheck
from .probe import probe
from .rate_limit import RateLimit
from .source import size_of

ALMOST_NOTHING = 1 << 20  # bytes: a storage with less than this counts as full
PARTIAL = ".part"  # how names end of what is not complete
Entry = TypeVar("Entry")


class Settings(Protocol):
    """What is known of a storage, by names such as “directory”."""

    limits: TransferLimits
    server: Any
    """What the operator of this server has set: the module ``odoo_config``."""

    def value(self, name: str) -> Any:
        """Return a setting; "" where there is none."""

    def secret(self, name: str) -> str:
        """Return a secret; "" where there is none."""


class StorageKind(Storage):
    """A kind implements the methods that begin with an underscore, and overrides none
    that is final. The keys that they get can be names.

    What they raise is an EngineError, or something that ``_explain`` makes one of.
    While they wait they call ``_cancel`` at least every second; bytes pass through
    ``_spend``, unless the kind has something of its own that keeps to the limits.
    """

    def __init__(self, limits: TransferLimits = UNLIMITED):
        self._limits = limits
        self.retries = limits.retries
        self._cancel = CancelCheck()
        self._rate = RateLimit(limits.bandwidth)

    # === WHAT A KIND IMPLEMENTS === #

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: Settings) -> "StorageKind":
        """Return the storage that the settings describe. Raise PermanentError."""

    @classmethod
    def from_url(cls, url: SplitResult, environ: Mapping[str, str]) -> "StorageKind":
        """Return the storage that an address on the command line names; its path is
        plain text. What is secret comes from the environment. Raise PermanentError."""
        raise NotImplementedError(f"{cls.__name__} has no addresses")

    def by_hand(self) -> ByHand:
        """Return how a person reaches the storage without an Odoo that works."""
        return ByHand()

    def _explain(self, error: Exception, what: Message) -> EngineError | None:
        """Return what an error of this kind means, which came while it was asked to do
        ``what``; None for one that it does not know."""
        return None

    @abstractmethod
    def _put(self, source: Path, key: str, progress: Progress) -> None:
        """As ``put``; the progress knows the size already."""

    @abstractmethod
    def _put_bytes(self, data: bytes, key: str) -> None:
        """As ``put_bytes``."""

    def _create(self, data: bytes, key: str) -> bool:
        """As ``create``, where the kind has a better way."""
        # the way of all kinds has the public name
        return super().create(data, key)  # pylint: disable=super-method-mismatch

    @abstractmethod
    def _stat(self, key: str) -> StoredObject | None:
        """As ``stat``."""

    @abstractmethod
    def _list(self) -> Iterator[StoredObject]:
        """As ``list``; what was found of any sort goes through ``_bounded``."""

    def _subfolders(self) -> Iterable[str] | None:
        """As ``subfolders``, in any order, where the kind has folders; what was found
        of any sort goes through ``_bounded``."""
        return None

    @classmethod
    def has_folders(cls) -> bool:
        """Tell whether the kind has folders below the one that is its location."""
        return cls._subfolders is not StorageKind._subfolders

    def _enter(self, name: str) -> None:
        """Lead into a folder below from now on, where the kind has folders: the storage
        is a copy that shares everything else."""
        raise BadKey(key=name)

    @abstractmethod
    def _open(self, key: str, offset: int) -> AbstractContextManager[BinaryIO]:
        """As ``open``; the stream raises EngineErrors, too."""

    @abstractmethod
    def _delete(self, key: str) -> None:
        """As ``delete``."""

    def _discard_partial(self, key: str) -> None:
        """As ``discard_partial``, where a kind has such a thing."""

    def _require(self) -> None:
        """As ``require``."""

    def _prepare(self) -> None:
        """As ``prepare``."""

    def _check(self) -> None:
        """As ``check``."""

    def _free_space(self) -> int | None:
        """As ``free_space``."""
        return None

    def _local_path(self, key: str) -> Path | None:
        """As ``local_path``."""
        return None

    def _download_url(
        self, key: str, filename: str, seconds: int, sha256: str
    ) -> str | None:
        """As ``download_url``."""
        return None

    def _verify(self, key: str, size: int, sha256: str, progress: Progress) -> None:
        """As ``verify``, where the kind has a better way."""
        # pylint: disable-next=super-method-mismatch
        super().verify(key, size, sha256, progress)

    def _takes(self, key: str) -> bool:
        """Tell whether the kind has objects of that name: some know fewer letters."""
        return True

    def _hides(self, error: EngineError) -> bool:
        """Tell whether an error says only that the credentials may not know."""
        return False

    def _keeps(self, error: EngineError) -> bool:
        """Tell whether an error says that nothing may be deleted, for good."""
        return isinstance(error, PermanentError)

    # === THE CONTRACT === #

    @final
    def put(self, source: Path, key: str, progress: Progress) -> None:
        self._require_key(key)
        progress.expect(size_of(source))
        with self.reporting_to(progress), self._explained(doing.writing(key)):
            self._put(source, key, progress)

    @final
    def put_bytes(self, data: bytes, key: str) -> None:
        self._require_key(key)
        with self._explained(doing.writing(key)):
            self._put_bytes(data, key)

    @final
    def create(self, data: bytes, key: str) -> bool:
        self._require_key(key)
        with self._explained(doing.writing(key)):
            return self._create(data, key)

    @final
    def peek(self, key: str, most: int) -> bytes | Unknown | None:
        try:
            return super().peek(key, most)
        except EngineError as error:
            if self._hides(error):
                return UNKNOWN
            raise

    @final
    def stat(self, key: str) -> StoredObject | None:
        self._require_key(key)
        with self._explained(doing.looking_at(key)):
            return self._stat(key)

    @final
    def list(self) -> Iterator[StoredObject]:
        with self._explained(doing.LIST_DIRECTORY):
            yield from (found for found in self._list() if is_key(found.key))

    @final
    def may_list(self) -> bool:
        try:
            next(self.list(), None)
        except NotPermitted:
            return False
        return True

    @final
    def subfolders(self) -> Sequence[str] | None:
        with self._explained(doing.LIST_DIRECTORY):
            # pylint: disable-next=assignment-from-none
            names = self._subfolders()
            return None if names is None else sorted(filter(is_folder, set(names)))

    @final
    def subfolder(self, name: str) -> "StorageKind":
        if not is_folder(name):
            raise BadKey(key=name)
        below = copy.copy(self)
        below._enter(name)
        return below

    @final
    @contextmanager
    def open(self, key: str, offset: int = 0) -> Iterator[BinaryIO]:
        self._require_key(key)
        with ExitStack() as opened:
            with self._explained(doing.reading(key)):
                stream = opened.enter_context(self._open(key, offset))
            yield stream  # what the reader does meanwhile is not ours to explain

    @final
    def delete(self, key: str) -> None:
        self._require_key(key)
        with self._explained(doing.deleting(key)):
            checkpoint("storage.delete")
            self._delete(key)

    @final
    def probe(self) -> Capabilities:
        return self._probe(f"dfr_backup-probe-{secrets.token_hex(8)}")

    def _probe(self, key: str) -> Capabilities:
        """As ``probe``, with an object of this key."""
        return probe(self, key, self._deletes)

    @final
    def _deletes(self, key: str) -> bool:
        """Delete an object; tell whether that is allowed."""
        try:
            self.delete(key)
        except EngineError as error:
            if self._keeps(error):
                return False
            raise
        return True

    @final
    def require(self) -> None:
        self._require()

    @final
    def prepare(self) -> None:
        with self._explained(doing.MAKE_DIRECTORY):
            self._prepare()

    @final
    def check(self) -> None:
        with self._explained(doing.LOOK_AT_DIRECTORY):
            self._check()

    @final
    def discard_partial(self, key: str) -> None:
        self._require_key(key)
        with self._explained(doing.deleting(key + PARTIAL)):
            self._discard_partial(key)

    @final
    def free_space(self) -> int | None:
        with self._explained(doing.LOOK_AT_SPACE):
            return self._free_space()

    @final
    def local_path(self, key: str) -> Path | None:
        self._require_key(key)
        return self._local_path(key)

    @final
    def download_url(
        self, key: str, filename: str, seconds: int, sha256: str = ""
    ) -> str | None:
        self._require_key(key)
        return self._download_url(key, filename, seconds, sha256)

    @final
    def verify(self, key: str, size: int, sha256: str, progress: Progress) -> None:
        self._require_key(key)
        with self.reporting_to(progress), self._explained(doing.reading(key)):
            self._verify(key, size, sha256, progress)

    @final
    @contextmanager
    def reporting_to(self, progress: Progress) -> Iterator[None]:
        with self._cancel.by(progress.tick):
            yield

    # === WHAT A KIND USES === #

    @final
    def _require_key(self, key: str) -> None:
        if not is_key(key) or not self._takes(key):
            raise BadKey(key=key)

    @final
    @contextmanager
    def _explained(self, what: Message) -> Iterator[None]:
        """Let what is raised meanwhile leave as an EngineError."""
        try:
            yield
        except EngineError:
            raise
        except Exception as error:
            # pylint: disable-next=assignment-from-none
            explained = self._explain(error, what)  # kinds that know more say it
            if explained is None:
                raise
            raise explained from error

    @final
    def _spend(self, count: int) -> None:
        """Wait until ``count`` more bytes may pass. Raise Cancelled."""
        self._rate.spend(count, self._pause)

    @final
    def _require_space(self, needed: int, kind: type[NoRoom]) -> None:
        """Raise an error of this kind when less is free, as far as anybody knows."""
        free = self.free_space()
        if free is not None and free < needed:
            place = self.location("")
            raise kind(location=place, free=Size(free), needed=Size(needed))

    @final
    def _is_full(self) -> bool:
        """Tell whether nothing more fits: many servers say only that writing failed."""
        try:
            free = self.free_space()
        except Cancelled:
            raise
        except EngineError:
            return False
        return free is not None and free < ALMOST_NOTHING

    def _pause(self, seconds: float) -> None:
        time.sleep(seconds)
        self._cancel()

    @final
    def _bounded(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield what a list holds, while it is not too long. Raise TooManyObjects, or
        Cancelled."""
        for number, entry in enumerate(entries):
            if number == MOST_OBJECTS:
                raise TooManyObjects(location=self.location(""), most=MOST_OBJECTS)
            self._cancel()
            yield entry
