"""Files of an archive, unpacked where nothing was: the filestore, and custom addons."""

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..archive.reader import Archive, Listed, as_listed, batches_of
from ..archive.zip_directory import TWICE, Entry, refused
from ..archive.zip_reader import ZipReader
from ..checkpoints import checkpoint
from ..concurrency.background import Background
from ..concurrency.worker_pool import WorkerPool
from ..errors import PermanentError
from ..manifest.names import ADDONS, FILESTORE
from ..messages import Message, _
from ..packs.gathering import GatheredPacks
from ..packs.names import digest_of
from ..packs.reading import Part
from ..progress import Progress
from .write_behind import WriteBehind, explained, files_behind, reaching_the_disk

NAMED_BY_CONTENT = re.compile(r"[0-9a-f]{2}/([0-9a-f]{40})")
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
DAMAGED = _(
    "%(count)s attachment files were damaged before they were saved:\n%(names)s"
)
RESCUED = _(
    "%(count)s attachment files are lost in the packs of this backup, and were taken "
    "from other packs."
)
LACKS = _("%(count)s attachment files are lost, and are not restored:\n%(names)s")
NAMED = 200  # damaged files that are named; the others are only counted


@dataclass(frozen=True)
class Unpacked:
    """How many files were written, and their bytes. ``damaged`` names those that
    were no longer what their name says when they were archived: the archive is not
    to blame for them. ``rescued`` were lost in the packs of the backup, and other packs
    had them; of ``lost``, none had them."""

    files: int = 0
    bytes: int = 0
    damaged: tuple[str, ...] = ()
    rescued: int = 0
    lost: tuple[str, ...] = ()

    def __add__(self, other: "Unpacked") -> "Unpacked":
        return Unpacked(
            self.files + other.files,
            self.bytes + other.bytes,
            self.damaged + other.damaged,
            self.rescued + other.rescued,
            self.lost + other.lost,
        )


@dataclass(frozen=True)
class UnpackedAddons:
    """The addons that were unpacked, and those that were there already and were not
    touched."""

    unpacked: tuple[str, ...]
    skipped: tuple[str, ...]


class FilestoreExtraction:
    """The attachment files, written to ``target`` by threads of their own.

    ``target`` is a directory that must not exist yet. Use as a context manager around
    the work that is done meanwhile, and call ``finish`` in it: leaving it earlier ends
    the threads. What was written until then stays for the caller to remove. Files that
    are ``durable`` are on the disk in the end; those of a drill need not be.

    The CRC-32 of each file is compared, its SHA-256 with the list in the archive, and
    its SHA-1 with its name: unless the archive says that they agreed. Of an incremental
    backup, most are in its ``packs``. What is damaged there is taken from other packs
    that have it; files that none has end this, unless the target ``may_lack`` them.
    """

    def __init__(
        self,
        archive: Archive,
        target: Path,
        *,
        packs: GatheredPacks | None = None,
        may_lack: bool = False,
        workers: int | None = None,
        durable: bool = True,
    ):
        self._archive = archive
        self._target = target
        self._packs = packs
        self._may_lack = may_lack
        self.lacking = 0  # files of the backup that are nowhere, in the end
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

    @property
    def written(self) -> int:
        """How many bytes were written so far."""
        return self._work.done

    def finish(self, progress: Progress) -> Unpacked:
        """Wait for the end, and report to ``progress`` what is done meanwhile and was
        before.

        A file whose SHA-1 is not its name is written and named in a warning. Raise
        PermanentError, and Cancelled.
        """
        checkpoint("restore.filestore.begin")
        progress.expect(self._archive.describe().file_bytes)
        done = self._work.finish(
            lambda written: progress.advance(written - progress.done)
        )
        progress.advance(done.bytes - progress.done)
        if done.damaged:
            names = "\n".join(done.damaged[:NAMED])
            progress.warn(Message(DAMAGED, count=len(done.damaged), names=names))
        if done.rescued:
            progress.warn(Message(RESCUED, count=done.rescued))
        self.lacking = self._packs.count_lost(done.lost) if self._packs else 0
        if self.lacking:
            names = "\n".join(done.lost[:NAMED])
            progress.warn(Message(LACKS, count=self.lacking, names=names))
        checkpoint("restore.filestore.end")
        return done

    # === IN THE THREADS === #

    def _extract(self, progress: Progress) -> Unpacked:
        with explained(self._target):
            self._target.mkdir(parents=True)
        pool = WorkerPool(progress, self._workers)
        reader, names_tell = self._archive.reader, not self._archive.names_are_proven()
        behind = WriteBehind(files_behind() if self._durable else 0)
        unpacker = _Unpacker(FILESTORE, self._target, pool, behind)
        # here, where nobody waits for the disk yet
        disk = reaching_the_disk(self._target, progress.tick)
        with disk if self._durable else nullcontext():
            own = self._archive.attachments()
            done = unpacker.unpack(reader, own, names_tell=names_tell)
            if self._packs:
                done += unpacker.unpack_packs(self._packs, progress)
                error = self._packs.lost_error(done.lost)
                if error and not self._may_lack:
                    raise error
            return done


