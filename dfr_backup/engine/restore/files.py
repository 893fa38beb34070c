"""Files of an archive, unpacked where nothing was: the filestore, and custom addons."""

import ctypes
import errno
import hashlib
import os
import re
import resource
import secrets
import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from ..archive.reader import ADDONS, FILESTORE, Archive, Listed, batches_of, not_as_listed
from ..archive.zipdirectory import refused
from ..archive.zipreader import ZipReader
from ..background import Background
from ..checkpoints import checkpoint
from ..crew import Crew
from ..directread import forget_cached
from ..errors import PermanentError
from ..progress import Progress

NAMED_BY_CONTENT = re.compile(r"[0-9a-f]{2}/([0-9a-f]{40})")
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
NAMED = 200  # damaged files that are named; the others are only counted
BEHIND = 256  # files that are still open while the disk takes them
_libc = ctypes.CDLL(None, use_errno=True)
FULL = "Free some space there and restore again. Nothing of this restore was kept."


@dataclass(frozen=True)
class Unpacked:
    """How many files were written, and their bytes. ``damaged`` names those that were no longer
    what their name says when they were archived: the archive is not to blame for them."""

    files: int
    bytes: int
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True)
class UnpackedAddons:
    """The addons that were unpacked, and those that were there already and were not touched."""

    unpacked: tuple[str, ...]
    skipped: tuple[str, ...]


def extract_filestore(
    archive: Archive,
    target: Path,
    progress: Progress,
    *,
    workers: int | None = None,
    durable: bool = True,
) -> Unpacked:
    """Write the attachment files to ``target``, a directory that must not exist yet.

    See ``FilestoreExtraction``, which does it while something else is done.
    """
    with FilestoreExtraction(archive, target, workers=workers, durable=durable) as extraction:
        return extraction.finish(progress)


class FilestoreExtraction:
    """The attachment files, written to ``target`` by threads of their own.

    ``target`` is a directory that must not exist yet. Use as a context manager around the work
    that is done meanwhile, and call ``finish`` in it: leaving it earlier ends the threads. What
    was written until then stays for the caller to remove. Files that are ``durable`` are on the
    disk in the end; those of a drill need not be.

    The CRC-32 of each file is compared, its SHA-256 with the list in the archive, and its SHA-1
    with its name: unless the archive says that they agreed.
    """

    def __init__(
        self,
        archive: Archive,
        target: Path,
        *,
        workers: int | None = None,
        durable: bool = True,
    ):
        self._archive = archive
        self._target = target
        self._workers = workers
        self._durable = durable
        self._work = Background(self._extract, "dfr_backup filestore")

    def __enter__(self) -> "FilestoreExtraction":
        self._work.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._work.__exit__(*exc_info)

    def raise_error(self) -> None:
        """Raise what has ended the threads, if anything has: EngineError."""
        self._work.raise_error()

    def finish(self, progress: Progress) -> Unpacked:
        """Wait for the end, and report to ``progress`` what is done meanwhile and was before.

        A file whose SHA-1 is not its name is written and named in a warning. Raise
        PermanentError, and Cancelled.
        """
        checkpoint("restore.filestore.begin")
        progress.expect(self._archive.describe().file_bytes)
        done = self._work.finish(lambda written: progress.advance(written - progress.done))
        progress.advance(done.bytes - progress.done)
        if done.damaged:
            progress.warn(
                f"{len(done.damaged)} attachment files were damaged before they were saved:\n"
                + "\n".join(done.damaged[:NAMED])
            )
        checkpoint("restore.filestore.end")
        return done

    # === IN THE THREADS === #

    def _extract(self, progress: Progress) -> Unpacked:
        with _explained(self._target):
            self._target.mkdir(parents=True)
        crew = Crew(progress, self._workers)
        reader, names_tell = self._archive.reader, not self._archive.names_are_proven()
        behind = WriteBehind(_files_behind() if self._durable else 0)
        unpacker = _Unpacker(
            reader, FILESTORE, self._target, crew, behind=behind, names_tell=names_tell
        )
        # here, where nobody waits for the disk yet
        with reaching_the_disk(self._target) if self._durable else nullcontext():
            return unpacker.unpack(self._archive.attachments())


