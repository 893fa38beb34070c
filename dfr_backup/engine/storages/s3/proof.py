"""What proves the content of a stored object without reading it back."""

import hashlib
import os
import threading
from typing import Any

from ..base import CHUNK
from ..rate_limit import RateLimit
from .source import Gate, Md5, Slice, composite_etag
from .upload import parts_of

SHA256 = "dfr-sha256"
ETAG = "dfr-etag"


def fingerprint(file: int) -> dict[str, str]:
    """Return the metadata for the object that an open file becomes: its SHA-256, and
    the ETag that a server computes if it receives just these bytes. Raise Interrupt."""
    whole = hashlib.sha256()
    parts = parts_of(os.fstat(file).st_size)
    gate = Gate(RateLimit(0), threading.Event())
    digests: list[Md5] = []
    for part in parts:
        body = Slice(file, part.offset, part.size, gate)
        while data := body.read(CHUNK):
            whole.update(data)
        digests.append(body.md5())
    # as Upload does it: only what is larger than one part is stored in parts
    etag = composite_etag(digests) if len(parts) > 1 else digests[0].hex
    return {SHA256: whole.hexdigest(), ETAG: etag}


def proves(found: dict[str, Any] | None, size: int, sha256: str) -> bool:
    """Tell whether the answer to a HEAD request proves that an object has this content.

    It does when the server computed the ETag from what it received, and it is the one
    of the file with this SHA-256. False proves nothing: servers that encrypt have other
    ETags.
    """
    if not found or found["ContentLength"] != size:
        return False
    metadata = {
        name.lower(): value for name, value in found.get("Metadata", {}).items()
    }
    etag = found.get("ETag", "").strip('"')
    return metadata.get(SHA256) == sha256 and bool(etag) and metadata.get(ETAG) == etag
