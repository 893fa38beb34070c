"""Attachment files: read, checked and archived.

Their names are the SHA-1 of their content, and a file never changes after it was written
(Odoo 19, ``ir_attachment._get_path`` and ``_file_write``): that is what is checked here.
"""

import errno
import hashlib
import os
import re
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from .archive import ArchiveWriter, MemberStream, Prepared, prepare
from .checkpoints import checkpoint
from .deflate import TRIAL, Codec
from .progress import Progress

SMALL = 4 << 20  # bytes: read as a whole, in a thread
CHUNK = 1 << 20  # bytes
MAX_WORKERS = 4
NAMED = 200  # files of each kind of trouble that are named; the others are only counted
FOLDER = "filestore/"
STORE_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{40}")
UNREADABLE = (errno.EACCES, errno.EPERM, errno.EIO)


@dataclass(frozen=True)
class Attachment:
    """A file that the database refers to. ``store_fname`` is its path in the filestore,
    ``checksum`` the SHA-1 that the database has noted, ``size`` its bytes, and ``label`` says
    to a person which attachment it is."""

    store_fname: str
    checksum: str
    size: int
    label: str


@dataclass
class FilestoreReport:
    """What was archived, and what is wrong with the filestore."""

    files: int = 0
    bytes: int = 0
    missing: list[str] = field(default_factory=list)
    missing_count: int = 0
    damaged: list[str] = field(default_factory=list)
    damaged_count: int = 0
    unreadable: list[str] = field(default_factory=list)
    unreadable_count: int = 0

    def note(self, trouble: str, line: str) -> None:
        """Count one file as "missing", "damaged" or "unreadable", and name it."""
        setattr(self, f"{trouble}_count", getattr(self, f"{trouble}_count") + 1)
        names = getattr(self, trouble)
        if len(names) < NAMED:
            names.append(line)


@dataclass(frozen=True)
class _Read:
    """What became of one file in a worker: a member, or what kept it from being one."""

    attachment: Attachment
    prepared: Prepared | None = None
    large: bool = False
    trouble: str = ""
    reason: str = ""


def walk_filestore(root: Path) -> Iterator[Attachment]:
    """Yield every file of a filestore, for when there is no list of the ones in use."""
    for folder in sorted(root.glob("[0-9a-f][0-9a-f]")):
        for path in sorted(folder.iterdir()):
            name = f"{folder.name}/{path.name}"
            if STORE_NAME.fullmatch(name):
                yield Attachment(name, path.name, path.lstat().st_size, name)


def archive_filestore(
    writer: ArchiveWriter,
    root: Path,
    attachments: Iterable[Attachment],
    progress: Progress,
    *,
    workers: int | None = None,
) -> FilestoreReport:
    """Archive the files of the list under ``filestore/``, in its order, and report.

    What the writer already holds, because the run was interrupted, is not read again. A
    missing, damaged or unreadable file does not stop the others: a damaged one is archived as
    it is. Nothing outside ``root`` is read. Raise PermanentError when the archive cannot be
    written, and Cancelled.
    """
    report = FilestoreReport()
    count = workers or min(MAX_WORKERS, os.cpu_count() or 1)
    with ThreadPoolExecutor(count, "dfr_backup read") as pool:
        waiting: deque[Future[_Read]] = deque()
        try:
            for attachment in _without_archived(writer, attachments, report):
                waiting.append(pool.submit(_read, root, attachment, writer.codec))
                if len(waiting) >= 2 * count:
                    _add(writer, root, _result(waiting.popleft(), progress), report, progress)
            while waiting:
                _add(writer, root, _result(waiting.popleft(), progress), report, progress)
        finally:
            for future in waiting:
                future.cancel()
    return report


def _without_archived(
    writer: ArchiveWriter, attachments: Iterable[Attachment], report: FilestoreReport
) -> Iterator[Attachment]:
    """Leave out what an earlier attempt has archived, which is in the same order."""
    archived = (member for member in list_archived(writer))
    done = next(archived, None)
    for attachment in attachments:
        if done and done[0] == FOLDER + attachment.store_fname:
            report.files += 1
            report.bytes += done[1]
            done = next(archived, None)
        else:
            yield attachment


