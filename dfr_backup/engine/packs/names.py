"""What packs and what belongs to them are called."""

import hashlib
import re
from collections.abc import Collection

from ..manifest.names import FILESTORE, PACK, PACK_SIDECAR

CONDEMNED = ".condemned"
CONDEMNATION = re.compile(r"([0-9a-f]{8}-files-[0-9a-f]{24})\.condemned")
REGULAR = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{38})")
PREFIX = re.compile(r"[0-9a-f]{8}")
DIGITS = 24  # of a pack's SHA-256, in its name


def prefix_of(uuid: str) -> str:
    """Return how the names of a database's packs begin, given its ``database.uuid``,
    which may be any text."""
    if PREFIX.fullmatch(uuid[:8]):
        return uuid[:8]
    return hashlib.sha256(uuid.encode()).hexdigest()[:8]


def pack_key(uuid: str, sha256: str, encrypted: bool) -> str:
    """Return the key of a pack, given the SHA-256 (hexadecimal) of what is stored."""
    ending = ".zip.age" if encrypted else ".zip"
    return f"{prefix_of(uuid)}-files-{sha256[:DIGITS]}{ending}"


def clock_key(uuid: str) -> str:
    """Return the key of the object that tells a storage's time."""
    return f"{prefix_of(uuid)}-files-clock"


def stem_of(key: str) -> str | None:
    """Return what the names of a pack, its sidecar and its condemnation have in
    common; None for any other object."""
    if PACK_SIDECAR.fullmatch(key):
        return key.removesuffix(".json")
    found = PACK.fullmatch(key) or CONDEMNATION.fullmatch(key)
    return found[1] if found else None


def condemned_key(key: str) -> str:
    """Return the key of the object that says that a pack is going to be deleted."""
    return f"{stem_of(key)}{CONDEMNED}"


def has_prefix(key: str, prefixes: Collection[str]) -> bool:
    return key[:8] in prefixes


def digest_of(store_fname: str) -> bytes | None:
    """Return the SHA-1 that a file of the filestore is called; None for one with a
    name that Odoo does not give, which goes into no pack."""
    found = REGULAR.fullmatch(store_fname)
    return bytes.fromhex(found[2]) if found else None


def member_name(digest: bytes) -> str:
    """Return the name in a pack of the file with that SHA-1."""
    return FILESTORE + store_fname_of(digest)


def store_fname_of(digest: bytes) -> str:
    name = digest.hex()
    return f"{name[:2]}/{name}"
