"""Each night a part of the packs of a location is read in full, by whatever proof its
storage has: a pack that nothing reads may have been damaged for months."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from ..checkpoints import checkpoint
from ..errors import EngineError, Mismatch, PermanentError
from ..manifest.names import sidecar_key
from ..manifest.pack_use import PackUse
from ..progress import Progress
from ..storages.base import StoredObject
from .listing import Listing, read_small
from .names import has_prefix
from .owner import Owner, Place
from .readings import Readings
from .sidecar import PackSidecar, parse_pack_sidecar
from .terms import TERMS, Terms


@dataclass
class Night:
    """What was found: ``read`` packs of ``size`` bytes are right, of ``packs`` in all;
    at this pace all are read within so many ``days``. The others by their keys: those
    that are ``damaged``, and those that could not be read (``unread``)."""

    packs: int = 0
    read: int = 0
    size: int = 0
    days: int = 0
    damaged: dict[str, Mismatch] = field(default_factory=dict)
    unread: dict[str, EngineError] = field(default_factory=dict)


class Nightly:
    """The packs of a database in a place. ``condemn`` is told of each one that is not
    what its own sidecar says, before it counts as read."""

    def __init__(
        self,
        place: Place,
        owner: Owner,
        condemn: Callable[[PackUse], object],
        terms: Terms = TERMS,
    ):
        self._place = place
        self._storage = place.storage
        self._owner = owner
        self._condemn = condemn
        self._terms = terms

    def read(self, now: datetime, night: Night, progress: Progress) -> None:
        """Read what is due: nothing when that was done a short while ago, and what a
        kill has left of it. Raise EngineError, RetryableError when the storage does not
        answer; what was found until then is in ``night``."""
        listing = self._storage.with_retries(
            lambda: Listing.of(self._storage, progress), progress
        )
        usable = [
            pack.key for pack in listing.packs() if self._is_usable(pack, listing)
        ]
        readings = Readings.of(self._place.index)
        readings.begin_night(usable, now, self._terms)
        due = [listing.objects[k] for k in readings.left if k in listing.objects]
        progress.expect(sum(pack.size for pack in due))
        deadline = time.monotonic() + self._terms.read_seconds
        night.packs, night.days = len(usable), self._terms.read_within
        for number, pack in enumerate(due):
            if number and time.monotonic() > deadline:
                # the next night begins with them
                readings.drop_night()
                night.days = max(night.days, -(-len(usable) // number))
                break
            self._read(pack, night, progress)
            readings.note([pack.key], now)
            checkpoint("packs.read")

    def _is_usable(self, pack: StoredObject, listing: Listing) -> bool:
        """Tell whether a pack is there for good, and may be ours."""
        own = has_prefix(pack.key, self._owner.prefixes)
        described = sidecar_key(pack.key) in listing.objects
        return own and described and not listing.is_condemned(pack.key)

    def _read(self, pack: StoredObject, night: Night, progress: Progress) -> None:
        done = progress.done
        # its total and its attempts are those of one pack
        inner = Progress(lambda _inner: progress.tick())
        try:
            about = self._storage.with_retries(lambda: self._about(pack.key), inner)
            if about is not None:
                self._verify(about, night, inner)
        except PermanentError as error:
            night.unread[pack.key] = error
        progress.done = done
        progress.advance(pack.size)

    def _verify(self, about: PackSidecar, night: Night, inner: Progress) -> None:
        storage, what = self._storage, (about.key, about.size, about.sha256)
        try:
            storage.with_retries(lambda: storage.verify(*what, inner), inner)
        except Mismatch as error:
            night.damaged[about.key] = error
            with suppress(PermanentError):  # that it is damaged says more
                self._condemn(about.use(None))
            return
        night.read += 1
        night.size += about.size

    def _about(self, key: str) -> PackSidecar | None:
        """Return what has to be in a pack, None for one of another database. Raise
        EngineError."""
        beside = sidecar_key(key)
        about = parse_pack_sidecar(read_small(self._storage, beside), beside)
        own = self._owner.may_have_made(about.identity, about.signature)
        return about if own and about.key == key else None
