"""What a test of a bucket finds out, beside whether it works at all."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta

from ...errors import EngineError, PermanentError
from ...errors.s3 import NotListed
from ...errors.storage import NotPermitted
from ...messages import Message, _
from ..base import Capabilities
from ..probe import CANNOT_LIST
from .errors import is_denied
from .link import Link
from .lock import ObjectLock
from .upload import open_uploads

MAY_NOT_DELETE = _(
    "Deleting is not allowed: what is too old must be deleted by the bucket itself."
)
KEEPS_VERSIONS = _(
    "The bucket keeps old versions: a lifecycle rule must remove those of deleted "
    "backups, or they take space forever."
)
TAKES_AWAY = _(
    "A lifecycle rule of the bucket deletes old objects, or moves them to an archive: "
    "backups disappear too, whatever the plan says, and none can be incremental."
)
RULES_UNKNOWN = _(
    "It is not known whether a lifecycle rule of the bucket deletes or moves objects: "
    "the keys may not read the rules (s3:GetLifecycleConfiguration), or the service "
    "does not tell them."
)
LOCKS_BY_DEFAULT = _(
    "The bucket has a default retention: it locks all objects, also those that the "
    "plan would delete. Remove it, and choose Object Lock here instead."
)
MAY_NOT_EXTEND = _(
    "The lock of an object cannot be extended, so no backup can be incremental: the "
    "keys need s3:PutObjectRetention and s3:GetObjectRetention."
)
MAY_NOT_LIST_UPLOADS = _(
    "Listing unfinished uploads is not allowed: an interrupted upload starts over."
)
# how long a lock is tried: for longer than the clocks of both ends may differ
LOCK_TRIALS = (timedelta(minutes=20), timedelta(minutes=25))


def is_listed(link: Link, name: str) -> bool:
    """Tell whether objects may be listed. Raise NotListed when this one is missing in
    the list."""
    try:
        answer = link.call("list_objects_v2", Prefix=name, Delimiter="/")
    except NotPermitted:
        return False
    if name not in {one["Key"] for one in answer.get("Contents", [])}:
        raise NotListed(bucket=link.config.place)
    return True


def extends_locks(
    link: Link, lock: ObjectLock, name: str, put: Callable[[], object]
) -> bool | None:
    """Tell whether the lock of an object can be extended; None where the storage locks
    nothing. It is tried with an object of this name that ``put`` stores, which is
    hidden at once and locked for minutes only: the rule that removes what was deleted
    removes it like any other."""
    trials = [trial for duration in LOCK_TRIALS if (trial := lock.lasting(duration))]
    if not trials:
        return None
    put()
    try:
        for trial in trials:
            lock.extend(name, trial)
    except PermanentError:
        return False
    finally:
        with contextlib.suppress(EngineError):
            link.call("delete_object", Key=name)
    return True


def notes_of(
    found: Capabilities, piles_up: bool, link: Link, location: str
) -> Iterator[Message]:
    """Yield what the administrator should know of what was found."""
    told = (
        (CANNOT_LIST, not found.can_list),
        (MAY_NOT_DELETE, not (found.can_delete or found.locks_by_default)),
        (KEEPS_VERSIONS, piles_up),
        (TAKES_AWAY, found.takes_away),
        (RULES_UNKNOWN, found.rules_unknown),
        (LOCKS_BY_DEFAULT, found.locks_by_default),
        (MAY_NOT_EXTEND, found.extends_locks is False),
    )
    for template, is_so in told:
        if is_so:
            yield Message(template, location=location)
    try:
        next(open_uploads(link, f"{link.config.folder}x"), None)
    except EngineError as error:
        if is_denied(error):
            yield Message(MAY_NOT_LIST_UPLOADS)