def unpack_addons(archive: Archive, target: Path, progress: Progress) -> UnpackedAddons:
    """Unpack the custom addons into the directory ``target``, beside what is there.

    An addon that is there already is left as it is. Raise PermanentError, and
    Cancelled, and leave nothing behind then.
    """
    description = archive.describe()
    progress.expect(description.addon_bytes)
    folder = target / f".dfr_restore_{secrets.token_hex(6)}"
    try:
        with explained(target):
            folder.mkdir(parents=True)
        unpacker = _Unpacker(ADDONS, folder, WorkerPool(progress), WriteBehind(0))
        with reaching_the_disk(folder, progress.tick):
            unpacker.unpack(archive.reader, archive.addon_files())
        with explained(target):
            moved = [
                name
                for name in description.addons
                if _move(folder / name, target / name)
            ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    skipped = [name for name in description.addons if name not in moved]
    return UnpackedAddons(tuple(moved), tuple(skipped))


def _move(source: Path, target: Path) -> bool:
    if os.path.lexists(target):
        return False
    source.rename(target)
    return True


class _Unpacker:
    """Writes members below ``root``, under their names without ``prefix``."""

    def __init__(self, prefix: str, root: Path, pool: WorkerPool, behind: WriteBehind):
        self._prefix = prefix
        self._root = root
        self._pool = pool
        self._behind = behind
        self._owner = _parent_owner(root)
        if self._owner:
            os.chown(root, *self._owner)

    def unpack(
        self, reader: ZipReader, members: Iterator[Listed], *, names_tell: bool = False
    ) -> Unpacked:
        """``names_tell``: where a name is a SHA-1, the content is compared with it."""

        def write(batch: list[Listed]) -> Unpacked:
            return self._write_batch(reader, batch, names_tell)

        with explained(self._root), self._behind:
            return sum(self._pool.map(write, batches_of(members)), Unpacked())

    def _write_batch(
        self, reader: ZipReader, batch: list[Listed], names_tell: bool
    ) -> Unpacked:
        damaged: list[str] = []
        members = reader.members([listed.entry for listed in batch])
        for (entry, pieces), listed in zip(members, batch, strict=True):
            name = self._name(entry)
            if not self._write(name, as_listed(listed, pieces), names_tell):
                damaged.append(name)
        size = sum(listed.entry.size for listed in batch)
        return Unpacked(len(batch), size, tuple(damaged))

    def _name(self, entry: Entry) -> str:
        return entry.name.removeprefix(self._prefix)

    # === PACKS === #

    def unpack_packs(self, packs: GatheredPacks, progress: Progress) -> Unpacked:
        """Unpack what a backup has in packs, several of them at a time; what is damaged
        there, from other packs."""

        def unpack(part: Part) -> tuple[Unpacked, set[str]]:
            done, lost = self._unpack_pack(part, names_tell=packs.names_tell(part))
            # of the bad ones it is known already, by better names than may be there
            return done, set() if part.key in packs.bad else lost

        done, names = Unpacked(), {*packs.lost}
        with explained(self._root), self._behind:
            for one, lost in self._pool.map(unpack, packs.parts):
                done += one
                names |= lost
            return done + self._rescue(packs, names, progress)

    def _unpack_pack(
        self, part: Part, *, names_tell: bool
    ) -> tuple[Unpacked, set[str]]:
        """Return also which files are not what they should be."""
        done = Unpacked()
        lost: set[str] = set()
        with part.open(direct=True) as opened:
            # a damaged one may have others, or one twice
            found = {self._name(entry): entry for entry in opened.members()}
            regular = [entry for name, entry in found.items() if digest_of(name)]
            members = opened.reader.listed(regular)
            for batch in batches_of(iter(members)):
                good = self._write_good(opened.reader, batch, names_tell)
                lost |= {self._name(listed.entry) for listed in batch} - good.keys()
                done += Unpacked(len(good), sum(good.values()))
        return done, lost

    def _write_good(
        self, reader: ZipReader, batch: list[Listed], names_tell: bool
    ) -> dict[str, int]:
        """Write members; return the bytes of those that are right, by their names. The
        others are not there afterwards."""
        sizes = {self._name(one.entry): one.entry.size for one in batch}
        with suppress(PermanentError):
            if not self._write_batch(reader, batch, names_tell).damaged:
                return sizes
        for name in sizes:
            (self._root / name).unlink(missing_ok=True)
        good: dict[str, int] = {}
        if len(batch) > 1:  # neighbours are read at once: which of them is it?
            for one in batch:
                good |= self._write_good(reader, [one], names_tell)
        return good

    def _rescue(
        self, packs: GatheredPacks, names: set[str], progress: Progress
    ) -> Unpacked:
        """Take files that are lost in the packs of the backup from other ones."""
        done = Unpacked()
        for opened, members in packs.elsewhere(names, progress) if names else ():
            for entry in members:
                self._pool.report()
                if self._name(entry) in names:
                    good = self._write_good(opened.reader, [Listed(entry, None)], True)
                    names -= good.keys()
                    done += Unpacked(len(good), sum(good.values()), rescued=len(good))
        return done + Unpacked(lost=tuple(sorted(names)))

    # === FILES === #

    def _write(self, name: str, pieces: Iterator[bytes], names_tell: bool) -> bool:
        """Write one file; tell whether its content is what its name says, if that
        says anything."""
        by_content = names_tell and NAMED_BY_CONTENT.fullmatch(name)
        digest: Any = hashlib.sha1(usedforsecurity=False) if by_content else None
        file = self._create(name)
        try:
            if self._owner:
                os.fchown(file, *self._owner)
            for piece in pieces:
                if digest:
                    digest.update(piece)
                _write_all(file, piece)
                self._pool.count(len(piece))
        finally:
            self._behind.close(file)
        return not by_content or digest.hexdigest() == by_content[1]

    def _create(self, name: str) -> int:
        path = f"{self._root}/{name}"
        try:
            return os.open(path, CREATE, 0o666)
        except FileNotFoundError:
            self._make_folders(name)
            return os.open(path, CREATE, 0o666)
        except FileExistsError as error:
            raise refused(TWICE, name) from error

    def _make_folders(self, name: str) -> None:
        folder = self._root
        for part in name.split("/")[:-1]:
            folder = folder / part
            with suppress(FileExistsError):  # another thread may have been faster
                folder.mkdir()
                if self._owner:
                    os.chown(folder, *self._owner)


def _parent_owner(path: Path) -> tuple[int, int] | None:
    """Return (user, group) to whom files made by root are to belong: Odoo must be
    able to use them, and whose the directory around is, is whose Odoo runs as. None
    for anybody else."""
    if os.geteuid():
        return None
    around = path.parent.stat()
    return around.st_uid, around.st_gid


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
