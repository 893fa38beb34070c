"""All members of a backup, wherever they are: in its archive, or in packs. What reads
backups needs to know no more than this."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice

from ..archive.checked import CheckedReader
from ..archive.random_access import open_stored
from ..archive.reader import is_attachment
from ..archive.zip_directory import Entry
from ..catalog.browse import Identities
from ..catalog.catalogued import require_packs
from ..errors import Mismatch
from ..errors.fetch import DamagedArchive
from ..errors.other import NoManifest
from ..errors.packs import AttachmentsDiffer, NotIncremental
from ..manifest.model import Manifest
from ..manifest.names import FILESTORE, MANIFEST
from ..manifest.pack_use import PackUse
from ..manifest.read import parse_manifest
from ..manifest.sidecar import Sidecar
from ..progress import Progress
from ..storages.base import Storage
from ..untrusted import MAX_BYTES
from .content import summed
from .index import RECORD, Held
from .names import digest_of


@dataclass(frozen=True)
class Part:
    """One of the zips that a backup consists of: its archive (``use`` is None), or a
    pack. ``sums`` is the SHA-256 that SHA256SUMS in it must have."""

    storage: Storage
    key: str
    size: int
    sha256: str
    sums: str
    identities: Identities = None
    use: PackUse | None = None

    @contextmanager
    def open(self, *, direct: bool = False) -> Iterator["OpenPart"]:
        """Open it where it is stored; ``direct`` as in ``open_stored``. Raise
        EngineError."""
        place = self.storage, self.key, self.identities
        with (
            open_stored(*place, direct=direct) as source,
            CheckedReader(source, self.sums) as reader,
        ):
            yield OpenPart(self, reader)

    def verify(self, progress: Progress) -> None:
        """Read it back as a whole. Raise Mismatch."""
        self.storage.verify(self.key, self.size, self.sha256, progress)


@dataclass(frozen=True)
class OpenPart:
    """A part whose members can be read. Threads may share it."""

    part: Part
    reader: CheckedReader

    def members(self) -> Iterator[Entry]:
        """Yield what belongs to the backup, in the order of the zip. Raise
        DamagedArchive when the backup means another pack than this one."""
        use = self.part.use
        if use is None:
            yield from self.reader.entries()
            return
        number = 0
        for entry in self.reader.entries():
            if is_attachment(entry):
                if use.wants(number):
                    yield entry
                number += 1
        if not use.fits(number):
            raise DamagedArchive(log=f"{use.key} has {number} files: others are wanted")

    def pieces(self, entry: Entry) -> Iterator[bytes]:
        """Yield the content of a member; after the last piece it is known to be
        right."""
        return self.reader.pieces(entry)

    def contents(self) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        """Yield every member with its pieces, which are taken before the next."""
        members = list(self.members())
        self.reader.want(members)
        for entry in members:
            yield entry, self.reader.pieces(entry)


@dataclass(frozen=True)
class StoredBackup:
    """A backup in one storage. ``parts`` are its archive, then its packs; each member
    is in one of them."""

    sidecar: Sidecar
    parts: tuple[Part, ...]

    @property
    def archive(self) -> Part:
        return self.parts[0]

    @property
    def can_look(self) -> bool:
        """Whether somebody has given what decrypts it, if it is encrypted."""
        has_key = self.archive.identities is not None
        return has_key or not any(part.key.endswith(".age") for part in self.parts)

    def manifest(self) -> Manifest:
        """Return the manifest in its archive, which must be the one that its sidecar
        speaks for. Raise EngineError."""
        with self.archive.open() as opened:
            for entry in opened.members():
                if entry.name == MANIFEST:
                    found = parse_manifest(opened.reader.read(entry, MAX_BYTES))
                    if self.sidecar.content_digest not in ("", found.content_digest):
                        raise DamagedArchive(log=f"{MANIFEST} is another one")
                    return found
        raise NoManifest

    def contents(self) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        """Yield every member with its pieces, which are taken before the next."""
        for part in self.parts:
            with part.open() as opened:
                yield from opened.contents()

    def check(self, progress: Progress) -> None:
        """Read back every part as a whole, and compare which attachment files there
        are with what the archive says; this only ``can_look``. Raise Mismatch and other
        EngineErrors."""
        for part in self.parts:
            part.verify(progress)
        if self.can_look:
            self.require_content()

    def require_content(self) -> None:
        """Raise AttachmentsDiffer when the packs hold other files than the manifest
        says. Reads their directories only."""
        if self.sidecar.packs is None:
            return
        held = [held_in(part) for part in self.parts if part.use]
        if summed(merged(held)).to_json() != {**self.manifest().packed}:
            raise AttachmentsDiffer(backup=self.sidecar.key)


def open_backup(
    storage: Storage, sidecar: Sidecar, identities: Identities = None
) -> StoredBackup:
    """Return a stored backup, complete or incremental, given its sidecar as
    ``read_sidecar`` returns it; ``identities`` decrypt it. Whether the sidecar is to be
    believed, the caller has decided.

    Raise PackMissing when a pack is not there, and what a storage raises.
    """
    if sidecar.packs is None and sidecar.format > 1:
        raise NotIncremental(key=sidecar.key)
    parts = [
        Part(
            storage,
            sidecar.key,
            sidecar.size,
            sidecar.sha256,
            sidecar.sums_sha256,
            identities,
        )
    ]
    require_packs(storage, sidecar)
    parts += packs_of(storage, sidecar, identities)
    return StoredBackup(sidecar, tuple(parts))


def check_packs(
    storage: Storage,
    sidecar: Sidecar,
    progress: Progress,
    good: set[PackUse],
    bad: Callable[[PackUse], None] = lambda _use: None,
) -> None:
    """Read back every pack that a backup needs and that is not known to be ``good``,
    and note that it is. Of a backup that is not encrypted compare also which files
    they have. Raise Mismatch, after ``bad`` was told which pack, and other
    EngineErrors."""
    backup = open_backup(storage, sidecar)
    for part in backup.parts:
        if part.use and (known := replace(part.use, wanted=None)) not in good:
            try:
                part.verify(progress)
            except Mismatch:
                bad(part.use)
                raise
            good.add(known)
    if backup.can_look:
        backup.require_content()


def packs_of(
    storage: Storage, sidecar: Sidecar, identities: Identities = None
) -> list[Part]:
    """Return the packs of a backup, which nobody has looked for yet."""
    return [
        Part(storage, use.key, use.size, use.sha256, use.sums, identities, use)
        for use in sidecar.packs or ()
    ]


def held_in(part: Part, *, odd: bool = False) -> bytes:
    """Return which files a backup has in a pack, as a ``RECORD`` of each in the order
    of the pack: a million of them are 27 MiB. The list of checksums in it was found to
    be right. Raise DamagedArchive, also for a file that no pack has, unless ``odd``
    ones are passed over, and what opening raises."""
    with part.open() as opened:
        reader = opened.reader
        reader.want(list(islice(reader.entries(), 1)))
        return b"".join(RECORD.pack(*held) for held in _held_in(opened, odd))


def merged(packs: Iterable[bytes], more: Iterable[Held] = ()) -> Iterator[Held]:
    """Yield the files of several packs, and some more, in the order of their names."""
    each = [map(Held._make, RECORD.iter_unpack(records)) for records in packs]
    return heapq.merge(*each, more)


def _held_in(part: OpenPart, odd: bool) -> Iterator[Held]:
    for entry in part.members():
        digest = digest_of(entry.name.removeprefix(FILESTORE))
        if digest is not None:
            yield Held(digest, entry.size)
        elif not odd:
            raise DamagedArchive(log=f"{entry.name} has no name for a pack")
