"""Small members whose bytes are ready: threads make them, and the writer adds them."""

import hashlib
from dataclasses import dataclass

from .deflate import Codec
from .zip_format import DEFLATED, STORED

SMALL = 4 << 20  # bytes: up to here a file is handled in one piece


@dataclass(frozen=True)
class Prepared:
    """A small member whose bytes are ready: ``payload`` is deflated or stored, by
    ``method``.

    ``note`` is what should be known about it after a resume; see
    ``ArchiveWriter.noted``.
    """

    name: str
    method: int
    payload: bytes
    size: int
    crc: int
    sha256: str
    note: str = ""


def prepare(
    name: str, data: bytes, codec: Codec, sha256: str | None = None, note: str = ""
) -> Prepared:
    """Return a member of ``data``, deflated where that makes it smaller."""
    digest = sha256 or hashlib.sha256(data).hexdigest()
    packed = codec.deflated(data)
    method, payload = (STORED, data) if packed is None else (DEFLATED, packed)
    return Prepared(name, method, payload, len(data), codec.crc32(data), digest, note)
