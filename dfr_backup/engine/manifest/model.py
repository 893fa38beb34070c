"""``manifest.json`` of an archive, and the sidecar that makes a stored archive a
backup."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from ..errors.fetch import NewerFormat

FORMAT_VERSION = 1
SIDECAR_SUFFIX = ".json"
LONGEST_NAME, LONGEST_REASON = 1000, 64 << 10  # characters
BAD_CHARACTERS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]"
)  # no database takes them


def archive_name(database: str, moment: datetime, identifier: str) -> str:
    """Return ``<database>-<UTC timestamp>-<short id>.zip``, safe as a file name and a
    key.

    What is not a letter, a digit, "_", "." or "-" becomes "_". ``moment`` is aware and
    ``identifier`` the job's UUID, of which eight characters are used.
    """
    plain = unicodedata.normalize("NFKD", database).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", plain).strip("-.") or "database"
    stamp = moment.astimezone(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    return f"{plain[:80]}-{stamp}-{identifier[:8]}.zip"


def sidecar_key(key: str) -> str:
    """Return the key of the manifest that lies beside the archive ``key``."""
    return re.sub(r"\.zip(\.age)?$", "", key) + SIDECAR_SUFFIX


def build(odoo: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest: Odoo's own keys, and ours under ``dfr_backup``.

    ``odoo`` are the keys that Odoo's database manager writes (``odoo_dump``,
    ``db_name``, ``version``, ``modules``…). Datetimes become ISO 8601 in UTC. What a
    person or another program has said is made readable: no reader takes a manifest
    with odd characters in it.
    """
    return {**odoo, "dfr_backup": {"format": FORMAT_VERSION, **ours, **_said(ours)}}


def _said(ours: Mapping[str, Any]) -> dict[str, Any]:
    """Return the texts of a manifest that may have anything in them, as they are
    read."""
    said: dict[str, Any] = {
        name: _readable(ours[name], LONGEST_NAME)
        for name in ("plan", "run")
        if name in ours
    }
    if "missing" in ours:
        said["missing"] = [
            {**part, "reason": _readable(part.get("reason"), LONGEST_REASON)}
            for part in ours["missing"]
        ]
    return said


def _readable(text: Any, most: int) -> Any:
    if not isinstance(text, str):
        return text
    return BAD_CHARACTERS.sub("\ufffd", text[:most])


def sidecar(
    manifest: Mapping[str, Any],
    key: str,
    size: int,
    sha256: str,
    sign: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
) -> bytes:
    """Return the sidecar: the manifest and what the stored archive must be (bytes,
    SHA-256), as ``sign`` returns it."""
    archive = {"key": key, "size": size, "sha256": sha256}
    return encode(sign({**manifest, "archive": archive}))


def seal(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what a manifest says about the content of its archive: ""
    when it has no list of checksums, which is what ties the content to it.

    The manifest in an archive and the one beside it have the same, as what only the
    latter knows does not count: where the archive lies, who has signed it, and who has
    taken it in.
    """
    ours = manifest.get("dfr_backup")
    if not isinstance(ours, dict):
        return ""
    members = ours.get("members")
    if not isinstance(members, dict) or not members.get("sha256sums"):
        return ""
    about = {**manifest, "archive": None, "dfr_backup": {**ours, "import": None}}
    about.pop("signature", None)
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def refuse_newer(manifest: Mapping[str, Any], name: str) -> None:
    """Raise NewerFormat when a manifest, called ``name`` for people, says that it is
    of a format that came after this release: what it has may mean something else."""
    ours = manifest.get("dfr_backup")
    version = ours.get("format") if isinstance(ours, dict) else None
    if isinstance(version, int):
        refuse_newer_version(version, name)


def refuse_newer_version(version: int, name: str) -> None:
    """The same for the number of a format."""
    if version > FORMAT_VERSION:
        raise NewerFormat(key=name, format=version)


def encode(manifest: Mapping[str, Any]) -> bytes:
    """Return the manifest as JSON in UTF-8, with a line feed at its end."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False, default=_plain)
    return text.encode() + b"\n"


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a manifest")
