"""Each night a part of the packs of a location is read in full, by whatever proof its
storage has: a pack that nothing reads may have been damaged for months."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from ..checkpoints import checkpoint
from ..errors import EngineError, Mismatch, PermanentError, RetryableError
from ..errors.packs import SignatureWrong
from ..manifest.names import sidecar_key
from ..manifest.pack_use import PackUse
from ..progress import Progress
from ..retry import RetryPolicy, with_retries
from ..storages.base import StoredObject
from .listing import Listing, read_small
from .names import has_prefix
from .owner import Owner, Place
from .readings import Readings
from .sidecar import PackSidecar, parse_pack_sidecar
from .terms import TERMS, Terms

AGAIN_SECONDS = 60.0  # for a pack that could not be read in an earlier night


@dataclass
class Night:
    """What was found: ``read`` packs of ``size`` bytes are right, of ``packs`` in all;
    at this pace all are read within so many ``days``. The others by their keys: those
    that are ``damaged``, and those that could not be read (``unread``), with the number
    of ``nights`` where that is not the first one."""

    packs: int = 0
    read: int = 0
    size: int = 0
    days: int = 0
    damaged: dict[str, Mismatch] = field(default_factory=dict)
    unread: dict[str, EngineError] = field(default_factory=dict)
    nights: dict[str, int] = field(default_factory=dict)


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
        kill has left of it. Raise EngineError, RetryableError when two packs in a row
        cannot be read, as the storage does not answer then: what is left waits for the
        next night. What was found until then is in ``night``."""
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
        failed = False
        for number, pack in enumerate(due):
            if number and time.monotonic() > deadline:
                # the next night begins with them
                readings.drop_night()
                night.days = max(night.days, -(-len(usable) // number))
                break
            again = pack.key in readings.unread
            error = self._read(pack, night, progress, self._retries(again))
            _note(pack.key, error, readings, night, now)
            checkpoint("packs.read")
            if again:  # that it fails says nothing about the others
                continue
            if failed and isinstance(error, RetryableError):
                readings.drop_night()
                raise error
            failed = isinstance(error, RetryableError)

    def _retries(self, again: bool) -> RetryPolicy:
        """Return how long to try: what failed in an earlier night holds up no other."""
        usual = self._storage.retries
        patience = min(usual.patience, AGAIN_SECONDS)
        return replace(usual, patience=patience) if again else usual

    def _is_usable(self, pack: StoredObject, listing: Listing) -> bool:
        """Tell whether a pack is there for good, and may be ours."""
        own = has_prefix(pack.key, self._owner.prefixes)
        described = sidecar_key(pack.key) in listing.objects
        return own and described and not listing.is_condemned(pack.key)

    def _read(
        self,
        pack: StoredObject,
        night: Night,
        progress: Progress,
        retries: RetryPolicy,
    ) -> EngineError | None:
        """Read a pack; return why it could not be read."""
        done = progress.done
        # its total and its attempts are those of one pack
        inner = Progress(lambda _inner: progress.tick())
        problem: EngineError | None = None
        try:
            about = with_retries(lambda: self._about(pack.key), inner, retries)
            if about is not None:
                self._verify(about, night, inner, retries)
        except (PermanentError, RetryableError) as error:
            problem = error
        progress.done = done
        progress.advance(pack.size)
        return problem

    def _verify(
        self, about: PackSidecar, night: Night, inner: Progress, retries: RetryPolicy
    ) -> None:
        storage, what = self._storage, (about.key, about.size, about.sha256)
        try:
            with_retries(lambda: storage.verify(*what, inner), inner, retries)
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
        if self._owner.forged(about.signature):
            raise SignatureWrong
        own = self._owner.may_have_made(about.identity, about.signature)
        return about if own and about.key == key else None


def _note(
    key: str, error: EngineError | None, readings: Readings, night: Night, now: datetime
) -> None:
    """Write down what became of a pack. Raise PermanentError."""
    if error is None:
        readings.note([key], now)
        return
    night.unread[key] = error
    nights = readings.note_unread(key)
    if nights > 1:
        night.nights[key] = nights
