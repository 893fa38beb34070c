"""New packs: made one after the other. While one is made, the one before is stored,
read back and described; so never more than two lie here. What a kill leaves of them
is stored by the next attempt, but for a pack that was being encrypted."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from ..archive.prepared import Prepared
from ..archive.writer import ArchiveWriter
from ..archive.zip_format import Member
from ..checkpoints import checkpoint
from ..concurrency.background import Background
from ..encryption.files import encrypt_file
from ..errors import EngineError, PermanentError
from ..errors.packs import PackNameTaken
from ..fileio.durable import make_directory, write_private
from ..manifest.names import FILESTORE, sidecar_key
from ..progress import Progress
from ..retry import RetryPolicy, with_retries
from ..sources.filestore import FileWriter
from ..storages.base import Storage
from .index import Held, Index, KnownPack
from .listing import Listing
from .names import condemned_key, digest_of, pack_key
from .owner import Owner, PackEncryption, Place
from .readings import Readings
from .sidecar import PackSidecar, parse_pack_sidecar
from .terms import Terms

PARTIAL = "pack.part"
PUTTING = "pack.key"  # beside a pack that is being stored: its key


def remove_parts(storage: Storage, work: Path) -> None:
    """Remove what an interrupted call has stored of a pack, given its folder ``work``:
    nobody can have used it, because it has no sidecar. Where that is not possible,
    ``Prune`` does it. Of a pack that is stored as a whole, remove what lies here."""
    for putting in work.glob(f"*/{PUTTING}"):
        with suppress(OSError, EngineError):
            key = putting.read_text()
            storage.discard_partial(key)
            if storage.stat(sidecar_key(key)) is None:
                storage.delete(key)
                putting.unlink()
            else:
                shutil.rmtree(putting.parent)


class _Damaged(Exception):
    """A file has turned out to be damaged while it was packed."""


@dataclass(frozen=True)
class Making:
    """What is needed to make packs: ``work`` is a folder for those that are not stored
    yet, ``now`` tells the time (aware)."""

    place: Place
    owner: Owner
    terms: Terms
    work: Path
    now: Callable[[], datetime]
    retries: RetryPolicy
    encryption: PackEncryption | None = None

    @property
    def mark(self) -> str:
        return self.encryption.mark if self.encryption else ""


@dataclass(frozen=True)
class _Ready:
    """A pack that is complete, in a ``folder`` of its own: ``size`` in bytes and
    ``sha256`` of the zip, ``sums``, the SHA-256 of SHA256SUMS in it."""

    folder: Path
    size: int
    sha256: str
    sums: str
    held: list[Held]

    @property
    def path(self) -> Path:
        return self.folder / PARTIAL


class PackMaker:
    """Takes what ``archive_filestore`` writes. Files that are what their name says go
    into packs; damaged and oddly named ones into the run's ``own`` archive, which
    keeps what an earlier attempt has left there. Call ``remove_parts`` before the
    storage is listed, ``store_left`` before anything else, ``finish`` at the end, or
    ``drop``."""

    def __init__(
        self,
        making: Making,
        own: FileWriter,
        listing: Listing,
        index: Index,
        progress: Progress,
    ):
        self.codec = own.codec
        self.made: list[KnownPack] = []
        self._making = making
        self._own = own
        self._listing = listing
        self._index = index
        self._progress = progress
        self._number = 0  # of the folder of the pack that is made
        self._pack: ArchiveWriter | None = None
        self._behind = ExitStack()
        self._storing: Background[KnownPack | None] | None = None
        self._last = b""
        self._files = self._size = 0
        self._readings = Readings.of(making.place.index)

    def store_left(self) -> list[KnownPack]:
        """Store what an interrupted call has left of packs, each as far as it came, and
        return what they are now. What cannot be used is removed. Raise EngineError."""
        work = self._making.work
        for number in sorted(int(path.name) for path in work.glob("[0-9]*")):
            self._number, folder = number, work / str(number)
            pack = self._left_in(folder)
            if pack is None:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                self._complete(pack)
        self._await_stored()
        left, self.made = self.made, []
        return left

    def _left_in(self, folder: Path) -> ArchiveWriter | None:
        """Return the pack of a folder, unless it may be stored already, or is none."""
        if (folder / PUTTING).exists():
            return None
        with suppress(PermanentError):
            return ArchiveWriter.resume(
                folder / PARTIAL, codec=self.codec, progress=self._progress
            )
        return None

    def noted(self) -> Iterator[tuple[Member, str]]:
        return self._own.noted()

    def add_prepared(self, prepared: Prepared) -> None:
        digest = digest_of(prepared.name.removeprefix(FILESTORE))
        pack = None if prepared.note else self._pack_for(digest)
        if pack is None:
            self._own.add_prepared(prepared)
            return
        pack.add_prepared(prepared)
        self._count(digest, len(prepared.payload))

    def add_file(
        self,
        name: str,
        file: int,
        size: int,
        *,
        digests: Sequence[Any] = (),
        note: Callable[[], str] = str,
        advance: Callable[[int], object] = lambda count: None,
    ) -> int:
        digest = digest_of(name.removeprefix(FILESTORE))
        pack = self._pack_for(digest)
        if pack is None:
            return self._own.add_file(
                name, file, size, digests=digests, note=note, advance=advance
            )

        def require_intact() -> str:
            if note():
                raise _Damaged
            return ""

        start = os.lseek(file, 0, os.SEEK_CUR)
        try:
            added = pack.add_file(
                name, file, size, digests=digests, note=require_intact, advance=advance
            )
        except _Damaged:  # and so it has never been in the pack
            os.lseek(file, start, os.SEEK_SET)
            return self._own.add_file(name, file, size, note=note)
        self._count(digest, added)
        return added

    def finish(self) -> list[KnownPack]:
        """Store the last pack; return all that were made. Raise EngineError."""
        if self._pack is not None:
            self._complete(self._pack)
        self._await_stored()
        return self.made

    def drop(self) -> None:
        """Let go of the packs that are not complete, or not stored."""
        self._behind.close()
        self._storing = None
        if self._pack is not None:
            self._pack.release()
            self._pack = None
        remove_parts(self._making.place.storage, self._making.work)
        shutil.rmtree(self._making.work, ignore_errors=True)

    def _pack_for(self, digest: bytes | None) -> ArchiveWriter | None:
        """Return the pack that takes the next file, None when none may: the files of a
        pack have the order of their names."""
        if digest is None:
            return None
        if self._pack is not None and self._is_full():
            self._complete(self._pack)
        if self._pack is None:
            make_directory(self._folder)
            moment = self._making.now()
            self._pack = ArchiveWriter.create(
                self._folder / PARTIAL, codec=self.codec, moment=moment
            )
            self._files, self._size, self._last = 0, 0, b""
        return self._pack if digest > self._last else None

    def _count(self, digest: bytes | None, size: int) -> None:
        self._files += 1
        self._size += size
        self._last = digest or b""

    def _is_full(self) -> bool:
        terms = self._making.terms
        return self._files >= terms.pack_files or self._size >= terms.pack_bytes

    @property
    def _folder(self) -> Path:
        return self._making.work / str(self._number)

    def _complete(self, pack: ArchiveWriter) -> None:
        """Let a pack be completed and stored, once the one before is."""
        folder = self._folder
        self._pack = None
        self._number += 1
        try:
            self._await_stored()
        except BaseException:
            pack.release()
            raise
        # a thread: else the processor waits for disk and network, and they for it
        work = partial(self._complete_and_store, pack, folder)
        self._storing = self._behind.enter_context(Background(work, "dfr_backup pack"))

    def _await_stored(self) -> None:
        """Wait for the pack that is being stored. Raise what it has raised."""
        if self._storing is not None:
            pack = self._storing.finish(lambda done: self._progress.tick())
            self.made += [pack] if pack else []
            self._behind.close()
            self._storing = None

    # === STORING, IN A THREAD === #

    def _complete_and_store(
        self, pack: ArchiveWriter, folder: Path, progress: Progress
    ) -> KnownPack | None:
        """Complete a pack and store it; return None when it has no files, because the
        one that it was begun for was damaged."""
        try:
            members = [m for m in pack.members() if m.name.startswith(FILESTORE)]
            if not members:
                shutil.rmtree(folder, ignore_errors=True)
                return None
            _count, sums = pack.write_checksums()
            finalized = pack.close(progress.tick)
        finally:
            pack.release()
        held = [Held(_digest_in(m), m.size) for m in members]
        ready = _Ready(folder, finalized.size, finalized.sha256, sums, held)
        return self._store(ready, progress)

    def _store(self, ready: _Ready, progress: Progress) -> KnownPack:
        """Store a pack, then what describes it."""
        making = self._making
        path, size, sha256 = ready.path, ready.size, ready.sha256
        if making.encryption:
            path = ready.path.with_name(f"{PARTIAL}.age")
            encrypted = encrypt_file(ready.path, path, making.encryption.key, progress)
            ready.path.unlink()
            size, sha256 = encrypted.size, encrypted.sha256
        about = PackSidecar(
            key=self._key(sha256),
            size=size,
            sha256=sha256,
            sums=ready.sums,
            files=len(ready.held),
            total=sum(each.size for each in ready.held),
            mark=making.mark,
            identity=making.owner.identity,
        )
        return self._put(path, about, ready.held, progress)

    def _key(self, sha256: str) -> str:
        making = self._making
        key = pack_key(making.owner.identity.uuid, sha256, bool(making.encryption))
        if {key, condemned_key(key)} & self._listing.objects.keys():
            # the same files, packed in the same two seconds
            raise PackNameTaken(pack=key, location=making.place.storage.location(""))
        return key

    def _put(
        self, path: Path, about: PackSidecar, held: list[Held], progress: Progress
    ) -> KnownPack:
        storage, retries = self._making.place.storage, self._making.retries
        write_private(path.parent / PUTTING, about.key.encode(), over=True)

        def stored() -> None:
            storage.put(path, about.key, progress)
            storage.verify(about.key, about.size, about.sha256, progress)

        with_retries(stored, progress, retries)
        checkpoint("packs.pack.stored")
        data, beside = about.to_bytes(self._making.owner), sidecar_key(about.key)
        with_retries(lambda: storage.put_bytes(data, beside), progress, retries)
        checkpoint("packs.sidecar.stored")
        path.unlink()  # before its key: or else it would be stored once more
        shutil.rmtree(path.parent, ignore_errors=True)
        self._readings.note([about.key], self._making.now())
        return self._index.add(parse_pack_sidecar(data, beside), held)


def _digest_in(member: Member) -> bytes:
    return bytes.fromhex(member.name.rpartition("/")[2])
