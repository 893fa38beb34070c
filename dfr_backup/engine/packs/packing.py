"""The attachment files of a snapshot, in packs: those that are stored already are only
named, the others are packed and stored."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..manifest.names import FILESTORE
from ..manifest.pack_use import PackUse
from ..progress import Progress
from ..retry import with_retries
from ..sources.filestore import (
    ABSENT,
    LISTED,
    NAMED,
    Attachment,
    FilestoreReport,
    FileWriter,
    archive_filestore,
)
from ..sources.filestore_again import ReadAgain
from .content import Content, held_in, summed
from .index import Held, Index, KnownPack
from .listing import Listing
from .maker import Making, PackMaker, remove_parts
from .matching import Found, best, choose_thin, match
from .terms import Terms


@dataclass(frozen=True)
class Packed:
    """What became of the attachment files of a snapshot in one storage: the packs that
    the backup needs, what is wanted of them, and the ``report`` of all files, also of
    those in the run's own archive. ``new_files`` and ``new_bytes`` were stored now."""

    uses: tuple[PackUse, ...]
    content: Content
    report: FilestoreReport
    new_files: int
    new_bytes: int
    used: tuple[tuple[KnownPack, PackUse], ...] = ()

    def held(self) -> Iterator[Held]:
        """Yield the attachment files, in the order of their names. Only of what was
        packed just now."""
        return held_in(self.used)


@dataclass
class _Bits:
    """Which attachment files are wanted of each pack."""

    packs: Sequence[KnownPack]
    wanted: dict[int, bytearray] = field(default_factory=dict)

    def want(self, found: Found) -> None:
        bits = self.wanted.get(found.pack)
        if bits is None:
            files = self.packs[found.pack].about.files
            bits = self.wanted[found.pack] = bytearray((files + 7) >> 3)
        bits[found.number >> 3] |= 1 << (found.number & 7)

    def uses(self) -> Iterator[tuple[KnownPack, PackUse]]:
        for number, bits in sorted(self.wanted.items()):
            pack = self.packs[number]
            whole = int.from_bytes(bits, "little").bit_count() == pack.about.files
            yield pack, pack.about.use(None if whole else bytes(bits))


class Packing:
    """Packs the attachment files of one snapshot for one storage."""

    def __init__(self, making: Making):
        self._making = making

    def pack(
        self,
        own: FileWriter,
        root: Path,
        attachments: Callable[[], Iterable[Attachment]],
        progress: Progress,
        again: ReadAgain | None = None,
    ) -> Packed:
        """Let every file of the list (by file name, each once) be in a pack of the
        storage, or in the run's ``own`` archive. ``root`` is the filestore.

        Each file is looked for in the filestore, also when it is stored already; one
        that is missing or of another size there is reported, and taken from its pack.
        So is one whose content differs, of those that are read ``again``. What an
        interrupted call has stored is found again. Raise EngineError; what was
        stored until then stays for the next attempt, or for ``Prune``.
        """
        making = self._making
        remove_parts(making.place.storage, making.work)
        index = Index(making.place, making.owner, making.mark)

        def look() -> tuple[Listing, list[KnownPack]]:
            found = Listing.of(making.place.storage, progress)
            return found, index.stored(found, progress)

        listing, packs = with_retries(look, progress, making.retries)
        maker = PackMaker(making, own, listing, index, progress)
        try:
            if left := maker.store_left():
                _listing, packs = with_retries(look, progress, making.retries)
            choice = _Choice(_Bits(packs), again)
            rest = choice.to_pack(own, root, attachments, making.terms, progress)
            packed = archive_filestore(maker, root, rest, progress)
            made = maker.finish()
        finally:
            maker.drop()
        used = (*choice.bits.uses(), *((pack, pack.about.use(None)) for pack in made))
        new = [pack.about for pack in (*left, *made)]
        return Packed(
            uses=tuple(use for _pack, use in used),
            content=summed(held_in(used)),
            report=_joined(choice.found, packed),
            new_files=sum(about.files for about in new),
            new_bytes=sum(about.size for about in new),
            used=used,
        )


@dataclass
class _Choice:
    """Which files need not be packed: ``bits`` says what is wanted of the packs that
    have them, and ``found`` what they are like."""

    bits: _Bits
    again: ReadAgain | None
    found: FilestoreReport = field(default_factory=FilestoreReport)

    def to_pack(
        self,
        own: FileWriter,
        root: Path,
        attachments: Callable[[], Iterable[Attachment]],
        terms: Terms,
        progress: Progress,
    ) -> Iterator[Attachment]:
        """Yield the files that have to be packed; note the others."""
        packs, found = self.bits.packs, self.found
        in_own = {m.name for m, _note in own.noted() if m.name.startswith(FILESTORE)}
        thin, unused = choose_thin(attachments, packs, terms)
        for attachment, places in match(attachments(), packs):
            place = best(places, thin, unused)
            if place is None and places and _is_lost(root, attachment, places[0]):
                place = places[0]  # it cannot be stored anew
            is_own = FILESTORE + attachment.store_fname in in_own
            if place is None or is_own or not _is_held(root, attachment, place, found):
                yield attachment
                continue
            name, size = attachment.store_fname, place.size
            if self.again and (problem := self.again.problem(name, size, progress)):
                found.note("damaged", attachment, problem)
            self.bits.want(place)
            found.add(size)
            progress.advance(size)


def _is_held(
    root: Path, attachment: Attachment, place: Found, report: FilestoreReport
) -> bool:
    """Tell whether a file need not be read, because its pack has it. What is wrong with
    the one in the filestore is reported all the same. One that cannot be looked at is
    read, so that whoever reads it says why."""
    try:
        status = os.lstat(f"{root}/{attachment.store_fname}")
    except OSError as error:
        if error.errno not in ABSENT:
            return False
        report.note("missing", attachment)
        return True
    if not stat.S_ISREG(status.st_mode):
        return False
    if status.st_size != place.size:
        report.note("damaged", attachment)
    return True


def _is_lost(root: Path, attachment: Attachment, place: Found) -> bool:
    """Tell whether the filestore lacks a file that a pack has, or has it with another
    size."""
    try:
        status = os.lstat(f"{root}/{attachment.store_fname}")
    except OSError as error:
        return error.errno in ABSENT
    return status.st_size != place.size


def _joined(found: FilestoreReport, packed: FilestoreReport) -> FilestoreReport:
    """Return what both reports say."""
    for kind in ("missing", "damaged", "unreadable"):
        names, more = getattr(found, kind), getattr(packed, kind)
        setattr(found, kind, [*names, *more][:NAMED])
        count = getattr(found, f"{kind}_count") + getattr(packed, f"{kind}_count")
        setattr(found, f"{kind}_count", count)
    found.troubles = [*found.troubles, *packed.troubles][:LISTED]
    found.files += packed.files
    found.bytes += packed.bytes
    return found
