"""The locks of packs, in a storage that locks what it gets: each pack stays locked as
long as the newest backup that names it.

A lock is extended for longer than that backup needs, so that for half of the time that
the storage locks, no request is spent on the pack. What is known of the locks is in a
file of this server, which only saves asking: an object that is not the one that was
noted, because it was stored again or the bucket is a copy, is asked again.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from ..errors.packs import PackGone
from ..errors.storage import CopyMissing
from ..fileio.durable import write_private
from ..manifest.pack_use import PackUse
from ..messages import Message, _
from ..progress import Progress
from ..retry import RetryPolicy, with_retries
from ..storages.base import Lock, StoredObject
from ..untrusted import MAX_BESIDE, parse_json
from .listing import Listing
from .owner import Place

FILE = "locks.json"
PERIODS = 1.5  # of the time that the storage locks, to which a lock is extended
EXTENDED = _("The lock of %(count)s packs was extended until %(until)s UTC")


def lock_packs(
    place: Place,
    uses: Iterable[PackUse],
    lock: Lock,
    listing: Listing,
    progress: Progress,
    retries: RetryPolicy,
) -> None:
    """Let listed packs have at least this lock. Raise PackGone for one that is
    missing, LockRefused where the storage does not do it, and other EngineErrors."""
    storage, path = place.storage, place.index / FILE
    known = _known(path, listing.objects)
    ahead = lock.joined(storage.new_lock(PERIODS) or lock)
    keys = [use.key for use in uses]
    short = [k for k in keys if k not in known or not known[k].covers(lock)]
    try:
        with storage.reporting_to(progress):
            for key in short:
                progress.tick()
                extend = partial(storage.extend_lock, key, ahead)
                known[key] = with_retries(extend, progress, retries)
    except CopyMissing as error:
        raise PackGone(pack=key, location=storage.location("")) from error
    finally:
        with suppress(OSError):
            _note(path, known, listing.objects)
    if short:
        until = f"{ahead.until:%Y-%m-%d %H:%M}"
        progress.log(Message(EXTENDED, count=len(short), until=until))


def _known(path: Path, objects: Mapping[str, StoredObject]) -> dict[str, Lock]:
    """Return the locks of those objects that are still the same."""
    known = {}
    with suppress(OSError, ArithmeticError, ValueError, TypeError, AttributeError):
        for key, (until, firm, modified) in parse_json(
            path.read_bytes(), MAX_BESIDE
        ).items():
            found = objects.get(key)
            if found and found.modified.timestamp() == modified:
                moment = datetime.fromtimestamp(until, timezone.utc)
                known[key] = Lock(moment, bool(firm))
    return known


def _note(
    path: Path, known: Mapping[str, Lock], objects: Mapping[str, StoredObject]
) -> None:
    about = {
        key: [lock.until.timestamp(), lock.firm, objects[key].modified.timestamp()]
        for key, lock in known.items()
        if key in objects
    }
    write_private(path, json.dumps(about).encode(), over=True)