def unpack_addons(archive: Archive, target: Path, progress: Progress) -> UnpackedAddons:
    """Unpack the custom addons into the directory ``target``, beside what is there.

    An addon that is there already is left as it is. Raise PermanentError, and Cancelled, and
    leave nothing behind then.
    """
    description = archive.describe()
    progress.expect(description.addon_bytes)
    folder = target / f".dfr_restore_{secrets.token_hex(6)}"
    try:
        with _explained(target):
            folder.mkdir(parents=True)
        unpacker = _Unpacker(archive.reader, ADDONS, folder, Crew(progress))
        with reaching_the_disk(folder):
            unpacker.unpack(archive.addon_files())
        with _explained(target):
            moved = [name for name in description.addons if _move(folder / name, target / name)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    skipped = [name for name in description.addons if name not in moved]
    return UnpackedAddons(tuple(moved), tuple(skipped))


def _move(source: Path, target: Path) -> bool:
    if os.path.lexists(target):
        return False
    source.rename(target)
    return True


class WriteBehind:
    """Lets files go to the disk while the next are written, and then out of the page cache.

    Else gigabytes wait there until all of them go at once, and who writes something else waits
    for them: PostgreSQL, say. The last ``most`` files are kept open, as only what has reached the
    disk leaves the cache. With 0 this does nothing but close them. Use as a context manager;
    threads may share it.
    """

    def __init__(self, most: int):
        self._most = most
        self._files: deque[int] = deque()

    def __enter__(self) -> "WriteBehind":
        return self

    def __exit__(self, kind: type[BaseException] | None, *others: object) -> None:
        """Close what is still open: all of it, also when the disk refuses one of them. Raise
        OSError then, unless there is an error already."""
        failed: OSError | None = None
        while self._files:
            try:
                self._shrink(len(self._files) - 1)
            except OSError as error:
                failed = failed or error
        if failed and kind is None:
            raise failed

    def close(self, file: int) -> None:
        """Close an open file, now or later. Raise OSError."""
        if not self._most:
            os.close(file)
            return
        forget_cached(file)  # which begins to write what is not on the disk
        self._files.append(file)
        self._shrink(self._most)

    def _shrink(self, most: int) -> None:
        while len(self._files) > most:
            with suppress(IndexError):  # another thread may have been faster
                file = self._files.popleft()
                forget_cached(file)
                os.close(file)


class _Unpacker:
    """Writes members below ``root``, under their names without ``prefix``. ``names_tell``: where
    a name is a SHA-1, the content is compared with it."""

    def __init__(
        self,
        reader: ZipReader,
        prefix: str,
        root: Path,
        crew: Crew,
        *,
        behind: "WriteBehind | None" = None,
        names_tell: bool = False,
    ):
        self._reader = reader
        self._prefix = prefix
        self._root = root
        self._crew = crew
        self._behind = behind or WriteBehind(0)
        self._names_tell = names_tell
        self._owner = _heir(root)
        if self._owner:
            os.chown(root, *self._owner)

    def unpack(self, members: Iterator[Listed]) -> Unpacked:
        files, size, damaged = 0, 0, []
        with _explained(self._root), self._behind:
            for batch in self._crew.map(self._unpack_batch, batches_of(members)):
                files += batch.files
                size += batch.bytes
                damaged += batch.damaged
        return Unpacked(files, size, tuple(damaged))

    def _unpack_batch(self, batch: list[Listed]) -> Unpacked:
        damaged = []
        members = self._reader.members([listed.entry for listed in batch])
        for (entry, pieces), listed in zip(members, batch, strict=True):
            name = entry.name.removeprefix(self._prefix)
            digests = _Digests(listed.sha256, _sha1_of(name) if self._names_tell else None)
            with _explained(self._root):
                self._write(name, pieces, digests)
            if not digests.as_listed():
                raise not_as_listed(entry)
            if not digests.as_named():
                damaged.append(name)
        return Unpacked(len(batch), sum(listed.entry.size for listed in batch), tuple(damaged))

    def _write(self, name: str, pieces: Iterator[bytes], digests: "_Digests") -> None:
        file = self._create(name)
        try:
            if self._owner:
                os.fchown(file, *self._owner)
            for piece in pieces:
                digests.update(piece)
                _write_all(file, piece)
                self._crew.count(len(piece))
        finally:
            self._behind.close(file)

    def _create(self, name: str) -> int:
        path = f"{self._root}/{name}"
        try:
            return os.open(path, CREATE, 0o666)
        except FileNotFoundError:
            self._make_folders(name)
            return os.open(path, CREATE, 0o666)
        except FileExistsError as error:
            raise refused(f"“{name}” is in it twice") from error

    def _make_folders(self, name: str) -> None:
        folder = self._root
        for part in name.split("/")[:-1]:
            folder = folder / part
            with suppress(FileExistsError):  # another thread may have been faster
                folder.mkdir()
                if self._owner:
                    os.chown(folder, *self._owner)


def _sha1_of(name: str) -> str | None:
    """Return the SHA-1 of a file that is named by its content."""
    found = NAMED_BY_CONTENT.fullmatch(name)
    return found[1] if found else None


class _Digests:
    """Those of a file that are known beforehand: its SHA-256 by the list in the archive, and the
    SHA-1 that is its name."""

    def __init__(self, sha256: str | None, sha1: str | None):
        known = {"sha256": sha256, "sha1": sha1}
        self._expected = {kind: digest for kind, digest in known.items() if digest is not None}
        self._digests = {kind: hashlib.new(kind, usedforsecurity=False) for kind in self._expected}

    def update(self, piece: bytes) -> None:
        for digest in self._digests.values():
            digest.update(piece)

    def as_listed(self) -> bool:
        return self._agrees("sha256")

    def as_named(self) -> bool:
        return self._agrees("sha1")

    def _agrees(self, kind: str) -> bool:
        digest = self._digests.get(kind)
        return digest is None or digest.hexdigest() == self._expected[kind]


def _heir(path: Path) -> tuple[int, int] | None:
    """Return (user, group) to whom files made by root are to belong: Odoo must be able to use
    them, and whose the directory around is, is whose Odoo runs as. None for anybody else."""
    if os.geteuid():
        return None
    around = path.parent.stat()
    return around.st_uid, around.st_gid


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


@contextmanager
def reaching_the_disk(folder: Path) -> Iterator[None]:
    """Let everything that is written meanwhile to the file system of ``folder`` reach the disk.

    Raise PermanentError when the disk has not taken it. The folder is open all the while, because
    syncfs(2) reports the errors since then (Linux 5.8 or newer; older ones none).
    """
    with _explained(folder):
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield
        with _explained(folder):
            _sync(file)
    finally:
        os.close(file)


def _sync(file: int) -> None:
    syncfs = getattr(_libc, "syncfs", None)
    if syncfs is not None and syncfs(file) == 0:
        return
    code = ctypes.get_errno()
    if syncfs is None or code in (errno.ENOSYS, errno.EPERM):
        os.sync()
    else:
        raise OSError(code, os.strerror(code))


def _files_behind() -> int:
    """Return how many files may stay open: 0 where that is of no use."""
    if not hasattr(os, "posix_fadvise"):
        return 0
    most, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return BEHIND if most == resource.RLIM_INFINITY else min(BEHIND, most // 4)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise PermanentError(
            f"{error.filename} exists already.",
            hint="Choose another name, or look whether it is still needed: a restore never "
            "writes over files.",
        ) from error
    except OSError as error:
        raise PermanentError(
            f"Files cannot be written in {folder}: {error.strerror}.",
            hint=FULL
            if shutil.disk_usage(_existing(folder)).free < 1 << 20
            else "Check that directory: its disk, and whether Odoo may write there.",
            log=str(error),
        ) from error


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())
