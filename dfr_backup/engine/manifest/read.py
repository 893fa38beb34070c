"""A manifest, read. Whoever can write to the storage may have made it: nothing of it
is believed, not its size, its depth nor its numbers."""

import hashlib
from dataclasses import replace

from ..errors import PermanentError
from ..errors.archive import ManifestMalformed
from ..errors.fetch import BadManifest
from ..untrusted import MAX_BESIDE, MAX_BYTES, Unusable, parse_json
from .model import Manifest
from .names import shown_key
from .sidecar import Sidecar


def parse_manifest(
    data: bytes,
    unusable: type[PermanentError] = ManifestMalformed,
    most: int = MAX_BYTES,
) -> Manifest:
    """Return what a manifest of at most so many bytes says, in an archive or beside it.
    Raise NewerFormat, and ``unusable``, an error that names the ``reason``, for what is
    none."""
    try:
        return Manifest.from_json(parse_json(data, most))
    except Unusable as error:
        raise unusable(reason=error.reason) from None


def parse_sidecar(data: bytes, key: str) -> Sidecar:
    """Given what is stored under ``key``, return what it says, checked.

    Raise PermanentError that names what is wrong, or that a newer version of this
    addon wrote it.
    """
    try:
        found = Sidecar.from_json(parse_json(data, MAX_BESIDE), key)
    except Unusable as error:
        raise BadManifest(key=shown_key(key), reason=error.reason) from None
    digest = hashlib.sha256(data).hexdigest()
    return replace(found, file_size=len(data), file_sha256=digest)
