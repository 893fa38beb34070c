"""A stored backup, looked into where it is, as if all members were in one zip."""

import heapq
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from ..archive.checked import CheckedReader
from ..archive.zip_directory import Entry
from ..catalog.browse import Identities, look_into
from ..catalog.catalogued import Catalogued, require_catalogued
from ..catalog.compare import in_order
from ..errors.packs import NotIncremental
from ..storages.base import Storage
from .names import store_fname_of
from .reading import OpenPart, Part, held_in, merged, packs_of


class PackedEntry(Entry):
    """A member in a pack."""

    part: Part


class BackupReader:
    """The archive of a backup, open, and its packs, of which one is open at a time:
    only when something is looked for that the archive itself has not. It is read as a
    ``CheckedReader``."""

    def __init__(self, own: CheckedReader, packs: Sequence[Part] = ()):
        self._own = own
        self._packs = packs
        self._wanted: dict[str, list[Entry]] = {}
        self._part: Part | None = None
        self._opened: OpenPart
        self._resources = ExitStack()

    def __enter__(self) -> "BackupReader":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._resources.close()

    def entries(self) -> Iterator[Entry]:
        """Yield every member that belongs to the backup, first those of the archive
        itself. Raise PermanentError when a pack is not there or is damaged."""
        yield from self._own.entries()
        for part in self._packs:
            with part.open() as opened:
                for entry in opened.members():
                    found = PackedEntry(*entry)
                    found.part = part
                    yield found

    def in_order(self) -> Iterator[tuple[str, int]]:
        """Yield (``store_fname``, bytes) of each attachment file in the order of the
        names. Raise NotComparable when the archive has another one."""
        packed = merged([held_in(part) for part in self._packs])
        names = ((store_fname_of(each.digest), each.size) for each in packed)
        return heapq.merge(in_order(self._own), names)

    def want(self, members: Collection[Entry]) -> None:
        """As ``CheckedReader.want``."""
        self._own.want([one for one in members if not isinstance(one, PackedEntry)])
        for entry in members:
            if isinstance(entry, PackedEntry):
                self._wanted.setdefault(entry.part.key, []).append(entry)

    def pieces(self, entry: Entry) -> Iterator[bytes]:
        """As ``CheckedReader.pieces``."""
        if not isinstance(entry, PackedEntry):
            return self._own.pieces(entry)
        return self._open(entry.part).pieces(entry)

    def _open(self, part: Part) -> OpenPart:
        if self._part is not part:
            self._part = None
            self._resources.close()
            self._opened = self._resources.enter_context(part.open())
            self._opened.reader.want(self._wanted.get(part.key, ()))
            self._part = part
        return self._opened


@contextmanager
def look_into_backup(
    storage: Storage,
    key: str,
    identities: Identities = None,
    known: Catalogued | None = None,
) -> Iterator[BackupReader]:
    """Open a backup, complete or incremental, to read members of it. As ``look_into``
    for its archive; reading raises also what its packs do."""
    known = known or Catalogued()
    sidecar = require_catalogued(storage, key, known)
    packs: Sequence[Part] = ()
    if sidecar and sidecar.is_incremental:
        if sidecar.packs is None:
            raise NotIncremental(key=key)
        packs = packs_of(storage, sidecar, identities)
    with (
        look_into(storage, key, identities, known) as own,
        BackupReader(own, packs) as reader,
    ):
        yield reader
