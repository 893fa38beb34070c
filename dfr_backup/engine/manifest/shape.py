"""The shape of a manifest: what is read from it later has the type that it should
have, and what a sidecar must say is there."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from ..messages import _
from ..untrusted import Unusable
from .names import PACK

LONGEST_NAME, LONGEST_REASON = 1000, 64 << 10  # characters
LARGEST = 1 << 60  # also of an archive, in bytes
YEARS = range(2000, 2200)
BAD_CHARACTERS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]"
)  # no database takes them
# what names.archive_name makes, and nothing that a file system could take for a path
KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,240}\.zip(\.age)?")
SHA256 = re.compile(r"[0-9a-f]{64}")
WANTED = re.compile(r"all|[A-Za-z0-9+/]+={0,2}")  # of a pack: a bitmap in base64
ANY = "*"  # the name of a key that may be any
WRONG = _("%(place)s has an unexpected value")
Check = Callable[[Any], bool]

# a type, or a mapping by key, or a list of one shape; each of them may be missing, null
# or false, as Odoo has it
OURS: dict[str, Any] = {
    "format": int,
    "job": str,
    "run": str,
    "plan": str,
    "database_uuid": str,
    "snapshot_at": str,
    "contents": [str],
    "missing": [{"part": str, "reason": str}],
    "members": {"count": int, "sha256sums": str},
    "pg_dump": str,
    "rows": {ANY: int},
    "table_bytes": {ANY: int},
    "attachments": {"files": int, "bytes": int, "elsewhere": {ANY: int}},
    "filestore": {
        "files": int,
        "bytes": int,
        "missing": int,
        "damaged": int,
        "unreadable": int,
    },
    "packed": {"files": int, "bytes": int, "sha256": str},
    "addons": [{"name": str, "revision": str, "files": int, "bytes": int}],
    "encryption": {"kind": str, "recipients": [str]},
}
SHAPE: dict[str, Any] = {
    "odoo_dump": str,
    "db_name": str,
    "version": str,
    "major_version": str,
    "pg_version": str,
    "modules": {ANY: str},
    "dfr_backup": OURS,
}
SIDECAR_SHAPE: dict[str, Any] = {
    **SHAPE,
    "dfr_backup": {**OURS, "import": {"database_uuid": str, "job": str}},
    "archive": {"key": str, "size": int, "sha256": str},
    "packs": [{"key": str, "size": int, "sha256": str, "sums": str, "wanted": str}],
}


def check_shape(values: Any, shape: Mapping[str, Any]) -> None:
    """Raise Unusable when JSON is no object, or when what ``shape`` names has another
    type in it; what it does not name may be anything."""
    if not isinstance(values, dict):
        raise Unusable(_("it is not an object"))
    _check(values, shape, "")


def _check(value: Any, shape: Any, place: str) -> None:
    if value is None or value is False:
        return
    if isinstance(shape, dict):
        _require(isinstance(value, dict), place)
        _check_values(value, shape, place)
    elif isinstance(shape, list):
        _require(isinstance(value, list), place)
        for inner in value:
            _require(inner is not None and inner is not False, place)
            _check(inner, shape[0], f"{place}[]")
    elif shape is int:
        _require(type(value) is int and 0 <= value <= LARGEST, place)
    else:
        _require(isinstance(value, str) and _is_text(value), place)


def _check_values(value: Mapping[str, Any], shape: Mapping[str, Any], at: str) -> None:
    if ANY in shape:
        for name, inner in value.items():
            # Odoo knows no version of some modules; a count is a count, and what is
            # counted in a database has any name that PostgreSQL takes
            counts = shape[ANY] is int
            named = _is_name(name) if counts else _is_text(name)
            _require(named and not (counts and inner is None), at)
            _check(inner, shape[ANY], at)
        return
    for name in value.keys() & shape.keys():
        _check(value[name], shape[name], f"{at}.{name}" if at else name)


def _require(good: bool, place: str) -> None:
    if not good:
        raise Unusable(WRONG, place=place)


def _is_name(value: str) -> bool:
    return len(value) <= LONGEST_REASON and "\0" not in value


def _is_text(value: str) -> bool:
    return len(value) <= LONGEST_REASON and not BAD_CHARACTERS.search(value)


# === WHAT A SIDECAR MUST SAY === #


def moment_of(text: str) -> datetime:
    """Return an ISO 8601 moment with an offset, in UTC. Raise ValueError."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None or found.year not in YEARS:
        raise ValueError(text)
    return found.astimezone(timezone.utc)


def _up_to(longest: int) -> Check:
    return lambda value: 0 < len(value) <= longest


def _like(pattern: re.Pattern[str]) -> Check:
    return lambda value: bool(pattern.fullmatch(value))


def _is_moment(value: str) -> bool:
    try:
        return bool(moment_of(value))
    except ValueError:
        return False


def _is_there(_value: object) -> bool:
    return True


def _is_positive(value: int) -> bool:
    return value > 0


# by place: what is in it, besides its type
MUST: dict[str, Check] = {
    "dfr_backup": _is_there,
    "archive": _is_there,
    "archive.key": _like(KEY),
    "archive.size": _is_positive,
    "archive.sha256": _like(SHA256),
    "db_name": _up_to(255),
    "modules": _is_there,
    "dfr_backup.format": _is_positive,
    "dfr_backup.job": _up_to(64),
    "dfr_backup.run": _up_to(LONGEST_NAME),
    "dfr_backup.snapshot_at": _is_moment,
    "dfr_backup.contents": _is_there,
    "dfr_backup.missing": _is_there,
    "dfr_backup.missing[].part": _up_to(64),
    "dfr_backup.addons[].name": _up_to(255),
    "packs[].key": _like(PACK),
    "packs[].size": _is_positive,
    "packs[].sha256": _like(SHA256),
    "packs[].sums": _like(SHA256),
    "packs[].wanted": _like(WANTED),
}
MAY: dict[str, Check] = {
    "version": _up_to(64),
    "dfr_backup.plan": _up_to(LONGEST_NAME),
    "dfr_backup.database_uuid": _up_to(128),
    "dfr_backup.contents[]": _up_to(64),
    "dfr_backup.encryption.kind": _up_to(64),
    "dfr_backup.encryption.recipients[]": _up_to(8192),
    "dfr_backup.members.sha256sums": _like(SHA256),
    "dfr_backup.packed.sha256": _like(SHA256),
    "dfr_backup.import.database_uuid": _up_to(128),
    "dfr_backup.import.job": _up_to(64),
}


def require_sidecar(values: Mapping[str, Any]) -> None:
    """Raise Unusable when a manifest of the right shape does not say what the one
    beside an archive must say, or says it in too many words."""
    for place, is_right in MUST.items():
        for value in _at(values, place):
            if value is None or value is False:
                raise Unusable(_("%(place)s is missing"), place=place)
            _require(is_right(value), place)
    for place, is_right in MAY.items():
        for value in _at(values, place):
            # a text may be empty, an element of a list may not
            given = value or place.endswith("[]")
            _require(not given or is_right(value), place)


def _at(values: Mapping[str, Any], place: str) -> Iterator[Any]:
    """Yield what is at a place: None for what is missing, each element of a list."""
    name, _dot, rest = place.partition(".")
    key = name.removesuffix("[]")
    inner = values.get(key)
    for value in (inner or ()) if name.endswith("[]") else (inner,):
        if rest:
            yield from _at(value or {}, rest)
        else:
            yield value
