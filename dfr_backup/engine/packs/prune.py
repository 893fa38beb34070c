"""Packs that no backup needs any more are deleted, in two runs of this: the first one
condemns them, by an object in the storage that every writer looks for; a later one
deletes those that still nobody needs.

Whatever interrupts this, something stays that could have gone, and nothing goes that is
needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ..checkpoints import checkpoint
from ..errors import PermanentError
from ..errors.packs import StorageChanged
from ..manifest.names import PACK_SIDECAR, sidecar_key
from ..manifest.pack_use import PackUse
from ..progress import Progress
from ..storages.base import Storage
from .index import Index
from .listing import Listing, condemn, read_small
from .names import CONDEMNATION, clock_key, condemned_key, has_prefix, stem_of
from .needed import ARCHIVES, KnownCopy, Needs, read_needs, require_listed
from .owner import Owner, Place
from .sidecar import parse_pack_sidecar
from .terms import TERMS, Terms


@dataclass(frozen=True)
class Unneeded:
    """A pack that no backup needs: its ``key`` and ``size`` (bytes), ``since`` when it
    is condemned (None: not yet), and whether it is ``due``, so that a prune deletes
    it. One that would be due, but for its lock, is ``locked_until`` then."""

    key: str
    size: int
    since: datetime | None
    due: bool
    locked_until: datetime | None = None


@dataclass
class Pruned:
    """What was ``condemned``, what was ``deleted``, and what is ``left`` that no backup
    needs."""

    condemned: list[Unneeded] = field(default_factory=list)
    deleted: list[Unneeded] = field(default_factory=list)
    left: list[Unneeded] = field(default_factory=list)

    @property
    def locked(self) -> list[Unneeded]:
        """What is left only because the storage has locked it."""
        return [pack for pack in self.left if pack.locked_until]


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

    def look(self, now: datetime, progress: Progress) -> list[Unneeded]:
        """Return what no backup needs, and change nothing. Raise as ``prune`` does."""
        listing, needs = self._read(progress)
        return self._unneeded(listing, needs, now, progress)

    def prune(self, progress: Progress, pruned: Pruned) -> None:
        """Delete what was condemned for long enough, and condemn what is not needed;
        add it to ``pruned``, which an earlier attempt may have begun.

        What is locked is left to a later prune.

        Nothing is deleted or condemned, and an error raised, when a backup that the
        catalogue knows is not listed (CopyNotListed), or a sidecar cannot be read
        (BackupUnreadable). When backups come or go meanwhile, nothing is deleted
        (StorageChanged). Raise EngineError.
        """
        listing, needs = self._read(progress)
        now = self._now()
        self._remove_leftovers(listing, now)
        pruned.left = unneeded = self._unneeded(listing, needs, now, progress)
        self._condemn(listing, unneeded, now, pruned)
        for pack in [pack for pack in unneeded if pack.due]:
            self._require_unchanged(listing, pack.key, progress)
            self._delete(pack, pruned)

    def _read(self, progress: Progress) -> tuple[Listing, Needs]:
        listing = Listing.of(self._storage, progress)
        needs = read_needs(self._storage, listing, self._owner, progress)
        require_listed(self._storage, listing, needs, self._known)
        return listing, needs

    def _now(self) -> datetime:
        """Return the time by the storage's clock, which all that is compared is from.
        Raise EngineError."""
        key = clock_key(self._owner.identity.uuid)
        self._storage.put_passing(b"dfr_backup: the time\n", key)
        found = self._storage.stat(key)
        self._storage.delete(key)
        if found is None:
            raise StorageChanged(location=self._storage.location(""))
        return found.modified

    # === WHAT IS NOT NEEDED === #

    def _unneeded(
        self, listing: Listing, needs: Needs, now: datetime, progress: Progress
    ) -> list[Unneeded]:
        """Return our own packs that no backup needs."""
        found = []
        for stored in listing.packs():
            progress.tick()
            key = stored.key
            if key not in needs.packs and self._is_own(listing, key):
                condemned = listing.objects.get(condemned_key(key))
                since = condemned.modified if condemned else None
                due = since is not None and self._is_due(listing, needs, since, now)
                locked = self._locked_until(listing, key) if due else None
                due = due and locked is None
                found.append(Unneeded(key, stored.size, since, due, locked))
        return found

    def _locked_until(self, listing: Listing, key: str) -> datetime | None:
        """Return until when a pack, or its sidecar, cannot be deleted."""
        both = [each for each in (key, sidecar_key(key)) if each in listing.objects]
        locks = filter(None, map(self._storage.lock_of, both))
        return max((lock.until for lock in locks), default=None)

    def _is_own(self, listing: Listing, key: str) -> bool:
        """Tell whether a pack is this database's: its sidecar says so, whoever has
        signed that, because the server that did may be lost with its key; but for one
        that was changed after it was signed here. One that has none, or none that names
        anybody, was left by a kill, and has our name."""
        if not has_prefix(key, self._owner.prefixes):
            return False
        beside = sidecar_key(key)
        if beside not in listing.objects:
            return True
        try:
            about = parse_pack_sidecar(read_small(self._storage, beside), beside)
        except PermanentError:
            return True
        if about.key != key or self._owner.forged(about.signature):
            return False
        return self._owner.owns(about.identity) or not about.identity.uuid

    def _condemn(
        self,
        listing: Listing,
        unneeded: Sequence[Unneeded],
        now: datetime,
        pruned: Pruned,
    ) -> None:
        for pack in unneeded:
            old = now - listing.objects[pack.key].modified >= self._terms.young
            if old and pack.since is None:
                condemn(self._storage, pack.key)
                checkpoint("packs.condemned")
                pruned.condemned.append(pack)

    def _remove_leftovers(self, listing: Listing, now: datetime) -> None:
        """Remove what is left of packs that are gone."""
        for stored in list(listing.objects.values()):
            if found := CONDEMNATION.fullmatch(stored.key):
                own = has_prefix(stored.key, self._owner.prefixes)
                if own and self._is_gone(listing, found[1]):
                    self._remove(f"{found[1]}.json", stored.key)
            elif PACK_SIDECAR.fullmatch(stored.key):
                old = now - stored.modified >= self._terms.young
                if old and self._is_left(listing, stem_of(stored.key)):
                    self._remove(stored.key)

    def _remove(self, *keys: str) -> None:
        """Delete objects in this order, up to one that is locked."""
        for key in keys:
            if self._storage.lock_of(key):
                return
            self._storage.delete(key)

    def _is_left(self, listing: Listing, stem: str | None) -> bool:
        """Tell whether a sidecar is of one of our own packs that is gone."""
        packs = [f"{stem}{ending}" for ending in ARCHIVES]
        gone = self._is_gone(listing, stem)
        return gone and any(self._is_own(listing, pack) for pack in packs)

    def _is_gone(self, listing: Listing, stem: str | None) -> bool:
        """Tell whether there is no such pack. One that is not listed is asked for: the
        list may be incomplete."""
        packs = [f"{stem}{ending}" for ending in ARCHIVES]
        listed = any(pack in listing.objects for pack in packs)
        return not listed and not any(map(self._storage.stat, packs))

    # === DELETING === #

    def _is_due(
        self, listing: Listing, needs: Needs, since: datetime, now: datetime
    ) -> bool:
        if now - since < self._terms.grace:
            return False
        return self._backups_since(listing, needs, since) >= self._terms.backups

    def _backups_since(self, listing: Listing, needs: Needs, since: datetime) -> int:
        """Return how many verified backups were stored after a moment."""
        verified = {copy.key for copy in self._known if copy.verified}
        return sum(
            sidecar.key in verified and listing.objects[beside].modified > since
            for beside, sidecar in needs.sidecars.items()
        )

    def _require_unchanged(self, before: Listing, key: str, progress: Progress) -> None:
        """List again. Raise StorageChanged when that shows other backups than those
        that were read, or not the same condemnation and sidecar of the pack."""
        after = Listing.of(self._storage, progress)
        same = list(before.manifests()) == list(after.manifests())
        for beside in (condemned_key(key), sidecar_key(key)):
            same &= before.objects.get(beside) == after.objects.get(beside)
        if not same:
            raise StorageChanged(location=self._storage.location(""))

    def _delete(self, pack: Unneeded, pruned: Pruned) -> None:
        """Delete a pack, then what says something about it. Last of all its
        condemnation: as long as anything of it is left, nobody uses it."""
        self._storage.delete(pack.key)
        checkpoint("packs.deleted")
        self._storage.delete(sidecar_key(pack.key))
        self._storage.delete(condemned_key(pack.key))
        Index(self._place, self._owner).forget(pack.key)
        pruned.deleted.append(pack)
        pruned.left.remove(pack)


def condemn_damaged(storage: Storage, owner: Owner, use: PackUse) -> bool:
    """Condemn a pack that was read back and is not what a backup names; tell whether
    that was done. A manifest that names our packs and is not ours decides nothing:
    what the pack has to be is said by its own sidecar. That one may be signed by a key
    that was lost: whoever can forge it has the pack beside it to spoil. Raise
    EngineError."""
    beside = sidecar_key(use.key)
    about = parse_pack_sidecar(read_small(storage, beside), beside)
    if not owner.may_have_made(about.identity, about.signature):
        return False
    if about.use(use.wanted) != use:
        return False
    condemn(storage, use.key)
    return True
