"""Whatever rclone reaches: a directory of a remote that the server's operator has
configured."""

import contextlib
import io
import json
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timezone
from functools import cached_property, partial
from pathlib import Path
from shlex import quote
from typing import Any, BinaryIO, cast

from ...checkpoints import checkpoint
from ...concurrency.process import Child
from ...errors import Cancelled, EngineError, PermanentError
from ...errors.fetch import FileGone
from ...errors.rclone import (
    RcloneFailed,
    RcloneNoRoom,
    RcloneNotADirectory,
    RemoteNotAllowed,
    StorageFull,
)
from ...messages import Joined, Message, _
from ...progress import Progress
from .. import doing
from ..base import LARGEST, StoredObject, TransferLimits, is_size
from ..by_hand import ByHand
from ..cancel import time_is_up
from ..kind import PARTIAL, Settings, StorageKind
from .errors import MISSING, Failed, explain, meaning_of
from .process import Rclone
from .rules import (
    RcloneConfig,
    checked_directory,
    checked_remote,
    is_plain,
    is_printable,
)

CLEAN_UP_SECONDS = 10.0  # a cancel must not wait for a server that is gone
NOTHING_THERE = (b"", b"null")  # how rclone says that a file is missing
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
LOCAL = "local"  # the kind of remote that is the whole file system of this server
READ_CONFIGURATION = Message(_("read the configuration"))
ASK_REMOTE = Message(_("query what the remote supports"))
TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)")


def _go_on() -> None:
    """The tick of a call that nobody can cancel."""


def list_remotes(
    config: RcloneConfig, cancel: Callable[[], object] = _go_on
) -> list[str]:
    """Return the names of the remotes that may be chosen. Raise an EngineError.

    Remotes of the kind “local” are left out: they reach every file of this server, and
    who administers a database does not administer the server. An alias remote reaches
    one directory.
    """
    rclone = Rclone(config, TransferLimits(timeout=20), cancel)
    rclone.version  # noqa: B018 (raises when it is too old)
    try:
        return sorted(name for name, kind in rclone.remotes().items() if kind != LOCAL)
    except Failed as failure:
        raise explain(failure, READ_CONFIGURATION, "rclone") from failure


