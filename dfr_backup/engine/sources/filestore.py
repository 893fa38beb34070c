"""Attachment files: read, checked and archived.

Their names are the SHA-1 of their content, and a file never changes after it was
written (Odoo 19, ``ir_attachment._get_path`` and ``_file_write``): that is what is
checked here.
"""

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..archive.deflate import Codec
from ..archive.disk import read_up_to
from ..archive.prepared import SMALL, Prepared, prepare
from ..archive.zip_format import Member
from ..checkpoints import checkpoint
from ..concurrency.cores import usable_cores
from ..concurrency.worker_pool import WorkerPool, batches
from ..errors import reason_of
from ..fileio.page_cache import Passage, advise
from ..messages import Message, _
from ..progress import Progress
from .filestore_directory import FilestoreDirectory

MAX_WORKERS = 4
# A task of a worker: one file each costs more in handing over than in reading
# (measured).
BATCH_FILES = 64
BATCH_BYTES = 2 << 20
AHEAD = 2  # tasks per worker: each holds what it has read until it is written
ROOM = (
    BATCH_BYTES + SMALL
)  # bytes of a task in memory at once, whatever the database claims
UNKNOWN_SIZE = (
    64 << 10
)  # bytes: what a file counts for whose size the database does not know
NAMED = 200  # files of each kind of trouble that are named; the others are only counted
LISTED = 2000  # files in trouble that are listed for a repair
FOLDER = "filestore/"
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL)
IRREGULAR = (errno.ELOOP, errno.ENXIO, errno.EISDIR)  # a link, a socket, a directory
OTHER_CONTENT = _("%(file)s has other content")
NOT_REGULAR = _("not a regular file")
LINE = _("%(file)s: %(reason)s")


class FileWriter(Protocol):
    """What attachment files are written to: an ``ArchiveWriter``, whose methods have
    these names, or something that chooses between several."""

    codec: Codec

    def noted(self) -> Iterator[tuple[Member, str]]: ...

    def add_prepared(self, prepared: Prepared) -> None: ...

    def add_file(
        self,
        name: str,
        file: int,
        size: int,
        *,
        digests: Sequence[Any] = (),
        note: Callable[[], str] = str,
        advance: Callable[[int], object] = lambda count: None,
    ) -> int: ...


class Attachment(NamedTuple):
    """A file that the database refers to. ``store_fname`` is its path in the
    filestore, ``checksum`` the SHA-1 that the database has noted, ``size`` its
    bytes, and ``label`` says to a person which attachment it is.

    A tuple, because there may be a million of them.
    """

    store_fname: str
    checksum: str
    size: int
    label: str


@dataclass(frozen=True)
class FileIssue:
    """A file that is not good: ``kind`` is "missing", "damaged" or "unreadable"."""

    store_fname: str
    kind: str
    reason: Message


@dataclass
class FilestoreReport:
    """What was archived, and what is wrong with the filestore: the first ``LISTED``
    files in ``troubles``, and by kind numbers and lines to read."""

    files: int = 0
    bytes: int = 0
    missing: list[Message] = field(default_factory=list)
    missing_count: int = 0
    damaged: list[Message] = field(default_factory=list)
    damaged_count: int = 0
    unreadable: list[Message] = field(default_factory=list)
    unreadable_count: int = 0
    troubles: list[FileIssue] = field(default_factory=list)

    @property
    def lists_all(self) -> bool:
        """Tell whether ``troubles`` has every file that is not good."""
        whole = self.missing_count + self.damaged_count + self.unreadable_count
        return len(self.troubles) == whole

    def add(self, size: int) -> None:
        """Count one archived file."""
        self.files += 1
        self.bytes += size

    def note(
        self, kind: str, attachment: Attachment, reason: Message | None = None
    ) -> None:
        """Count one file as "missing", "damaged" or "unreadable", and name it."""
        reason = reason or Message(OTHER_CONTENT, file=attachment.store_fname)
        setattr(self, f"{kind}_count", getattr(self, f"{kind}_count") + 1)
        names = getattr(self, kind)
        if len(names) < NAMED:
            names.append(Message(LINE, file=attachment.label, reason=reason))
        if len(self.troubles) < LISTED:
            self.troubles.append(FileIssue(attachment.store_fname, kind, reason))


