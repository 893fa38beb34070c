"""What the packs of a location hold: a file of this server for each pack, so that none
is read again. The storage decides which packs there are; a file only saves looking into
one.

A file is a line of JSON, then 28 bytes for each attachment file of the pack, in the
order of its directory (the SHA-1, and the size as eight bytes, the highest first), then
the SHA-256 of all that. Of an encrypted pack, they are sealed, 512 at a time.
"""

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ..archive.checked import CheckedReader
from ..archive.random_access import open_stored
from ..archive.reader import is_attachment
from ..errors import PermanentError
from ..errors.packs import PackMalformed
from ..fileio.durable import write_private
from ..identity import Identity
from ..manifest.names import FILESTORE, sidecar_key
from ..manifest.pack_use import PackUse
from ..messages import Message, _
from ..progress import Progress
from ..storages.base import StoredObject
from ..untrusted import parse_json
from .listing import Listing, read_small
from .names import digest_of, has_prefix, stem_of
from .owner import Owner, Place
from .sealed import OVERHEAD, Seal, which_opens
from .sidecar import PackSidecar, parse_pack_sidecar

RECORD = struct.Struct(">20sQ")
SUFFIX = ".index"
DIGEST = 32  # bytes
LONGEST_HEAD = 4096  # bytes
AT_ONCE = 512  # records that are read at once, of each of perhaps thousands of packs
NUMBERS = ("size", "files", "total", "file_size")
TEXTS = ("key", "sha256", "sums", "mark", "file_sha256")
NOT_USED = _("%(key)s is not used any more: %(problem)s")
ORDER = _("its files have odd names, or another order than their names")
COUNT = _("it holds other files than its description says")


class Held(NamedTuple):
    """An attachment file in a pack: its SHA-1, and its size in bytes."""

    digest: bytes
    size: int


@dataclass(frozen=True)
class KnownPack:
    """A pack whose content is known. ``seal`` opens what is remembered of it, where
    that is sealed."""

    about: PackSidecar
    _file: Path
    _start: int
    seal: Seal | None = None

    def held(self) -> Iterator[Held]:
        """Yield its attachment files in the order of its directory, which is that of
        their names."""
        for number in range(_pieces_of(self.about.files)):
            piece = self.piece(number, OVERHEAD if self.seal else 0)
            if self.seal:
                piece = self.seal.open(piece, _place(self.about.key, number))
            yield from map(Held._make, RECORD.iter_unpack(piece))

    def piece(self, number: int, overhead: int) -> bytes:
        """Return some of the records as they lie in the file, each so many bytes
        larger. Raise OSError."""
        whole = AT_ONCE * RECORD.size + overhead
        count = min(self.about.files - number * AT_ONCE, AT_ONCE)
        # not kept open: there may be more packs than files that a process may open
        with open(self._file, "rb") as stream:
            stream.seek(self._start + number * whole)
            return stream.read(count * RECORD.size + overhead)


