"""What a manifest says about the content of its archive. Whoever can write to a
storage may have made it: what is not as it should be is left out, and nothing of it
decides anything."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors.other import ManifestUnreadable
from ..messages import _
from ..untrusted import Unusable, parse_json
from .description import Description
from .model import refuse_newer
from .names import MANIFEST

LARGEST = 1 << 60
LONGEST = 1000  # characters of a name
QUOTED = re.compile(r'"((?:[^"]|"")*)"\."((?:[^"]|"")*)"')


@dataclass(frozen=True)
class Addon:
    """A custom addon in an archive. ``revision`` is that of git, "" when unknown."""

    name: str
    revision: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Contents:
    """``rows`` by table, without the schema where it is "public"; empty when nobody
    has counted. ``modules`` are versions by name. ``files`` is what the filestore's
    part of it holds; ``trouble`` are the numbers of files that were "missing",
    "damaged" or "unreadable". ``elsewhere`` counts the attachments that are not in
    the filestore, by where they are."""

    database: str
    odoo_version: str
    odoo_series: str
    pg_version: str
    taken_at: str
    tool: str
    modules: Mapping[str, str]
    rows: Mapping[str, int]
    addons: tuple[Addon, ...]
    files: int
    bytes: int
    trouble: Mapping[str, int]
    elsewhere: Mapping[str, int]


def parse_contents(data: bytes) -> Contents:
    """Return what ``manifest.json``, or the manifest beside an archive, says.

    Raise ManifestUnreadable when it is not JSON or no object, and NewerFormat.
    """
    try:
        manifest = parse_json(data)
        if not isinstance(manifest, dict):
            raise Unusable(_("it is not an object"))
    except Unusable as error:
        raise ManifestUnreadable(reason=error.reason) from None
    refuse_newer(manifest, MANIFEST)
    ours = _mapping(manifest.get("dfr_backup"))
    filestore, attachments = (
        _mapping(ours.get(name)) for name in ("filestore", "attachments")
    )
    return Contents(
        database=_text(manifest.get("db_name")),
        odoo_version=_text(manifest.get("version")),
        odoo_series=_text(manifest.get("major_version"))
        or _text(manifest.get("version")),
        pg_version=_text(manifest.get("pg_version")),
        taken_at=_text(ours.get("snapshot_at")),
        tool=_text(ours.get("pg_dump")),
        modules={
            _text(k): _text(v) for k, v in _mapping(manifest.get("modules")).items()
        },
        rows={table_name(k): v for k, v in _numbers(ours.get("rows"))},
        addons=tuple(_addons(ours.get("addons"))),
        files=_number(filestore.get("files")),
        bytes=_number(filestore.get("bytes")),
        trouble={
            k: v
            for k, v in _numbers(filestore)
            if v and k in ("missing", "damaged", "unreadable")
        },
        elsewhere=dict(_numbers(attachments.get("elsewhere"))),
    )


def describe(contents: Contents, parts: Sequence[str], sql_bytes: int) -> Description:
    """Return what the archive holds as far as its manifest says it, for a preflight
    before it is fetched. ``parts`` are "database", "filestore", "addons"; the bytes
    of SQL are the caller's to know."""
    return Description(
        origin="dfr_backup",
        database=contents.database,
        taken_at=contents.taken_at or None,
        size=0,
        members=0,
        sql_bytes=sql_bytes,
        files=contents.files,
        file_bytes=contents.bytes,
        addon_bytes=sum(addon.bytes for addon in contents.addons),
        addons=tuple(addon.name for addon in contents.addons),
        odoo_version=contents.odoo_version,
        odoo_series=contents.odoo_series,
        pg_version=tuple(
            int(part) for part in re.findall(r"\d{1,6}", contents.pg_version)
        ),
        database_uuid=None,
        modules=contents.modules,
        contents=tuple(parts),
        missing=(),
        rows=contents.rows or None,
        has_checksums=True,
    )


def table_name(quoted: str) -> str:
    """Return a table's name as people write it."""
    found = QUOTED.fullmatch(quoted)
    if not found:
        return _text(quoted)
    schema, table = (part.replace('""', '"') for part in found.groups())
    return _text(table if schema == "public" else f"{schema}.{table}")


def _addons(values: Any) -> Iterator[Addon]:
    for value in values if isinstance(values, list) else ():
        addon = _mapping(value)
        if addon.get("name"):
            yield Addon(
                _text(addon["name"]),
                _text(addon.get("revision")),
                _number(addon.get("files")),
                _number(addon.get("bytes")),
            )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _numbers(value: Any) -> Iterator[tuple[str, int]]:
    for key, number in _mapping(value).items():
        if isinstance(number, int):
            yield _text(key), _number(number)


def _number(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value <= LARGEST else 0


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(filter(str.isprintable, text[:LONGEST]))