@dataclass(frozen=True)
class _Read:
    """What became of one file in a worker: a member, or too large for one, or in
    trouble."""

    attachment: Attachment
    prepared: Prepared | None = None
    large: bool = False
    trouble: str = ""
    reason: Message | None = None


def walk_filestore(root: Path) -> Iterator[Attachment]:
    """Yield every file of a filestore, for when there is no list of the ones in use.

    A folder that cannot be read is yielded itself, so that it is reported as
    unreadable.
    """
    for folder in sorted(_names(root, "[0-9a-f]{2}")):
        try:
            names = sorted(_names(root / folder, "[0-9a-f]{40}"))
        except OSError:
            yield Attachment(folder, "", 0, folder)
            continue
        for name in names:
            size = _size(f"{root}/{folder}/{name}")
            yield Attachment(f"{folder}/{name}", name, size, f"{folder}/{name}")


def _size(path: str) -> int:
    """Return the bytes of a file, 0 when it cannot be asked: reading it will tell
    why."""
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


def _names(folder: Path, pattern: str) -> list[str]:
    """Return the names in a folder that are like ``pattern``; none when it is not
    there."""
    try:
        return [name for name in os.listdir(folder) if re.fullmatch(pattern, name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def archive_filestore(
    writer: FileWriter,
    root: Path,
    attachments: Iterable[Attachment],
    progress: Progress,
    *,
    workers: int | None = None,
) -> FilestoreReport:
    """Archive the files of the list under ``filestore/``, in its order, and report.

    What the writer already holds, because the run was interrupted, is not read again;
    the list is then in the same order as before. A missing, damaged or unreadable file
    does not stop the others: a damaged one is archived as it is. Nothing outside
    ``root`` is read. Raise PermanentError when the archive cannot be written, and
    Cancelled.
    """
    report = FilestoreReport()
    store = FilestoreDirectory(root)
    left = _without_archived(writer, attachments, report, progress)
    for read in _read_ahead(store, left, writer.codec, progress, workers):
        done = (
            _stream(writer, store, read.attachment, progress, report)
            if read.large
            else read
        )
        if done.prepared:
            writer.add_prepared(done.prepared)
            report.add(done.prepared.size)
            progress.advance(done.prepared.size)
        if done.trouble:
            report.note(done.trouble, done.attachment, done.reason)
    return report


# === WHAT IS LEFT TO DO === #


def _without_archived(
    writer: FileWriter,
    attachments: Iterable[Attachment],
    report: FilestoreReport,
    progress: Progress,
) -> Iterator[Attachment]:
    """Leave out what an earlier attempt has archived, but report it."""
    archived = _Archived(writer)
    for attachment in attachments:
        found = archived.find(FOLDER + attachment.store_fname)
        if found is None:
            yield attachment
            continue
        size, note = found
        report.add(size)
        progress.advance(size)
        if note:
            report.note("damaged", attachment)


class _Archived:
    """The attachment files that the archive held when this began, read beside the list.

    Both are in the same order, so one member at a time is enough. Only what the list
    does not have where it was expected is kept in memory.
    """

    def __init__(self, writer: FileWriter):
        self._members = (
            (member.name, (member.size, note))
            for member, note in writer.noted()
            if member.name.startswith(FOLDER)
        )
        self._next = next(self._members, None)
        self._passed: dict[str, tuple[int, str]] = {}

    def find(self, name: str) -> tuple[int, str] | None:
        """Return (bytes, note) of the member ``name``, or None when it is not there."""
        while self._next and self._next[0] < name:
            self._step()
        if self._next and self._next[0] == name:
            self._step()
        return self._passed.pop(name, None)

    def _step(self) -> None:
        if self._next:
            self._passed[self._next[0]] = self._next[1]
            self._next = next(self._members, None)


# === READING === #


def _read_ahead(
    store: FilestoreDirectory,
    attachments: Iterable[Attachment],
    codec: Codec,
    progress: Progress,
    workers: int | None,
) -> Iterator[_Read]:
    """Yield what became of each file, in order, while threads read the next ones."""
    # one more than there are cores: each waits for the disk or for Python at times
    # (measured)
    count = workers or min(MAX_WORKERS, usable_cores() + 1)
    pool = WorkerPool(progress, count, ahead=AHEAD)
    tasks = batches(attachments, _expected_size, BATCH_FILES, BATCH_BYTES)
    for reads in pool.map(lambda batch: _read_batch(store, batch, codec), tasks):
        yield from reads


def _expected_size(attachment: Attachment) -> int:
    return attachment.size or UNKNOWN_SIZE


def _read_batch(
    store: FilestoreDirectory, batch: list[Attachment], codec: Codec
) -> list[_Read]:
    """Read, check and compress some files. Runs in a worker thread.

    All are opened before the first is read, so that the disk works on all of them at
    once.
    """
    reads = []
    room = ROOM
    with ExitStack() as files:
        for opened in [_begin(files, store, attachment) for attachment in batch]:
            read = opened if isinstance(opened, _Read) else _read(opened, codec, room)
            room -= read.prepared.size if read.prepared else 0
            reads.append(read)
    return reads


@dataclass(frozen=True)
class _Opened:
    attachment: Attachment
    file: int
    size: int


def _begin(
    files: ExitStack, store: FilestoreDirectory, attachment: Attachment
) -> "_Opened | _Read":
    try:
        file, size = store.open(attachment.store_fname, files)
        if size <= ROOM:  # a larger one is read later, and piece by piece
            files.enter_context(Passage(file))
            advise(file, "WILLNEED", 0, SMALL)
        return _Opened(attachment, file, size)
    except OSError as error:
        return _trouble(attachment, error)


def _read(opened: _Opened, codec: Codec, room: int) -> _Read:
    attachment = opened.attachment
    name = attachment.store_fname
    if opened.size > room:
        return _Read(attachment, large=True)
    try:
        data = read_up_to(opened.file, opened.size)
    except OSError as error:
        return _trouble(attachment, error)
    trouble = _compared(name, hashlib.sha1(data, usedforsecurity=False).hexdigest())
    prepared = prepare(FOLDER + name, data, codec, note=trouble)
    return _Read(attachment, prepared, trouble=trouble)


def _stream(
    writer: FileWriter,
    store: FilestoreDirectory,
    attachment: Attachment,
    progress: Progress,
    report: FilestoreReport,
) -> _Read:
    """Archive one large file piece by piece."""
    name = attachment.store_fname
    sha1 = hashlib.sha1(usedforsecurity=False)
    checkpoint("filestore.large.begin")
    try:
        with ExitStack() as files:
            file, size = store.open(name, files)
            added = writer.add_file(
                FOLDER + name,
                file,
                size,
                digests=[sha1],
                note=lambda: _compared(name, sha1.hexdigest()),
                advance=progress.advance,
            )
    except OSError as error:
        return _trouble(attachment, error)
    report.add(added)
    return _Read(attachment, trouble=_compared(name, sha1.hexdigest()))


def _compared(store_fname: str, sha1: str) -> str:
    """Return what is wrong with the content: "damaged", or ""."""
    return "" if store_fname.rsplit("/", 1)[-1] == sha1 else "damaged"


def _trouble(attachment: Attachment, error: OSError) -> _Read:
    kind = "missing" if error.errno in ABSENT + IRREGULAR else "unreadable"
    what = Message(NOT_REGULAR) if error.errno in IRREGULAR else reason_of(error)
    reason = Message(LINE, file=attachment.store_fname, reason=what)
    return _Read(attachment, trouble=kind, reason=reason)
