"""The shape of the manifest in an archive: what is read from it later has the type
that it should have."""

from collections.abc import Mapping
from typing import Any

from ..errors.archive import ManifestMalformed
from ..messages import _
from ..untrusted import Unusable, parse_json
from .model import BAD_CHARACTERS, LONGEST_REASON, refuse_newer
from .names import MANIFEST

LARGEST = 1 << 60
ANY = "*"  # the name of a key that may be any
# a type, or a mapping by key, or a list of one shape; each of them may be missing, null
# or false, as Odoo has it
SHAPE: dict[str, Any] = {
    "odoo_dump": str,
    "db_name": str,
    "version": str,
    "major_version": str,
    "pg_version": str,
    "modules": {ANY: str},
    "dfr_backup": {
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
        "attachments": {"files": int, "bytes": int, "elsewhere": {ANY: int}},
        "filestore": {
            "files": int,
            "bytes": int,
            "missing": int,
            "damaged": int,
            "unreadable": int,
        },
        "addons": [{"name": str, "revision": str, "files": int, "bytes": int}],
        "encryption": {"kind": str, "recipients": [str]},
    },
}


def parse_manifest(data: bytes) -> dict[str, Any]:
    """Return ``manifest.json``, whose values have the types that ``SHAPE`` names; what
    is not named there may be anything. Raise ManifestMalformed, NewerFormat."""
    try:
        manifest = parse_json(data)
        if not isinstance(manifest, dict):
            raise Unusable(_("it is not an object"))
        refuse_newer(manifest, MANIFEST)
        _check(manifest, SHAPE, "")
    except Unusable as error:
        raise ManifestMalformed(reason=error.reason) from None
    return manifest


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
        raise Unusable(_("%(place)s is not what it should be"), place=place)


def _is_name(value: str) -> bool:
    return len(value) <= LONGEST_REASON and "\0" not in value


def _is_text(value: str) -> bool:
    return len(value) <= LONGEST_REASON and not BAD_CHARACTERS.search(value)