class RcloneStorage(StorageKind):
    """Objects are files in one directory of a remote, which ``prepare`` makes.

    An upload gets a temporary name first, where the backend can rename; the others
    (object stores) show a file only when it is complete. rclone cannot go on with an
    interrupted upload.
    """

    def __init__(self, config: RcloneConfig, limits: TransferLimits):
        super().__init__(limits)
        self._remote = checked_remote(config.remote)
        self._directory = checked_directory(config.directory)
        self._config = config
        self._rclone = Rclone(config, limits, self._cancel)

    @classmethod
    def from_settings(cls, settings: Settings) -> "RcloneStorage":
        remote, directory = settings.value("remote"), settings.value("directory")
        config = settings.server.rclone_config(remote, directory)
        return cls(config, settings.limits)

    def _takes(self, key: str) -> bool:
        return is_printable(key)

    def _require(self) -> None:
        self._require_remote()

    def _explain(self, error: Exception, what: Message) -> EngineError | None:
        if isinstance(error, Failed):
            return explain(error, what, self._path())
        return None

    def location(self, key: str) -> str:
        folder = self._path()
        return f"rclone: {folder}{key if folder.endswith(':') else f'/{key}'}"

    def by_hand(self) -> ByHand:
        """The remote is one of the configuration of rclone, wherever that is then."""
        folder = self.location("").removeprefix("rclone: ")
        return ByHand(f'rclone copy {quote(folder)}"$1" files/')

    def _prepare(self) -> None:
        if self._features.get("CanHaveEmptyDirectories"):
            self._call("mkdir", self._path())

    def _check(self) -> None:
        if not self._features.get("CanHaveEmptyDirectories"):
            return
        path = self._path()
        shown = self._call("lsjson", path, options=["--stat"])
        if not self._told(shown, doing.LOOK_AT_DIRECTORY, dict).get("IsDir"):
            raise RcloneNotADirectory(location=path)

    def _put(self, source: Path, key: str, progress: Progress) -> None:
        size = progress.total
        self._require_space(size, RcloneNoRoom)
        self._store(
            source, key, PARTIAL, lambda sent: _advance(progress, min(sent, size))
        )
        _advance(progress, size)

    def _put_bytes(self, data: bytes, key: str) -> None:
        with tempfile.NamedTemporaryFile(prefix="dfr_backup-") as file:
            file.write(data)
            file.flush()
            ending = f".{secrets.token_hex(4)}{PARTIAL}"
            self._store(Path(file.name), key, ending, lambda _sent: None)

    def _stat(self, key: str) -> StoredObject | None:
        path = self._path(key)
        try:
            shown = self._call("lsjson", path, options=["--stat", "--no-mimetype"])
        except Failed as failure:
            if failure.status in MISSING:
                return None
            raise
        if shown.strip() in NOTHING_THERE:
            return None
        found = self._told(shown, doing.looking_at(key), dict)
        return None if found.get("IsDir") else self._stored(key, found)

    def _list(self) -> Iterator[StoredObject]:
        for name, found in sorted(self._entries("--files-only").items()):
            if not name.endswith(PARTIAL):
                yield self._stored(name, found)

    def _subfolders(self) -> Iterator[str]:
        return filter(is_plain, self._entries("--dirs-only"))

    def _enter(self, name: str) -> None:
        path = "/".join(filter(None, (self._directory, name)))
        self._directory = checked_directory(path)

    @contextmanager
    def _open(self, key: str, offset: int) -> Iterator[BinaryIO]:
        found = self.stat(key)
        if found is None:
            raise FileGone(file=key, folder=self._path())
        left = max(0, found.size - offset)
        explained = partial(self._explained, doing.reading(key))
        with self._rclone.stream(
            "cat", f"--offset={offset}", path=self._path(key)
        ) as child:
            yield cast(BinaryIO, _Stream(self._rclone, child, left, explained))

    def _delete(self, key: str) -> None:
        path = self._path(key)
        try:
            self._call("deletefile", path)
        except (Failed, EngineError):
            if self.stat(key) is not None:
                raise

    def _discard_partial(self, key: str) -> None:
        self._delete(key + PARTIAL)

    def _free_space(self) -> int | None:
        if not self._features.get("About"):
            return None
        shown = self._call("about", self._path(), options=["--json"])
        free = self._told(shown, doing.LOOK_AT_SPACE, dict).get("free")
        return min(free, LARGEST) if type(free) is int and free >= 0 else None

    @cached_property
    def _features(self) -> dict[str, bool]:
        """What the backend can, in rclone's words. Every call needs this first: here
        the remote is compared with those that are configured."""
        self._require_remote()
        with self._explained(ASK_REMOTE):
            shown = self._rclone.output(
                "backend", paths=["features", f"{self._remote}:"]
            )
        told = self._told(shown, ASK_REMOTE, dict).get("Features")
        features: dict[str, bool] = told if isinstance(told, dict) else {}
        return features

    def _require_remote(self) -> None:
        remotes = list_remotes(self._config, self._cancel)
        if self._remote not in remotes:
            names = Joined(remotes, ", ") or Message(_("none"))
            raise RemoteNotAllowed(remote=self._remote, remotes=names)

    def _path(self, key: str = "") -> str:
        return f"{self._remote}:{'/'.join(filter(None, (self._directory, key)))}"

    def _call(self, command: str, *paths: str, options: Sequence[str] = ()) -> bytes:
        """Return what a command prints. Raise Failed, or an EngineError."""
        self._features  # noqa: B018 (raises when the remote may not be used)
        return self._rclone.output(command, *options, paths=paths)

    def _told(self, shown: bytes, what: Message, kind: type[Any]) -> Any:
        """Return what rclone has said in JSON, a value of this kind. Raise
        RcloneFailed."""
        try:
            told = json.loads(shown)
        except (ValueError, RecursionError):
            told = None
        if isinstance(told, kind):
            return told
        answer = shown[:100].decode("utf-8", "replace")
        raise RcloneFailed(doing=what, location=self._path(), answer=answer)

    def _stored(self, key: str, entry: dict[str, Any]) -> StoredObject:
        """Return an object as rclone describes it; some backends know no size, which
        they call -1."""
        size = entry.get("Size")
        size = size if is_size(size) else 0
        return StoredObject(key, cast(int, size), _moment(entry.get("ModTime")))

    def _entries(self, kind: str) -> dict[str, dict[str, Any]]:
        try:
            options = [kind, "--no-mimetype"]
            shown = self._call("lsjson", self._path(), options=options)
        except Failed as failure:
            has_directories = self._features.get("CanHaveEmptyDirectories")
            if failure.status in MISSING and not has_directories:
                # in an object store, a directory is there once something is in it
                return {}
            raise
        return {
            entry["Name"]: entry
            for entry in self._bounded(self._told(shown, doing.LIST_DIRECTORY, list))
            if isinstance(entry, dict) and isinstance(entry.get("Name"), str)
        }

    def _store(
        self, source: Path, key: str, ending: str, report: Callable[[int], None]
    ) -> None:
        """Store a file under a temporary name, then under its key. Leave nothing
        behind when that fails for good."""
        self.check()
        moves = bool(self._features.get("Move"))
        before = None if moves else self.stat(key)
        try:
            with self._explained(doing.writing(key)):
                self._transfer(source, key, key + ending if moves else key, report)
                checkpoint("storage.put.written")
                if moves:
                    self._publish(key, key + ending)
        except (PermanentError, Cancelled):
            soon = time_is_up(CLEAN_UP_SECONDS)
            with self._cancel.by(soon), contextlib.suppress(EngineError):
                if moves:
                    self.delete(key + ending)
                elif (
                    self.stat(key) != before
                ):  # complete in the moment that it was cancelled
                    self.delete(key)
            raise

    def _transfer(
        self, source: Path, key: str, name: str, report: Callable[[int], None]
    ) -> None:
        try:
            self._rclone.transfer(source, self._path(name), report)
        except Failed as failure:
            if meaning_of(failure) is None and self._is_full():
                raise StorageFull(
                    doing=doing.writing(key), location=self._path(), log=failure.text
                ) from failure
            raise

    def _publish(self, key: str, partial: str) -> None:
        paths = self._path(partial), self._path(key)
        checkpoint("storage.rename.before")
        self._call("moveto", *paths, options=["--ignore-times"])
        checkpoint("storage.rename.after")


