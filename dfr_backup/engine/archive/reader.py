"""What an archive holds, and whether it is what was finalized: ours, or of Odoo's
database manager."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from ..concurrency.worker_pool import WorkerPool, batches
from ..errors.archive import InsideFolder
from ..errors.fetch import (
    DamagedArchive,
    KeyNeeded,
    ListDiffers,
    ListMissing,
    MemberDiffers,
    NoDatabase,
)
from ..errors.packs import ExportFirst
from ..manifest.description import Description
from ..manifest.model import Manifest
from ..manifest.names import (
    ADDONS,
    CHECKSUMS,
    DUMP,
    FILESTORE,
    INCREMENTAL_DUMP,
    INDEX,
    MANIFEST,
)
from ..manifest.read import parse_manifest
from ..progress import Progress
from ..untrusted import MAX_BYTES
from ..versions import numbers_in
from .deflate import Codec
from .formats import HEAD, is_age, refuse_dumps
from .random_access import Source
from .zip_directory import TWICE, Entry, refused
from .zip_reader import ZipReader

LONGEST_LINE = 256 << 10  # bytes: of a name, that has 64 KiB, each may be escaped
BATCH_MEMBERS = 64
BATCH_BYTES = 4 << 20
DUMPED = re.compile(
    rb"^-- Dumped (from database|by pg_dump) version (\d+(?:\.\d+)*)", re.M
)


@dataclass
class _Contents:
    """What one pass over the directory has found."""

    top: dict[str, Entry] = field(default_factory=dict)
    members: int = 0
    files: int = 0
    file_bytes: int = 0
    addon_bytes: int = 0
    addons: set[str] = field(default_factory=set)
    folder: str = ""

    def add(self, entry: Entry) -> None:
        self.members += 1
        if entry.name in (DUMP, INCREMENTAL_DUMP, INDEX, CHECKSUMS, MANIFEST):
            if entry.name in self.top:
                raise refused(TWICE, entry.name)
            self.top[entry.name] = entry
        elif is_attachment(entry):
            self.files += 1
            self.file_bytes += entry.size
        elif is_addon_file(entry):
            self.addons.add(entry.name.split("/")[1])
            self.addon_bytes += entry.size
        elif entry.name.endswith(f"/{DUMP}") and entry.name.count("/") == 1:
            self.folder = entry.name.removesuffix(f"/{DUMP}")


class Listed(NamedTuple):
    """A member, and the SHA-256 (hexadecimal) that SHA256SUMS has for it: None when
    it need not be looked at, or when there is no such list."""

    entry: Entry
    sha256: str | None


def is_attachment(entry: Entry) -> bool:
    """Tell whether a member is a file of the filestore that a restore needs.

    Its garbage collector's notes (``checklist``) are in archives of Odoo, and not
    needed.
    """
    name = entry.name
    return (
        name.startswith(FILESTORE)
        and not entry.is_folder
        and not name.startswith(f"{FILESTORE}checklist/")
    )


def is_addon_file(entry: Entry) -> bool:
    """Tell whether a member is a file of a custom addon."""
    return (
        entry.name.startswith(ADDONS)
        and entry.name.count("/") > 1
        and not entry.is_folder
    )


def open_archive(
    place: Path | Source,
    codec: Codec | None = None,
    *,
    compared: bool = False,
    with_packs: bool = False,
) -> "Archive":
    """Return the archive, whose directory has been read once and is sound. ``place`` is
    as for ``ZipReader``.

    ``compared`` tells that the whole file was compared with the manifest beside it:
    then its members need no more than their CRC-32, in case that the disk has failed
    since. ``with_packs``: who reads it has the packs of an incremental backup, too;
    else such an archive has no database. Raise PermanentError when the file is no
    archive, is damaged, or would do harm.
    """
    _refuse_other_formats(place)
    reader = ZipReader(place, codec)
    try:
        return Archive(reader, compared=compared, with_packs=with_packs)
    except BaseException:
        reader.__exit__(None, None, None)
        raise


def _refuse_other_formats(place: Path | Source) -> None:
    try:
        head = _head(place)
    except OSError:
        return  # the reader will say why
    if is_age(head):
        raise KeyNeeded(remedy=KeyNeeded.remedy_first)
    refuse_dumps(head)


def _head(place: Path | Source) -> bytes:
    if not isinstance(place, Path):
        return bytes(place.read_at(HEAD, 0))
    with open(place, "rb") as stream:
        return stream.read(HEAD)


class Archive:
    """An open archive; see ``open_archive``. Use as a context manager."""

    def __init__(
        self, reader: ZipReader, *, compared: bool = False, with_packs: bool = False
    ):
        self.reader = reader
        self._is_compared = compared
        self._with_packs = with_packs
        self._contents = _Contents()
        for entry in reader.entries():
            self._contents.add(entry)
        self.manifest = self._read_manifest()

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.reader.__exit__(*exc_info)

    @property
    def dump(self) -> Entry:
        """The member with the database. Raise PermanentError when there is none."""
        self.require_complete()
        entry = self._dump
        if entry is None:
            folder = self._contents.folder
            raise InsideFolder(folder=folder, member=DUMP) if folder else NoDatabase
        return entry

    def require_complete(self) -> None:
        """Raise ExportFirst for the archive of an incremental backup whose packs
        nobody has."""
        if self.is_incremental and not self._with_packs:
            raise ExportFirst

    @property
    def _dump(self) -> Entry | None:
        name = INCREMENTAL_DUMP if self._has_packs else DUMP
        return self._contents.top.get(name)

    @property
    def _has_packs(self) -> bool:
        return self._with_packs and self.is_incremental

    @property
    def is_incremental(self) -> bool:
        return self.manifest.is_incremental or INCREMENTAL_DUMP in self._contents.top

    @property
    def content_digest(self) -> str:
        """That of the manifest in the archive: what is read here is compared with the
        list of checksums, and the list with that manifest."""
        return self.manifest.content_digest

    def sql(self) -> Iterator[bytes]:
        """Yield the dump in pieces; after the last one its SHA-256, too, is known to be
        that of the list. The list itself is known to be right when all ``attachments``
        were taken.

        So a restore that reads an archive anyway need not ``check`` it before.
        """
        dump = self.dump
        yield from as_listed(self._listed_dump(), self.reader.pieces(dump))

    def _listed_dump(self) -> Listed:
        if self._is_compared or CHECKSUMS not in self._contents.top:
            return Listed(self.dump, None)
        for listed in self._listed_members():
            if listed.entry == self.dump:
                return listed
        raise DamagedArchive(log=f"{self.dump.name} is not in {CHECKSUMS}")

    def attachments(self) -> Iterator[Listed]:
        """Yield the members of the filestore in this zip."""
        return (listed for listed in self._to_compare() if is_attachment(listed.entry))

    def addon_files(self) -> Iterator[Listed]:
        """Yield the members of the custom addons."""
        return (listed for listed in self._to_compare() if is_addon_file(listed.entry))

    def names_are_proven(self) -> bool:
        """Tell whether each attachment file had the SHA-1 of its name when it was
        archived, and is known to be the same once it was read."""
        known = self._is_compared or bool(self.content_digest)
        return self.manifest.is_proven and known

    def _to_compare(self) -> Iterator[Listed]:
        """Yield every member; when the list of checksums has no end that the
        manifest knows, raise PermanentError after the last one."""
        if self._is_compared:
            return (Listed(entry, None) for entry in self.reader.entries())
        return self._listed_members()

    def describe(self) -> Description:
        """Return what the archive holds. Reads no more than the manifest and the
        dump's head."""
        found, dump = self._contents, self._dump
        packed = self.manifest.packed if self._has_packs else {}
        files = found.files + (packed.get("files") or 0)
        parts = {"database": dump, "filestore": files, "addons": found.addons}
        return replace(
            self.manifest.describe(),
            size=self.reader.size,
            members=found.members,
            sql_bytes=dump.size if dump else 0,
            files=files,
            file_bytes=found.file_bytes + (packed.get("bytes") or 0),
            addon_bytes=found.addon_bytes,
            addons=tuple(sorted(found.addons)),
            pg_version=self._pg_version(),
            contents=tuple(part for part, present in parts.items() if present),
            has_checksums=CHECKSUMS in found.top,
            folder="" if dump else found.folder,
            incremental=self.is_incremental,
        )

    def _pg_version(self) -> tuple[int, ...]:
        """Return the version of the dumped server: from the dump itself, else the
        manifest."""
        entry = self._dump
        head = next(self.reader.pieces(entry), b"")[:4096] if entry else b""
        versions = dict(DUMPED.findall(head))
        text = versions.get(b"from database", b"").decode()
        return numbers_in(text or self.manifest.pg_version)

    def _read_manifest(self) -> Manifest:
        entry = self._contents.top.get(MANIFEST)
        if entry is None:
            return Manifest()
        return parse_manifest(self.reader.read(entry, MAX_BYTES))

    # === CHECK === #

    def check(self, progress: Progress, *, workers: int | None = None) -> int:
        """Read everything and compare it with SHA256SUMS, which is compared with the
        manifest; return the number of members.

        Where there are no checksums, as in archives of Odoo, sizes and CRC-32 are
        compared. Raise PermanentError at the first member that is not what it was, and
        Cancelled.
        """
        progress.expect(self._contents_bytes())
        pool = WorkerPool(progress, workers)

        def check_batch(batch: list[Listed]) -> int:
            members = self.reader.members([listed.entry for listed in batch])
            for (_entry, pieces), listed in zip(members, batch, strict=True):
                for piece in as_listed(listed, pieces):
                    pool.count(len(piece))
            return len(batch)

        return sum(pool.map(check_batch, batches_of(self._listed_members())))

    def _contents_bytes(self) -> int:
        found = self._contents
        top = sum(entry.size for entry in found.top.values())
        return top + found.file_bytes + found.addon_bytes

    def _listed_members(self) -> Iterator[Listed]:
        """Yield every member with the SHA-256 that it should have.

        The list has the order of the archive, so neither needs to be held in memory.
        """
        if CHECKSUMS not in self._contents.top:
            if self.content_digest:
                raise ListMissing(
                    log=f"{CHECKSUMS}, which {MANIFEST} names, is not there"
                )
            yield from (Listed(entry, None) for entry in self.reader.entries())
            return
        listed = self._listed(self._contents.top[CHECKSUMS])
        for entry in self.reader.entries():
            if entry.name in (CHECKSUMS, MANIFEST):
                continue
            sha256, name = next(listed, ("", "nothing"))
            if name != entry.name:
                raise DamagedArchive(
                    log=f"{CHECKSUMS} has {name} where the archive has {entry.name}"
                )
            yield Listed(entry, sha256)
        if left := next(listed, None):
            raise DamagedArchive(log=f"{left[1]} of {CHECKSUMS} is not in the archive")

    def _listed(self, entry: Entry) -> Iterator[tuple[str, str]]:
        """Yield (SHA-256, name) of each line; the list itself must be that of the
        manifest."""
        digest, count = hashlib.sha256(), 0
        for line in checksum_lines(self.reader.pieces(entry)):
            digest.update(line)
            count += 1
            yield listed_member(line)
        found = {"count": count, "sha256sums": digest.hexdigest()}
        named = self.manifest.members
        if named and {name: named.get(name) for name in found} != found:
            raise ListDiffers(log=f"{CHECKSUMS} is not the one that {MANIFEST} names")


