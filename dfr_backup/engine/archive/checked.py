"""A zip of which single members are read, each compared with the archive's list of
checksums, and that list with what vouches for it."""

import hashlib
from collections.abc import Collection, Iterator, Sequence

from ..errors.fetch import DamagedArchive, ListDiffers, ListMissing
from ..manifest.names import CHECKSUMS, MANIFEST
from .random_access import Source
from .reader import Listed, as_listed, checksum_lines, listed_member
from .zip_directory import Entry
from .zip_reader import ZipReader


class CheckedReader(ZipReader):
    """As ``ZipReader``. ``sums`` is the SHA-256 (hexadecimal) that SHA256SUMS has to
    have, "" when nobody knows: then members only have their CRC-32."""

    def __init__(self, place: Source, sums: str = ""):
        super().__init__(place)
        self._sums = sums
        self._known: dict[str, str] = {}

    def __enter__(self) -> "CheckedReader":
        return self

    def want(self, members: Collection[Entry]) -> None:
        """Look up the checksums of several members at once: the list is read as a
        whole each time. Raise PermanentError when it is not the right one, or a member
        is not in it."""
        if not self._sums:
            return
        names = {entry.name for entry in members} - {CHECKSUMS, MANIFEST}
        self._known |= self._listed_in_whole(names - self._known.keys())

    def listed(self, members: Sequence[Entry]) -> list[Listed]:
        """Return members with their checksums, as far as anybody knows them. Raise as
        ``want`` does."""
        self.want(members)
        return [Listed(entry, self._known.get(entry.name)) for entry in members]

    def pieces(self, entry: Entry) -> Iterator[bytes]:
        """Yield the content of a member; after the last piece its SHA-256 is known to
        be right."""
        self.want([entry])
        listed = Listed(entry, self._known.get(entry.name))
        return as_listed(listed, super().pieces(entry))

    def _listed_in_whole(self, names: Collection[str]) -> dict[str, str]:
        if not names:
            return {}
        digest, found = hashlib.sha256(), {}
        # not our own pieces(), which needs this very list
        listed = super().pieces(self._list())  # pylint: disable=super-method-mismatch
        lines = checksum_lines(listed)
        for number, line in enumerate(lines):
            if number >= self.directory.count:
                raise DamagedArchive(log=f"{CHECKSUMS} has more lines than members")
            digest.update(line)
            sha256, name = listed_member(line)
            if name in names:
                found[name] = sha256
        if digest.hexdigest() != self._sums:
            raise ListDiffers(log=f"{CHECKSUMS} is not the one that was stored")
        if missing := set(names) - found.keys():
            raise DamagedArchive(log=f"{min(missing)} is not in {CHECKSUMS}")
        return found

    def _list(self) -> Entry:
        for entry in self.entries():
            if entry.name == CHECKSUMS:
                return entry
        raise ListMissing(log=f"{CHECKSUMS} is not there")
