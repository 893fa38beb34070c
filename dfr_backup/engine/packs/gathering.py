"""The packs of a backup, at hand for a restore: brought here where they are far, and
other packs asked for what is lost in them."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..archive.attachment_index import find_index, stored_names
from ..archive.reader import Archive, is_attachment
from ..archive.zip_directory import Entry
from ..catalog.browse import Identities
from ..catalog.catalogued import Catalogued
from ..catalog.fetch import fetch_packs
from ..catalog.scan import read_sidecar
from ..errors import EngineError, Mismatch, PermanentError
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
from .names import digest_of, has_prefix, store_fname_of
from .reading import OpenPart, Part, held_in, merged, packs_of

NAMED = 200  # lost files that are named
COUNTED = _("The backup needs %(count)s packs.")
UNUSABLE = _("A pack of the backup cannot be used: %(problem)s")
DAMAGED = _("A pack of the backup is damaged, only what is right is used: %(problem)s")


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
    """The packs of the backup ``key`` that can be read, as ``parts``. ``vouched`` tells
    whether somebody vouches for their lists of checksums: else, and in a part without
    one, only the name of a file says what it is.

    ``bad`` says what is wrong with packs, by their keys; some may be among the parts
    all the same. ``lost`` are the attachment files (``store_fname``) that these have
    not; of them ``absent`` were not in the backup either, and ``unnamed`` more are lost
    whose names nobody knows. ``nowhere`` are those that no other pack has.
    """

    key: str
    parts: Sequence[Part]
    vouched: bool
    around: PackPlaces
    bad: Mapping[str, EngineError] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    nowhere: frozenset[str] = frozenset()
    absent: int = 0
    unnamed: int = 0

    def names_tell(self, part: Part) -> bool:
        """Tell whether the files of a part are compared with their names."""
        return not (self.vouched and part.sums)

    def elsewhere(
        self, names: Collection[str], progress: Progress
    ) -> Iterator[tuple[OpenPart, list[Entry]]]:
        """Yield packs of the storages that have some of these files, with their
        members, until ``names`` is empty: the caller takes out of it what was right,
        as the name of a file tells. What cannot be read is passed over, and so are bad
        packs of this backup of which all is known. Raise RetryableError, Cancelled."""
        own = {part.key for part in self.parts}
        prefixes = {key[:8] for key in own | self.bad.keys()}
        for storage in self.around.storages:
            known = own & self.bad.keys() if storage is self.around.storages[0] else ()
            for stored in _packs_in(storage, prefixes, progress) if names else ():
                if stored.key in known:
                    continue
                progress.tick()
                with _opened(storage, stored, self.around.identities) as found:
                    members = _named(found, names) if found else []
                    if found and members:
                        yield found, members
                if not names:
                    break

    def count_lost(self, names: Collection[str]) -> int:
        """Return how many files the backup has lost when these are nowhere."""
        return max(0, len(names) - self.absent) + self.unnamed

    def lost_error(self, names: Collection[str]) -> AttachmentsLost | None:
        """Return the error that says that these files are nowhere; None when nothing is
        lost."""
        count = self.count_lost(names)
        if not count:
            return None
        return AttachmentsLost(
            count=count,
            backup=self.key,
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
    the archive speaks of, but for those that are ``lost``: then every pack was read.

    Raise ExportFirst when there is no manifest beside it, PacksUnknown when that cannot
    be used, AttachmentsDiffer when other files are there, RetryableError, and
    Cancelled.
    """
    sidecar = _sidecar_of(key, around.storages[0], progress)
    vouched = known is not None and known.is_manifest(sidecar)
    progress.log(Message(COUNTED, count=len(sidecar.packs or ())))
    packs, held = _read(sidecar, around, progress, vouched)
    if not packs.bad and _is_content(archive, held):
        return packs
    packs, held, wrong = _sifted(packs, held, progress)
    for part in packs.parts:
        if part.key in packs.bad:
            progress.warn(Message(DAMAGED, problem=packs.bad[part.key]))
    for bad in packs.bad.keys() - {part.key for part in packs.parts}:
        progress.warn(Message(UNUSABLE, problem=packs.bad[bad]))
    return _without_lost(packs, held, wrong, archive, progress)