def as_listed(listed: Listed, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the pieces of a member; after the last one its SHA-256 is known to be
    that of the list, if it is to be looked at. Raise PermanentError."""
    if listed.sha256 is None:
        yield from pieces
        return
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != listed.sha256:
        raise MemberDiffers(
            log=f"{listed.entry.name}: its SHA-256 is not that of {CHECKSUMS}"
        )


def batches_of(members: Iterable[Listed]) -> Iterator[list[Listed]]:
    """Return members in groups that are worth handing to a thread."""
    return batches(members, lambda one: one.entry.size, BATCH_MEMBERS, BATCH_BYTES)


def checksum_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield whole lines, with their line feeds. Raise DamagedArchive for one that is
    longer than any can be."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > LONGEST_LINE:
            raise DamagedArchive(log=f"{CHECKSUMS} has a line without an end")
        yield from (line + b"\n" for line in lines)
    if rest:
        yield rest


def listed_member(line: bytes) -> tuple[str, str]:
    """Return (SHA-256, name) of a line of ``sha256sum``."""
    try:
        text = line.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise DamagedArchive(log=f"a line of {CHECKSUMS} is not UTF-8") from error
    escaped = text.startswith("\\")
    sha256, _blank, name = text.removeprefix("\\").partition("  ")
    if escaped:
        name = re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), name)
    return sha256, name