def known_pack(index: Path, key: str) -> KnownPack | None:
    """Return a pack of a location, given its folder of this server; None when its
    content is not known."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return _read(index / f"{stem_of(key)}{SUFFIX}")
    return None


class Index:
    """The packs of a database in a place that can be used for more backups; ``mark``
    names the keys that a pack must be encrypted for, "" for none."""

    def __init__(self, place: Place, owner: Owner, mark: str = ""):
        self._place = place
        self._owner = owner
        self._mark = mark

    def stored(self, listing: Listing, progress: Progress) -> list[KnownPack]:
        """Return the packs that count as stored, the largest first: those of this
        database that are listed with their sidecar and the right size, are not
        condemned, and whose content is known. A pack that cannot be looked into does
        not count. What is known of packs that are not listed is forgotten. Raise
        RetryableError, Cancelled."""
        known = []
        for stored in listing.packs():
            progress.tick()
            if self._may_count(stored, listing):
                pack = self._remembered(stored, listing) or self._look(stored, progress)
                known += [pack] if pack else []
        self._forget_others({stem_of(stored.key) for stored in listing.packs()})
        return sorted(known, key=lambda pack: (-pack.about.total, pack.about.key))

    def add(self, about: PackSidecar, held: Iterable[Held]) -> KnownPack:
        """Remember what a pack holds. Raise OSError."""
        seal = self._owner.seals[0] if about.mark else None
        head = {name: getattr(about, name) for name in (*NUMBERS, *TEXTS)}
        head |= {"identity": about.identity.key, "sealed": bool(seal)}
        line = json.dumps(head).encode() + b"\n"
        records = b"".join(RECORD.pack(*each) for each in held)
        data = line + (_sealed(records, about.key, seal) if seal else records)
        path = self._path(about.key)
        write_private(path, data + hashlib.sha256(data).digest(), over=True)
        return KnownPack(about, path, len(line), seal)

    def forget(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def forget_damaged(self, use: PackUse) -> None:
        """Forget a pack that was read back and is not what it is remembered to be. One
        that only some manifest calls something else is kept. Raise OSError."""
        path = self._path(use.key)
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            if _read(path, self._owner.seals).about.sha256 == use.sha256:
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._place.index / f"{stem_of(key)}{SUFFIX}"

    def _may_count(self, stored: StoredObject, listing: Listing) -> bool:
        return (
            has_prefix(stored.key, self._owner.prefixes)
            and sidecar_key(stored.key) in listing.objects
            and stored.key.endswith(".age") == bool(self._mark)
            and not listing.is_condemned(stored.key)
        )

    def _counts(self, about: PackSidecar, stored: StoredObject) -> bool:
        same = (about.key, about.size) == (stored.key, stored.size)
        return same and about.mark == self._mark

    def _remembered(self, stored: StoredObject, listing: Listing) -> KnownPack | None:
        path = self._path(stored.key)
        with suppress(OSError, ValueError, KeyError, TypeError):
            pack = _read(path, self._owner.seals)
            about = pack.about
            beside = listing.has(sidecar_key(stored.key), about.file_size)
            own = self._owner.owns(about.identity)
            if beside and own and self._counts(about, stored):
                unsealed = about.mark and not pack.seal  # by an older release
                return self.add(about, list(pack.held())) if unsealed else pack
        return None

    def _look(self, stored: StoredObject, progress: Progress) -> KnownPack | None:
        try:
            return self._read_in(stored, progress)
        except PermanentError as error:
            progress.log(Message(NOT_USED, key=stored.key, problem=error))
            return None

    def _read_in(self, stored: StoredObject, progress: Progress) -> KnownPack | None:
        """Look into a pack that is not known yet. Raise PermanentError when it is not
        what its sidecar says."""
        storage, beside = self._place.storage, sidecar_key(stored.key)
        about = parse_pack_sidecar(read_small(storage, beside), beside)
        if not self._counts(about, stored) or self._mark:
            return None  # into an encrypted one nobody here can look
        signature = about.signature
        if self._owner.forged(signature):
            return None
        vouched = self._owner.vouches(signature)
        if not vouched and not self._owner.owns(about.identity):
            return None
        if not vouched:  # by a key that was lost: it must say so itself
            storage.verify(about.key, about.size, about.sha256, progress)
        with (
            open_stored(storage, about.key) as source,
            CheckedReader(source, about.sums) as reader,
        ):
            held = _held_in(reader, about)
            # the list of checksums vouches for what a later reader takes
            reader.want([next(reader.entries())])
            if not vouched:
                _require_named(reader, progress)
        return self.add(about, held)

    def _forget_others(self, stems: set[str | None]) -> None:
        with suppress(FileNotFoundError):
            for path in self._place.index.iterdir():
                stem = path.name.removesuffix(SUFFIX)
                if path.name.endswith(SUFFIX) and stem not in stems:
                    path.unlink(missing_ok=True)


def _pieces_of(files: int) -> int:
    return -(-files // AT_ONCE)


def _place(key: str, number: int) -> str:
    return f"{key} {number}"


def _sealed(records: bytes, key: str, seal: Seal) -> bytes:
    size = AT_ONCE * RECORD.size
    pieces = [records[at : at + size] for at in range(0, len(records), size)]
    return b"".join(seal.close(p, _place(key, n)) for n, p in enumerate(pieces))


def _read(path: Path, seals: Sequence[Seal] = ()) -> KnownPack:
    """Return what a file remembers. Raise OSError, and ValueError or its like when it
    is damaged, or sealed by another key."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        line = stream.readline(LONGEST_HEAD)
        head = parse_json(line)
        digest.update(line)
        left = head["files"] * RECORD.size
        if head.get("sealed"):
            left += _pieces_of(head["files"]) * OVERHEAD
        while left > 0 and (piece := stream.read(min(left, 1 << 20))):
            digest.update(piece)
            left -= len(piece)
        if left or stream.read(DIGEST + 1) != digest.digest():
            raise ValueError("it was not written by us, or is damaged")
    values = {name: head[name] for name in (*NUMBERS, *TEXTS)}
    about = PackSidecar(**values, identity=Identity.from_key(head["identity"]))
    pack = KnownPack(about, path, len(line))
    if not head.get("sealed"):
        return pack
    seal = which_opens(seals, pack.piece(0, OVERHEAD), _place(about.key, 0))
    return replace(pack, seal=seal)


def _held_in(reader: CheckedReader, about: PackSidecar) -> list[Held]:
    """Return the attachment files of a pack. Raise PackMalformed when they are not
    those that its sidecar speaks of, or not in their order."""
    held, last = [], b""
    for entry in reader.entries():
        if not is_attachment(entry):
            continue
        digest = digest_of(entry.name.removeprefix(FILESTORE))
        if digest is None or digest <= last:
            raise PackMalformed(key=about.key, reason=Message(ORDER))
        held.append(Held(digest, entry.size))
        last = digest
    if (len(held), sum(each.size for each in held)) != (about.files, about.total):
        raise PackMalformed(key=about.key, reason=Message(COUNT))
    return held


def _require_named(reader: CheckedReader, progress: Progress) -> None:
    """Raise PackMalformed when a file of a pack has another SHA-1 than its name."""
    for entry in reader.entries():
        if is_attachment(entry):
            sha1 = hashlib.sha1(usedforsecurity=False)
            for piece in reader.pieces(entry):
                sha1.update(piece)
                progress.tick()
            if entry.name.rpartition("/")[2] != sha1.hexdigest():
                raise PackMalformed(key=entry.name, reason=Message(COUNT))
