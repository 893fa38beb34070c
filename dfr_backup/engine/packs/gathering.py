"""The packs of a backup, at hand for a restore: brought here where they are far, and
other packs asked for what is lost in them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..archive.attachment_index import find_index, stored_names
from ..archive.reader import Archive, is_attachment
from ..archive.zip_directory import Entry
from ..catalog.browse import Identities
from ..catalog.catalogued import Catalogued
from ..catalog.fetch import fetch_packs
from ..catalog.scan import read_sidecar
from ..errors import EngineError, PermanentError
from ..errors.packs import (
    AttachmentsDiffer,
    AttachmentsLost,
    ExportFirst,
    PackMissing,
    PacksUnknown,
)
from ..manifest.names import FILESTORE, sidecar_key
from ..manifest.pack_use import PackUse
from ..manifest.sidecar import Sidecar
from ..messages import Message, _
from ..progress import Progress
from ..queue.reservations import Reservations
from ..storages.base import Storage, StoredObject
from ..storages.local.storage import LocalRules, LocalStorage
from .content import summed
from .index import RECORD, Held
from .listing import Listing
from .names import digest_of, has_prefix
from .reading import OpenPart, Part, held_in, merged, packs_of

NAMED = 200  # lost files that are named
COUNTED = _("The backup needs %(count)s packs.")
UNUSABLE = _("A pack of the backup cannot be used: %(problem)s")


@dataclass(frozen=True)
class PackPlaces:
    """Where packs are. ``storages``: the one of the backup, then others that may hold
    the same attachment files. ``folder`` is for what is brought here."""

    storages: Sequence[Storage]
    folder: Path
    identities: Identities = field(default=None, repr=False)
    space: Reservations | None = None


@dataclass(frozen=True)
class GatheredPacks:
    """The packs of the backup ``key`` that can be read, as ``parts``. ``bad`` says what
    is wrong with the others, by their keys, and ``lost`` are the attachment files
    (``store_fname``) that these had. ``vouched`` tells whether somebody vouches for the
    checksums of the packs: else only the name of a file says what it is."""

    key: str
    parts: Sequence[Part]
    vouched: bool
    around: PackPlaces
    bad: Mapping[str, EngineError] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()

    def elsewhere(
        self, names: Collection[str], progress: Progress
    ) -> Iterator[tuple[OpenPart, list[Entry]]]:
        """Yield packs of the storages that have some of these files, with their
        members, until ``names`` is empty: the caller takes out of it what was right,
        as the name of a file tells. What cannot be read is passed over. Raise
        RetryableError, Cancelled."""
        prefixes = {key[:8] for key in (*self.bad, *(part.key for part in self.parts))}
        for storage in self.around.storages:
            for stored in _packs_in(storage, prefixes, progress) if names else ():
                progress.tick()
                with _opened(storage, stored, self.around.identities) as found:
                    members = _named(found, names) if found else []
                    if found and members:
                        yield found, members
                if not names:
                    break

    def lost_error(self, names: Collection[str], pack: str = "") -> AttachmentsLost:
        """Return the error that says that these files are nowhere, of which ``pack``
        had one."""
        return AttachmentsLost(
            count=len(names),
            backup=self.key,
            pack=min(self.bad, default=pack),
            location=self.around.storages[0].location(""),
            log="\n".join(sorted(names)[:NAMED]),
        )


def gather(
    key: str,
    archive: Archive,
    around: PackPlaces,
    progress: Progress,
    known: Catalogued | None = None,
) -> GatheredPacks:
    """Return the packs of the incremental backup ``key``, given its ``archive`` and
    what the catalogue has ``known`` of it: those on this server where they lie, others
    in the folder. Their directories were read, and have the files that the manifest in
    the archive speaks of; so many as are lost must be in other packs.

    Raise ExportFirst when there is no manifest beside it, PacksUnknown when that cannot
    be used, AttachmentsLost when files are nowhere, AttachmentsDiffer when others are
    there, RetryableError, and Cancelled.
    """
    sidecar = _sidecar_of(key, around.storages[0], progress)
    vouched = known is not None and known.is_manifest(sidecar)
    packs, held = _read(sidecar, around, progress, vouched)
    progress.log(Message(COUNTED, count=len(sidecar.packs or ())))
    for key in packs.bad:
        progress.warn(Message(UNUSABLE, problem=packs.bad[key]))
    found: dict[str, int] = {}
    count = (archive.manifest.packed.get("files") or 0) - sum(map(_count, held))
    if packs.bad and count > 0:
        names = _names_without(held, archive)
        found = _found_elsewhere(packs, set(names), progress)
        if len(found) < count:
            missing = sorted(names - found.keys())[: count - len(found)]
            raise packs.lost_error(missing)
    rescued = (Held(_digest(name), found[name]) for name in sorted(found))
    if summed(merged(held, rescued)).to_json() != {**archive.manifest.packed}:
        raise AttachmentsDiffer(backup=sidecar.key)
    return replace(packs, lost=frozenset(found))


def _sidecar_of(key: str, storage: Storage, progress: Progress) -> Sidecar:
    beside = sidecar_key(key)

    def read() -> Sidecar:
        if storage.stat(beside) is None:
            raise ExportFirst
        return read_sidecar(storage, beside)

    try:
        return storage.with_retries(read, progress)
    except ExportFirst:
        raise
    except PermanentError as error:
        raise PacksUnknown(backup=key, sidecar=beside, problem=error) from error


def _read(
    sidecar: Sidecar, around: PackPlaces, progress: Progress, vouched: bool
) -> tuple[GatheredPacks, list[bytes]]:
    """Return the packs, and what each that can be read holds of the backup."""
    source, there, bad = _brought(sidecar, around, progress)
    parts, held = [], []
    usable = replace(sidecar, packs=tuple(there))
    for part in packs_of(source, usable, around.identities):
        progress.tick()
        try:
            held.append(held_in(part))
        except PermanentError as error:
            bad[part.key] = error
        else:
            parts.append(part)
    return GatheredPacks(sidecar.key, parts, vouched, around, bad), held


def _brought(
    sidecar: Sidecar, around: PackPlaces, progress: Progress
) -> tuple[Storage, list[PackUse], dict[str, EngineError]]:
    """Return where the packs are now, those that are there, and what is wrong with
    the others."""
    storage, uses = around.storages[0], sidecar.packs or ()
    listing = storage.with_retries(lambda: Listing.of(storage, progress), progress)
    location = storage.location("")
    there = [use for use in uses if listing.has(use.key, use.size)]
    bad: dict[str, EngineError] = {
        use.key: PackMissing(backup=sidecar.key, pack=use.key, location=location)
        for use in uses
        if use not in there
    }
    if not there or storage.local_path(there[0].key) is not None:
        return storage, there, bad
    bad |= fetch_packs(storage, there, around.folder, progress, around.space)
    brought = LocalStorage(around.folder, LocalRules([around.folder]))
    return brought, [use for use in there if use.key not in bad], bad


def _count(held: bytes) -> int:
    return len(held) // RECORD.size


def _digest(name: str) -> bytes:
    return digest_of(name) or b""


def _names_without(held: Sequence[bytes], archive: Archive) -> set[str]:
    """Return the attachment files of the database that are neither in these packs nor
    in the archive. Empty when the archive does not know them."""
    index = find_index(archive.reader)
    if index is None:
        return set()
    own = {
        entry.name.removeprefix(FILESTORE)
        for entry in archive.reader.entries()
        if is_attachment(entry)
    }
    there: set[bytes | None] = {None, *(each.digest for each in merged(held))}
    return {
        name
        for name in stored_names(archive.reader, index)
        if name not in own and digest_of(name) not in there
    }


def _found_elsewhere(
    packs: GatheredPacks, names: set[str], progress: Progress
) -> dict[str, int]:
    """Return the bytes of each of these files that some other pack has."""
    found: dict[str, int] = {}
    for _opened_part, members in packs.elsewhere(names, progress):
        for entry in members:
            name = entry.name.removeprefix(FILESTORE)
            found[name] = entry.size
            names.discard(name)
    return found


def _packs_in(
    storage: Storage, prefixes: Collection[str], progress: Progress
) -> list[StoredObject]:
    """Return the packs of the same database in a storage; none where it cannot say."""
    try:
        listing = storage.with_retries(lambda: Listing.of(storage, progress), progress)
    except PermanentError as error:
        progress.log(Message(UNUSABLE, problem=error))
        return []
    return [found for found in listing.packs() if has_prefix(found.key, prefixes)]


@contextmanager
def _opened(
    storage: Storage, stored: StoredObject, identities: Identities
) -> Iterator[OpenPart | None]:
    """Open a pack of which nothing is known, where it lies; None when it cannot be."""
    part = Part(storage, stored.key, stored.size, "", "", identities)
    opening = part.open()
    try:
        opened = opening.__enter__()
    except PermanentError:
        yield None
        return
    try:
        yield opened
    finally:
        opening.__exit__(None, None, None)


def _named(opened: OpenPart, names: Collection[str]) -> list[Entry]:
    try:
        return [
            entry
            for entry in opened.members()
            if is_attachment(entry) and entry.name.removeprefix(FILESTORE) in names
        ]
    except PermanentError:
        return []
