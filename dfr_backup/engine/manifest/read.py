"""A manifest, read. Whoever can write to the storage may have made it: nothing of it
is believed, not its size, its depth nor its numbers."""

import hashlib
from dataclasses import replace

from ..errors.archive import ManifestMalformed
from ..errors.fetch import BadManifest
from ..errors.other import ManifestUnreadable
from ..untrusted import Unusable, parse_json
from .model import Manifest, Sidecar, shown_key


def parse_manifest(data: bytes) -> Manifest:
    """Return what ``manifest.json`` in an archive says. Raise ManifestMalformed,
    NewerFormat."""
    try:
        return Manifest.from_json(parse_json(data))
    except Unusable as error:
        raise ManifestMalformed(reason=error.reason) from None


def parse_any(data: bytes) -> Manifest:
    """Return what a manifest says that lies in an archive, or beside it, under whatever
    name. Raise ManifestUnreadable, NewerFormat."""
    try:
        return Manifest.from_json(parse_json(data))
    except Unusable as error:
        raise ManifestUnreadable(reason=error.reason) from None


def parse_sidecar(data: bytes, key: str) -> Sidecar:
    """Given what is stored under ``key``, return what it says, checked.

    Raise PermanentError that names what is wrong, or that a newer version of this
    addon wrote it.
    """
    try:
        found = Sidecar.from_json(parse_json(data), key)
    except Unusable as error:
        raise BadManifest(key=shown_key(key), reason=error.reason) from None
    digest = hashlib.sha256(data).hexdigest()
    return replace(found, file_size=len(data), file_sha256=digest)
