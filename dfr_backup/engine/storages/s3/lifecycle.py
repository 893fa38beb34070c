"""Whether a bucket takes objects away by itself, as far as it says so."""

from collections.abc import Mapping
from typing import Any

from ...errors import Cancelled, EngineError
from .link import Link

# where an object cannot be read before somebody has brought it back
ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}


def takes_away(link: Link) -> bool:
    """Tell whether a rule of the bucket expires what is stored below our prefix, or
    moves it to an archive; False where the credentials may not know."""
    try:
        rules = link.call("get_bucket_lifecycle_configuration").get("Rules") or ()
    except Cancelled:
        raise
    except EngineError:  # there are none, or nobody tells
        return False
    return any(_takes(rule, link.config.folder) for rule in rules)


def _takes(rule: Mapping[str, Any], ours: str) -> bool:
    if rule.get("Status") != "Enabled" or not _is_about(rule, ours):
        return False
    expiration = rule.get("Expiration") or {}
    moves = [move.get("StorageClass") for move in rule.get("Transitions") or ()]
    expires = bool({"Days", "Date"} & expiration.keys())
    return expires or not ARCHIVES.isdisjoint(moves)


def _is_about(rule: Mapping[str, Any], ours: str) -> bool:
    found = rule.get("Filter") or {}
    found = found.get("And") or found
    if found.get("Tag") or found.get("Tags"):
        return False  # ours have none
    prefix = found.get("Prefix") or rule.get("Prefix") or ""
    return bool(ours.startswith(prefix) or prefix.startswith(ours))