def _without_lost(
    packs: GatheredPacks,
    held: Sequence[bytes],
    wrong: Collection[str],
    archive: Archive,
    progress: Progress,
) -> GatheredPacks:
    """Return packs of which some are bad, with what is lost in them, where ``wrong``
    files are. Raise AttachmentsDiffer when that does not explain which files they
    have."""
    there = {each.digest for each in merged(held)}  # a bad one may have a file twice
    count = _files_of(archive) - len(there)
    if count < 0 or (count and not packs.bad):
        raise AttachmentsDiffer(backup=packs.key)
    names = (_names_without(there, archive) or {*wrong}) if count else set()
    left = set(names)
    found = _found_elsewhere(packs, left, progress) if names else {}
    rescued = [Held(_digest(name), found[name]) for name in sorted(found)]
    if len(found) == count and not _is_content(archive, held, rescued):
        raise AttachmentsDiffer(backup=packs.key)
    return replace(
        packs,
        lost=frozenset(names),
        nowhere=frozenset(left),
        absent=max(0, len(names) - count),
        unnamed=max(0, count - len(names)),
    )


def _files_of(archive: Archive) -> int:
    return archive.manifest.packed.get("files") or 0


def _is_content(
    archive: Archive, held: Sequence[bytes], more: Iterable[Held] = ()
) -> bool:
    """Tell whether these are the files that the manifest in the archive speaks of."""
    return summed(merged(held, more)).to_json() == {**archive.manifest.packed}


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
            parts.append(part)
        except PermanentError as error:
            bad.setdefault(part.key, error)
            # what is right in it, the names of the files tell
            unlisted = replace(part, sums="")
            with suppress(PermanentError):
                held.append(held_in(unlisted, odd=True))
                parts.append(unlisted)
    return GatheredPacks(sidecar.key, parts, vouched, around, bad), held


def _sifted(
    packs: GatheredPacks, held: Sequence[bytes], progress: Progress
) -> tuple[GatheredPacks, list[bytes], set[str]]:
    """Return the packs when all of them were read, what each has that is right, and
    the names of what is not: something is lost, and so it counts how much. In a bad one
    only names tell what is right."""
    bad, parts, right, wrong = dict(packs.bad), [], [], set()
    for part, records in zip(packs.parts, held, strict=True):
        if part.key not in bad and part.storage is packs.around.storages[0]:
            try:  # others were compared when they were brought here
                part.verify(progress)
            except Mismatch as error:
                bad[part.key] = error
        if part.key in bad:
            part = replace(part, sums="")
            whole, records = records, _right_in(part, progress)
            wrong |= _named_in(whole) - _named_in(records)
        parts.append(part)
        right.append(records)
    return replace(packs, parts=parts, bad=bad), right, wrong


def _right_in(part: Part, progress: Progress) -> bytes:
    """Return which files of a damaged pack are what their names say, as ``held_in``
    does."""
    right = []
    with suppress(PermanentError), part.open() as opened:
        for entry in opened.members():
            digest = digest_of(entry.name.removeprefix(FILESTORE))
            if digest is None:
                continue
            sha1 = hashlib.sha1(usedforsecurity=False)
            with suppress(PermanentError):
                for piece in opened.reader.pieces(entry):
                    sha1.update(piece)
                    progress.tick()
                if sha1.digest() == digest:
                    right.append(RECORD.pack(digest, entry.size))
    return b"".join(right)


def _named_in(held: bytes) -> set[str]:
    return {store_fname_of(each.digest) for each in merged([held])}


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
    return LocalStorage(around.folder, LocalRules([around.folder])), there, bad


def _digest(name: str) -> bytes:
    return digest_of(name) or b""


def _names_without(there: Collection[bytes], archive: Archive) -> set[str]:
    """Return the attachment files of the database that are neither ``there``, by their
    SHA-1, nor in the archive. Empty when the archive does not know them."""
    index = find_index(archive.reader)
    if index is None:
        return set()
    own = {
        entry.name.removeprefix(FILESTORE)
        for entry in archive.reader.entries()
        if is_attachment(entry)
    }
    return {
        name
        for name in stored_names(archive.reader, index)
        if name not in own and (digest := digest_of(name)) and digest not in there
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
