"""What archives, their sidecars and their members are called."""

import os
import re
import unicodedata
from datetime import datetime, timezone

DUMP = "dump.sql"
INCREMENTAL_DUMP = "database.sql"  # a zip that Odoo must not restore without its packs
INDEX = "attachments.jsonl"  # see archive/attachment_index.py
FILESTORE = "filestore/"
ADDONS = "addons/"
CHECKSUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
SIDECAR_SUFFIX = ".json"
CLOSING = (CHECKSUMS, MANIFEST)  # about the others: always written anew
# a pack of attachment files; no archive of a backup has such a name
PACK = re.compile(r"([0-9a-f]{8}-files-[0-9a-f]{24})\.zip(?:\.age)?")
PACK_SIDECAR = re.compile(r"[0-9a-f]{8}-files-[0-9a-f]{24}\.json")
# control characters, backslashes, drives, and parts that are empty, "." or ".."
UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]|\A[A-Za-z]:|(?:\A|/)\.{0,2}(?:/|\Z)")
# what of it the name of a file can have, and bytes of one that are not UTF-8
ODD = re.compile(r"[\x00-\x1f\x7f\\\udc80-\udcff]")


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


def shown_key(key: str) -> str:
    """Return a key as it can be shown: short, on one line."""
    return "".join(letter if letter.isprintable() else "?" for letter in key[:120])


def is_safe_name(name: str) -> bool:
    """Tell whether a member's name stays below the directory that it is unpacked
    into. No other name is archived, and none is unpacked."""
    if name.startswith(ADDONS):
        # releases before 19.0.1.1.0 have written them there for what is not UTF-8
        name = name.replace("\\", "_")
    return not UNSAFE.search(name.removesuffix("/"))


def without_odd_characters(name: str) -> str:
    """Return the name of a file, as the system has it, so that every reader takes it:
    what cannot stay is written as in addresses, "%E9"."""
    return ODD.sub(
        lambda odd: "".join(f"%{byte:02X}" for byte in os.fsencode(odd[0])), name
    )