class _Stream(io.RawIOBase):
    """What ``rclone cat`` prints: exactly ``left`` bytes, or an error."""

    def __init__(
        self,
        rclone: Rclone,
        child: Child,
        left: int,
        explained: Callable[[], AbstractContextManager[None]],
    ):
        super().__init__()
        self._rclone = rclone
        self._explained = explained
        self._child = child
        self._left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a part of ``buffer``. Return 0 at the end of the file, once rclone
        has ended well. Raise an EngineError."""
        if not len(buffer):
            return 0
        self._rclone.wait_for_output(self._child)
        count = os.readv(self._child.stdout, [buffer])
        self._left -= count
        if not count:
            self._finish()
        return count

    def _finish(self) -> None:
        with self._explained():
            self._rclone.finish(self._child)
            if self._left:
                raise Failed(1, f"EOF, {self._left} bytes away from the end")


def _advance(progress: Progress, done: int) -> None:
    progress.advance(max(0, done - progress.done))


def _moment(told: object) -> datetime:
    """Return the time of a file, which some backends do not know."""
    found = TIME.match(told) if isinstance(told, str) else None
    if not found:
        return EPOCH
    try:
        return datetime.fromisoformat(found[1] + found[2].replace("Z", "+00:00"))
    except ValueError:
        return EPOCH
