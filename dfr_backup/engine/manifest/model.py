"""The one model of ``manifest.json`` in an archive."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors.fetch import NewerFormat
from ..identity import Identity
from ..messages import Message, _
from ..versions import numbers_in
from .description import Description
from .names import MANIFEST
from .shape import SHAPE, check_shape

COMPLETE, INCREMENTAL = 1, 2  # what an archive holds: everything, or not the packs
FORMAT_VERSION = INCREMENTAL  # the newest that is read
QUOTED = re.compile(r'"((?:[^"]|"")*)"\."((?:[^"]|"")*)"')
LONGEST_SHOWN = 1000  # characters
MISSING_PART = _("%(part)s: %(reason)s")
FILE_ISSUES = {
    "missing": _("%(count)s attachment files were missing when it was made"),
    "damaged": _("%(count)s attachment files were damaged when it was made"),
    "unreadable": _("%(count)s attachment files were unreadable when it was made"),
}


@dataclass(frozen=True)
class MissingPart:
    """What an archive should hold and does not: "dump_database" or "archive_files",
    and why."""

    part: str
    reason: str


@dataclass(frozen=True)
class Addon:
    """A custom addon in an archive. ``revision`` is that of git, "" when unknown."""

    name: str
    revision: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """What an archive says about itself. ``values`` are its JSON, of the right shape:
    also what this release does not know, so that it is kept. Texts are "" and numbers
    0 when it does not say them."""

    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(
        cls, data: Any, name: str = MANIFEST, shape: Mapping[str, Any] | None = None
    ) -> "Manifest":
        """Return the manifest that JSON is, which people know by ``name``. Raise
        NewerFormat for one that came after this release, as what it has may mean
        something else, and Unusable for what has another shape."""
        _refuse_newer(data, name)
        check_shape(data, shape or SHAPE)
        return cls(data)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values, with all that it was made from."""
        return {**self.values}

    @property
    def ours(self) -> Mapping[str, Any]:
        """What this addon has written, empty in an archive of Odoo's."""
        return self._in("dfr_backup")

    def _in(self, name: str) -> Mapping[str, Any]:
        return self.values.get(name) or {}

    def _ours_in(self, name: str) -> Mapping[str, Any]:
        return self.ours.get(name) or {}

    def _text(self, name: str) -> str:
        return self.values.get(name) or ""

    def _our_text(self, name: str) -> str:
        return self.ours.get(name) or ""

    # === WHAT ODOO SAYS === #

    @property
    def database(self) -> str:
        return self._text("db_name")

    @property
    def odoo_version(self) -> str:
        return self._text("version")

    @property
    def odoo_series(self) -> str:
        return self._text("major_version") or self.odoo_version

    @property
    def pg_version(self) -> str:
        return self._text("pg_version")

    @property
    def modules(self) -> Mapping[str, str]:
        """Versions by name."""
        return self._in("modules")

    # === WHAT THIS ADDON SAYS === #

    @property
    def format(self) -> int:
        return self.ours.get("format") or 0

    @property
    def job(self) -> str:
        return self._our_text("job")

    @property
    def run(self) -> str:
        return self._our_text("run")

    @property
    def plan(self) -> str:
        return self._our_text("plan")

    @property
    def database_uuid(self) -> str:
        return self._our_text("database_uuid")

    @property
    def identity(self) -> Identity:
        """Who has made it: unknown in those from before release 19.0.1.1.0."""
        return Identity.from_json(self.ours.get("identity"))

    @property
    def snapshot_at(self) -> str:
        """The moment of its data, as it is written."""
        return self._our_text("snapshot_at")

    @property
    def contents(self) -> tuple[str, ...]:
        return tuple(self.ours.get("contents") or ())

    @property
    def missing(self) -> tuple[MissingPart, ...]:
        return tuple(
            MissingPart(part.get("part") or "", part.get("reason") or "")
            for part in self.ours.get("missing") or ()
        )

    def may_hold(self, part: str) -> bool:
        """Tell whether it does not say that a part is left out."""
        contents = self.ours.get("contents")
        return contents is None or part in self.contents

    @property
    def tool(self) -> str:
        return self._our_text("pg_dump")

    @property
    def rows(self) -> Mapping[str, int] | None:
        """Rows by quoted name of the table; None when nobody has counted them."""
        rows = self.ours.get("rows")
        return rows if isinstance(rows, dict) else None

    @property
    def elsewhere(self) -> Mapping[str, int]:
        """How many attachments are not in the filestore, by where they are."""
        return self._ours_in("attachments").get("elsewhere") or {}

    @property
    def files(self) -> int:
        return self._ours_in("filestore").get("files") or 0

    @property
    def bytes(self) -> int:
        return self._ours_in("filestore").get("bytes") or 0

    @property
    def trouble(self) -> Mapping[str, int]:
        """The numbers of attachment files that were "missing", "damaged" or
        "unreadable"."""
        filestore = self._ours_in("filestore")
        return {kind: filestore[kind] for kind in FILE_ISSUES if filestore.get(kind)}

    @property
    def is_incremental(self) -> bool:
        """Tell whether attachment files of it are in packs."""
        return self.format >= INCREMENTAL

    @property
    def packed(self) -> Mapping[str, Any]:
        """What it says about the attachment files in packs: "files", "bytes", and
        the "sha256" of their list (``packs.content``)."""
        return self._ours_in("packed")

    @property
    def is_proven(self) -> bool:
        """Tell whether each attachment file had the SHA-1 of its name when it was
        archived."""
        return self._ours_in("filestore").get("damaged") == 0

    @property
    def addons(self) -> tuple[Addon, ...]:
        return tuple(
            Addon(
                addon["name"],
                addon.get("revision") or "",
                addon.get("files") or 0,
                addon.get("bytes") or 0,
            )
            for addon in self.ours.get("addons") or ()
            if addon.get("name")
        )

    @property
    def encryption(self) -> Mapping[str, Any]:
        return self._ours_in("encryption")

    @property
    def members(self) -> Mapping[str, Any]:
        """What it says about SHA256SUMS: "count", its lines, and "sha256sums"."""
        return self._ours_in("members")

    @property
    def sums_sha256(self) -> str:
        return self.members.get("sha256sums") or ""

    @property
    def content_digest(self) -> str:
        """The SHA-256 of what it says about the content of its archive: "" when it has
        no list of checksums, which is what ties the content to it.

        The manifest in an archive and the one beside it have the same, as what only
        the latter knows does not count: where the archive lies, which packs have the
        rest, who has signed it, and who has taken it in.
        """
        if not self.sums_sha256:
            return ""
        about = {
            **self.values,
            "archive": None,
            "dfr_backup": {**self.ours, "import": None},
        }
        about.pop("signature", None)
        about.pop("packs", None)
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()

    # === FOR PEOPLE, AND FOR A PREFLIGHT === #

    def shown_rows(self) -> Mapping[str, int]:
        """Return the rows by the names of tables as people write them."""
        return {table_name(name): rows for name, rows in (self.rows or {}).items()}

    def shown_elsewhere(self) -> Mapping[str, int]:
        return {_shown(where): count for where, count in self.elsewhere.items()}

    def describe(self) -> Description:
        """Return what the archive holds as far as its manifest says it."""
        return Description(
            origin="dfr_backup" if self.ours else "odoo",
            database=self.database,
            taken_at=self.snapshot_at or None,
            size=0,
            members=0,
            sql_bytes=0,
            files=self.files,
            file_bytes=self.bytes,
            addon_bytes=sum(addon.bytes for addon in self.addons),
            addons=tuple(addon.name for addon in self.addons),
            odoo_version=self.odoo_version,
            odoo_series=self.odoo_series,
            pg_version=numbers_in(self.pg_version),
            database_uuid=self.database_uuid or None,
            modules=self.modules,
            contents=self.contents,
            missing=tuple(self._missing_in_words()),
            rows=self.rows,
            has_checksums=True,
        )

    def _missing_in_words(self) -> Iterator[Message]:
        for part in self.missing:
            yield Message(MISSING_PART, part=part.part, reason=part.reason)
        for kind, count in self.trouble.items():
            yield Message(FILE_ISSUES[kind], count=count)


def _refuse_newer(data: Any, name: str) -> None:
    ours = data.get("dfr_backup") if isinstance(data, dict) else None
    version = ours.get("format") if isinstance(ours, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise NewerFormat(key=name, format=version)


def table_name(quoted: str) -> str:
    """Return a table's name as people write it."""
    found = QUOTED.fullmatch(quoted)
    if not found:
        return _shown(quoted)
    schema, table = (part.replace('""', '"') for part in found.groups())
    return _shown(table if schema == "public" else f"{schema}.{table}")


def _shown(text: str) -> str:
    return "".join(filter(str.isprintable, text[:LONGEST_SHOWN]))