def list_archived(writer: ArchiveWriter) -> Iterator[tuple[str, int]]:
    """Yield (name, size) of the attachment files that the archive holds when this begins."""
    for member in writer.members():
        if member.name.startswith(FOLDER):
            yield member.name, member.size


def _result(future: "Future[_Read]", progress: Progress) -> _Read:
    while not wait([future], timeout=0.5).done:
        progress.tick()
    return future.result()


def _add(
    writer: ArchiveWriter, root: Path, read: _Read, report: FilestoreReport, progress: Progress
) -> None:
    if read.large:
        read = _stream(writer, root, read.attachment, progress)
    if read.prepared:
        writer.add_prepared(read.prepared)
        progress.advance(read.prepared.size)
        report.files += 1
        report.bytes += read.prepared.size
    elif read.large:
        report.files += 1
        report.bytes += read.attachment.size
    if read.trouble:
        report.note(read.trouble, f"{read.attachment.label}: {read.reason}")
    progress.tick()


def _read(root: Path, attachment: Attachment, codec: Codec) -> _Read:
    """Read, check and compress one small file. Runs in a worker thread."""
    name = attachment.store_fname
    try:
        with _open(root, name) as stream:
            if os.fstat(stream.fileno()).st_size > SMALL:
                return _Read(attachment, large=True)
            data = stream.read()
    except OSError as error:
        return _trouble(attachment, error)
    prepared = prepare(FOLDER + name, data, codec)
    if hashlib.sha1(data, usedforsecurity=False).hexdigest() == _sha1_of(name):
        return _Read(attachment, prepared)
    return _Read(attachment, prepared, trouble="damaged", reason=f"{name} has other content")


def _stream(
    writer: ArchiveWriter, root: Path, attachment: Attachment, progress: Progress
) -> _Read:
    """Archive one large file piece by piece."""
    name = attachment.store_fname
    checkpoint("filestore.large.begin")
    try:
        with _open(root, name) as stream:
            head = stream.read(TRIAL)
            stream.seek(0)
            compress = writer.codec.shrinks(head)
            with writer.stream_member(FOLDER + name, compress=compress) as member:
                digest = _copy(stream, member, progress)
    except OSError as error:
        return _trouble(attachment, error)
    if digest == _sha1_of(name):
        return _Read(attachment, large=True)
    return _Read(attachment, large=True, trouble="damaged", reason=f"{name} has other content")


def _copy(stream, member: MemberStream, progress: Progress) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    while data := stream.read(CHUNK):
        member.write(data)
        digest.update(data)
        progress.advance(len(data))
    return digest.hexdigest()


def _sha1_of(store_fname: str) -> str:
    return store_fname.rsplit("/", 1)[-1]


def _open(root: Path, store_fname: str):
    """Open a regular file below ``root``. The name comes from the database: nobody may lead us
    out of the filestore with it, nor with a link in it."""
    parts = Path(store_fname).parts
    if os.path.isabs(store_fname) or ".." in parts or not parts:
        raise FileNotFoundError(errno.ENOENT, "the name leads out of the filestore")
    folder = os.path.realpath(root / Path(*parts[:-1]))
    if not Path(folder).is_relative_to(os.path.realpath(root)):
        raise FileNotFoundError(errno.ENOENT, "the name leads out of the filestore")
    descriptor = os.open(
        os.path.join(folder, parts[-1]), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    )
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "not a regular file")
    return open(descriptor, "rb", buffering=0)


def _trouble(attachment: Attachment, error: OSError) -> _Read:
    kind = "unreadable" if error.errno in UNREADABLE else "missing"
    reason = f"{attachment.store_fname}: {error.strerror}"
    return _Read(attachment, trouble=kind, reason=reason)
