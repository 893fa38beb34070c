"""What a bucket does by itself with what is stored in it, as far as it says so."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import Cancelled, EngineError
from .errors import cause_code
from .link import Link

# what a server answers that has no rules for a bucket
NO_RULES = {"NoSuchLifecycleConfiguration", "NoSuchLifecycle"}

# where an object cannot be read before somebody has brought it back
ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}


@dataclass(frozen=True)
class Lifecycle:
    """The rules of a bucket for what is below our prefix. ``takes_away``: one deletes
    objects, or moves them to an archive, ``expires_after`` days after they were stored
    (None: it never deletes by age). ``clears_versions``: one deletes old versions of
    what was deleted. Where they are not ``known``, there may be any."""

    takes_away: bool = False
    expires_after: int | None = None
    clears_versions: bool = False
    known: bool = True


def lifecycle_of(link: Link) -> Lifecycle:
    """Return what the rules do. They are not known where the credentials may not read
    them, nor where the server does not know the question: rules may have been set in
    its own pages, as at Backblaze, and a rule that is not noticed takes what newer
    backups need."""
    try:
        found = link.call("get_bucket_lifecycle_configuration").get("Rules") or ()
    except Cancelled:
        raise
    except EngineError as error:
        return Lifecycle(known=cause_code(error) in NO_RULES)
    rules = [
        rule
        for rule in found
        if rule.get("Status") == "Enabled" and _is_about(rule, link.config.folder)
    ]
    return Lifecycle(
        any(map(_takes, rules)),
        min(_days(rules), default=None),
        any(_clears(rule, link.config.folder) for rule in rules),
    )


def locks_by_default(link: Link) -> bool:
    """Tell whether the bucket itself locks all that is stored; False where the
    credentials may not know."""
    try:
        found = link.call("get_object_lock_configuration")
    except Cancelled:
        raise
    except EngineError:
        return False
    rule = (found.get("ObjectLockConfiguration") or {}).get("Rule") or {}
    return bool(rule.get("DefaultRetention"))


def _takes(rule: Mapping[str, Any]) -> bool:
    expiration = rule.get("Expiration") or {}
    moves = [move.get("StorageClass") for move in rule.get("Transitions") or ()]
    expires = bool({"Days", "Date"} & expiration.keys())
    return expires or not ARCHIVES.isdisjoint(moves)


def _days(rules: Iterable[Mapping[str, Any]]) -> list[int]:
    days = [(rule.get("Expiration") or {}).get("Days") for rule in rules]
    return [number for number in days if isinstance(number, int) and number > 0]


def _clears(rule: Mapping[str, Any], ours: str) -> bool:
    is_whole = ours.startswith(_prefix(rule))
    return is_whole and bool(rule.get("NoncurrentVersionExpiration"))


def _is_about(rule: Mapping[str, Any], ours: str) -> bool:
    found = _filter(rule)
    if found.get("Tag") or found.get("Tags"):
        return False  # ours have none
    prefix = _prefix(rule)
    return ours.startswith(prefix) or prefix.startswith(ours)


def _filter(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = rule.get("Filter") or {}
    return found.get("And") or found


def _prefix(rule: Mapping[str, Any]) -> str:
    return str(_filter(rule).get("Prefix") or rule.get("Prefix") or "")
