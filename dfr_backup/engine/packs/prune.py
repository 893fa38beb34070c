"""Packs that no backup needs any more are deleted, in two runs of this: the first one
condemns them, by an object in the storage that every writer looks for; a later one
deletes those that still nobody needs.

Whatever interrupts this, something stays that could have gone, and nothing goes that is
needed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ..checkpoints import checkpoint
from ..errors import PermanentError
from ..errors.packs import StorageChanged
from ..manifest.names import sidecar_key
from ..progress import Progress
from ..storages.base import StoredObject
from .index import Index
from .listing import Listing, read_small
from .names import CONDEMNATION, clock_key, condemned_key, has_prefix, stem_of
from .needed import KnownCopy, Needs, read_needs, require_listed
from .owner import Owner, Place
from .sidecar import parse_pack_sidecar
from .terms import TERMS, Terms


@dataclass
class Pruned:
    """Keys of the packs that were ``condemned``, ``spared`` again because a backup
    needs them, and ``deleted``."""

    condemned: list[str] = field(default_factory=list)
    spared: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)


class Prune:
    """One look at a place. ``known`` are all backups there that the catalogue has not
    noted as deleted. Whoever calls this has seen to it that the database is the
    original of its identity, that nobody stores in its name, and that none of its runs
    is at work."""

    def __init__(
        self,
        place: Place,
        owner: Owner,
        known: Sequence[KnownCopy],
        terms: Terms = TERMS,
    ):
        self._place = place
        self._storage = place.storage
        self._owner = owner
        self._known = known
        self._terms = terms

    def prune(self, progress: Progress) -> Pruned:
        """Delete what was condemned for long enough, and condemn what is not needed.

        Nothing is deleted or condemned, and an error raised, when a backup that the
        catalogue knows is not listed (CopyNotListed), or a sidecar cannot be read
        (BackupUnreadable). When backups come or go meanwhile, nothing is deleted
        (StorageChanged). Raise EngineError.
        """
        listing = Listing.of(self._storage, progress)
        needs = read_needs(self._storage, listing, progress)
        require_listed(self._storage, listing, needs, self._known)
        pruned, now = Pruned(), self._now()
        self._spare(listing, needs, now, pruned)
        due = [
            key
            for key in self._unneeded(listing, needs)
            if self._is_due(listing, needs, key, now)
        ]
        self._condemn(listing, needs, now, pruned)
        for key in due:
            self._require_unchanged(listing, key, progress)
            self._delete(listing, key, pruned)
        return pruned

    def _now(self) -> datetime:
        """Return the time by the storage's clock, which all that is compared is from.
        Raise EngineError."""
        key = clock_key(self._owner.identity.uuid)
        self._storage.put_bytes(b"dfr_backup: the time\n", key)
        found = self._storage.stat(key)
        self._storage.delete(key)
        if found is None:
            raise StorageChanged(location=self._storage.location(""))
        return found.modified

    # === WHAT IS NOT NEEDED === #

    def _unneeded(self, listing: Listing, needs: Needs) -> Iterator[str]:
        """Yield the keys of our own packs that no backup needs."""
        for stored in listing.packs():
            if stored.key not in needs.packs and self._is_own(listing, stored.key):
                yield stored.key

    def _is_own(self, listing: Listing, key: str) -> bool:
        """Tell whether a pack is this database's: its sidecar says so. One that has
        none, or none that names anybody, was left by a kill, and has our name."""
        if not has_prefix(key, self._owner.prefixes):
            return False
        beside = sidecar_key(key)
        if beside not in listing.objects:
            return True
        try:
            about = parse_pack_sidecar(read_small(self._storage, beside), beside)
        except PermanentError:
            return True
        if about.key != key:
            return False
        return self._owner.vouches(about.signature) or not about.identity.uuid

    def _condemn(
        self, listing: Listing, needs: Needs, now: datetime, pruned: Pruned
    ) -> None:
        for key in self._unneeded(listing, needs):
            old = now - listing.objects[key].modified >= self._terms.young
            if old and not listing.is_condemned(key):
                self._storage.put_bytes(b"dfr_backup: condemned\n", condemned_key(key))
                checkpoint("packs.condemned")
                pruned.condemned.append(key)

    def _spare(
        self, listing: Listing, needs: Needs, now: datetime, pruned: Pruned
    ) -> None:
        """Take back what was condemned and is needed, and remove what is left of a pack
        that is gone. A backup that was stored just now may still be withdrawn, because
        its own look has found the pack condemned."""
        packs = {stem_of(stored.key): stored.key for stored in listing.packs()}
        for condemned in list(listing.objects):
            found = CONDEMNATION.fullmatch(condemned)
            if not found or not has_prefix(condemned, self._owner.prefixes):
                continue
            key = packs.get(found[1])
            if key is None:
                self._storage.delete(f"{found[1]}.json")
                self._storage.delete(condemned)
            elif key in needs.packs and (now - needs.packs[key] >= self._terms.settled):
                self._storage.delete(condemned)
                pruned.spared.append(key)

    # === DELETING === #

    def _is_due(self, listing: Listing, needs: Needs, key: str, now: datetime) -> bool:
        condemned = listing.objects.get(condemned_key(key))
        if condemned is None or now - condemned.modified < self._terms.grace:
            return False
        return self._backups_since(listing, needs, condemned) >= self._terms.backups

    def _backups_since(
        self, listing: Listing, needs: Needs, condemned: StoredObject
    ) -> int:
        """Return how many verified backups were stored after a pack was condemned."""
        verified = {copy.key for copy in self._known if copy.verified}
        return sum(
            sidecar.key in verified
            and listing.objects[beside].modified > condemned.modified
            for beside, sidecar in needs.sidecars.items()
        )

    def _require_unchanged(self, before: Listing, key: str, progress: Progress) -> None:
        """List again. Raise StorageChanged when that shows other backups than those
        that were read, or not the same condemnation."""
        after = Listing.of(self._storage, progress)
        same = list(before.manifests()) == list(after.manifests())
        condemned = condemned_key(key)
        if not same or before.objects[condemned] != after.objects.get(condemned):
            raise StorageChanged(location=self._storage.location(""))

    def _delete(self, listing: Listing, key: str, pruned: Pruned) -> None:
        """Delete a pack, then what says something about it. Last of all its
        condemnation: as long as anything of it is left, nobody uses it."""
        self._storage.delete(key)
        checkpoint("packs.deleted")
        if sidecar_key(key) in listing.objects:
            self._storage.delete(sidecar_key(key))
        self._storage.delete(condemned_key(key))
        Index(self._place, self._owner).forget(key)
        pruned.deleted.append(key)
