"""Read the manifest beside a stored archive. Whoever can write to the storage may
have made it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, TypeVar

from ..errors.fetch import BadManifest
from ..identity import UNKNOWN, Identity
from ..messages import Message, _
from ..untrusted import Unusable, parse_json
from .model import (
    BAD_CHARACTERS,
    LONGEST_NAME,
    LONGEST_REASON,
    refuse_newer_version,
    seal,
    sidecar_key,
)
from .signature import Signature, signature_of

LARGEST_ARCHIVE = 1 << 60  # bytes
YEARS = range(2000, 2200)
# what model.archive_name makes, and nothing that a file system could take for a path
KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,240}\.zip(\.age)?")
NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")
SHA256 = re.compile(r"[0-9a-f]{64}")
Kind = TypeVar("Kind")
NOT_A: dict[type, str] = {
    dict: _("%(place)s is not an object"),
    list: _("%(place)s is not a list"),
    str: _("%(place)s is not a text"),
    int: _("%(place)s is not a whole number"),
}


@dataclass(frozen=True)
class MissingPart:
    """What an archive should hold and does not: "dump_database" or "archive_files",
    and why."""

    part: str
    reason: str


@dataclass(frozen=True)
class Sidecar:
    """What a manifest says about its archive.

    ``key``, ``size`` (bytes) and ``sha256`` (hexadecimal) are the archive as it was
    stored, ``taken_at`` (UTC) the moment of its data. ``modules`` is their number.
    ``database_uuid`` and ``plan`` are "" when there is none. ``encryption`` is "" or
    what an encrypted archive needs, "recipients" or "passphrase"; ``recipients`` are
    its public keys.

    ``imported_by`` is the database that has taken in an archive from elsewhere, by the
    run ``import_job``; ``made_by_odoo``: without any manifest of ours, so that nobody
    has counted its rows. ``module_names`` are those of the database, ``addons`` those
    that are in the archive. ``identity`` is who has made it, unknown in those from
    before release 19.0.1.1.0. ``seal`` is that of ``manifest.seal``. ``file_size``
    (bytes) and ``file_sha256`` are the manifest itself, as it is stored: 0 and "" when
    it is not. ``sums_sha256`` is the SHA-256 of SHA256SUMS
    in the archive, "" without one.
    """

    key: str
    size: int
    sha256: str
    format: int
    taken_at: datetime
    database: str
    database_uuid: str
    odoo_version: str
    modules: int
    contents: tuple[str, ...]
    plan: str
    run: str
    job: str
    encrypted: bool
    encryption: str
    recipients: tuple[str, ...]
    missing: tuple[MissingPart, ...]
    imported_by: str = ""
    import_job: str = ""
    made_by_odoo: bool = False
    module_names: tuple[str, ...] = ()
    addons: tuple[str, ...] = ()
    seal: str = ""
    file_size: int = 0
    file_sha256: str = ""
    signature: Signature | None = None
    identity: Identity = UNKNOWN
    sums_sha256: str = ""

    @property
    def owner_uuid(self) -> str:
        """The database that may delete it."""
        return self.imported_by or self.database_uuid


def parse_sidecar(data: bytes, key: str) -> Sidecar:
    """Given what is stored under ``key``, return what it says, checked.

    Nothing of it is believed: not its size (at most 4 MiB), its depth, its numbers,
    nor that its archive is the one beside it. Raise PermanentError that names what is
    wrong, or that a newer version of this addon wrote it.
    """
    try:
        sidecar = _sidecar(_Fields(parse_json(data)), key)
    except Unusable as error:
        raise BadManifest(key=shown_key(key), reason=error.reason) from None
    digest = hashlib.sha256(data).hexdigest()
    return replace(sidecar, file_size=len(data), file_sha256=digest)


def _sidecar(odoo: "_Fields", key: str) -> Sidecar:
    ours = odoo.fields("dfr_backup")
    version = ours.whole("format", 1, LARGEST_ARCHIVE)
    refuse_newer_version(version, shown_key(key))
    archive = odoo.fields("archive")
    name = archive.matching("key", KEY)
    if sidecar_key(name) != key:
        raise Unusable(_("it describes another archive than the one beside it"))
    encryption = ours.fields("encryption") if ours.has("encryption") else _Fields({})
    members = ours.fields("members") if ours.has("members") else _Fields({})
    taken_in = ours.fields("import") if ours.has("import") else _Fields({})
    addons = ours.list_of_fields("addons") if ours.has("addons") else []
    return Sidecar(
        key=name,
        size=archive.whole("size", 1, LARGEST_ARCHIVE),
        sha256=archive.matching("sha256", SHA256),
        format=version,
        taken_at=ours.moment("snapshot_at"),
        database=odoo.text("db_name", 255),
        database_uuid=ours.text_if_any("database_uuid", 128),
        odoo_version=odoo.text_if_any("version", 64),
        modules=len(odoo.mapping("modules")),
        contents=ours.texts("contents", 64),
        plan=ours.text_if_any("plan", LONGEST_NAME),
        run=ours.text("run", LONGEST_NAME),
        job=ours.text("job", 64),
        encrypted=name.endswith(".age"),
        encryption=encryption.text_if_any("kind", 64),
        recipients=encryption.texts("recipients", 8192)
        if encryption.has("recipients")
        else (),
        missing=tuple(
            MissingPart(
                part.text("part", 64), part.text_if_any("reason", LONGEST_REASON)
            )
            for part in ours.list_of_fields("missing")
        ),
        sums_sha256=members.matching("sha256sums", SHA256)
        if members.has("sha256sums")
        else "",
        imported_by=taken_in.text_if_any("database_uuid", 128),
        import_job=taken_in.text_if_any("job", 64),
        made_by_odoo=taken_in.has("made_by_odoo"),
        module_names=odoo.names("modules"),
        addons=tuple(addon.text("name", 255) for addon in addons),
        seal=seal(odoo.values),
        signature=signature_of(odoo.values),
        identity=Identity.from_json(ours.values.get("identity")),
    )


class _Fields:
    """The values of an object, by name and type. Every method raises Unusable."""

    def __init__(self, values: Any, where: str = ""):
        if not isinstance(values, dict):
            raise Unusable(NOT_A[dict], place=where or Message(_("its content")))
        self._values, self._where = values, where

    @property
    def values(self) -> Mapping[str, Any]:
        return self._values

    def has(self, name: str) -> bool:
        return self._values.get(name) is not None

    def mapping(self, name: str) -> Mapping[str, Any]:
        return self._typed(name, dict)

    def names(self, name: str) -> tuple[str, ...]:
        """Return the keys of an object, as far as they can be shown."""
        return tuple(key for key in self.mapping(name) if NAME.fullmatch(key))

    def fields(self, name: str) -> "_Fields":
        return _Fields(self.mapping(name), self._path(name))

    def list_of_fields(self, name: str) -> list["_Fields"]:
        values = self._typed(name, list)
        return [_Fields(value, f"{self._path(name)}[]") for value in values]

    def text(self, name: str, longest: int) -> str:
        return self._plain(name, self._typed(name, str), longest)

    def text_if_any(self, name: str, longest: int) -> str:
        """Return the text, "" when there is none: missing, null, or false as Odoo
        has it."""
        if self._values.get(name) in (None, False, ""):
            return ""
        return self.text(name, longest)

    def texts(self, name: str, longest: int) -> tuple[str, ...]:
        values = self._typed(name, list)
        if not all(isinstance(value, str) for value in values):
            raise self._unusable(_("%(place)s is not a list of texts"), name)
        return tuple(self._plain(name, value, longest) for value in values)

    def matching(self, name: str, pattern: re.Pattern[str]) -> str:
        value = self._typed(name, str)
        if not pattern.fullmatch(value):
            raise self._unusable(_("%(place)s is not what it should be"), name)
        return value

    def whole(self, name: str, smallest: int, largest: int) -> int:
        value = self._typed(name, int)
        if not smallest <= value <= largest:
            raise self._unusable(_("%(place)s is out of range"), name)
        return value

    def moment(self, name: str) -> datetime:
        """Return an ISO 8601 moment with an offset, in UTC."""
        try:
            found = datetime.fromisoformat(self.text(name, 64))
            if found.tzinfo is None or found.year not in YEARS:
                raise ValueError
        except ValueError:
            words = _("%(place)s is not a moment with a time zone")
            raise self._unusable(words, name) from None
        return found.astimezone(timezone.utc)

    def _typed(self, name: str, kind: type[Kind]) -> Kind:
        if name not in self._values:
            raise self._unusable(_("%(place)s is missing"), name)
        value = self._values[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._unusable(NOT_A[kind], name)
        return value

    def _plain(self, name: str, value: str, longest: int) -> str:
        if not value or len(value) > longest or BAD_CHARACTERS.search(value):
            words = _("%(place)s is empty, too long or has odd characters")
            raise self._unusable(words, name)
        return value

    def _unusable(self, template: str, name: str) -> Unusable:
        return Unusable(template, place=self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name


def shown_key(key: str) -> str:
    """Return a key as it can be shown: short, on one line."""
    return "".join(letter if letter.isprintable() else "?" for letter in key[:120])
