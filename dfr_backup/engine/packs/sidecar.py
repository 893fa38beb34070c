"""The sidecar of a pack: whose it is, and what is stored. It is written after the pack,
and signed."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors.packs import PackMalformed
from ..identity import UNKNOWN, Identity
from ..manifest.model import INCREMENTAL
from ..manifest.names import PACK, shown_key, sidecar_key
from ..manifest.pack_use import PackUse
from ..manifest.shape import SHA256, check_shape
from ..manifest.signature import Signature, signature_of
from ..manifest.write import encode
from ..messages import _
from ..untrusted import Unusable, parse_json
from .owner import Owner

LONGEST_MARK = 128  # characters
SHAPE = {
    "dfr_backup": {
        "format": int,
        "identity": {"uuid": str, "system": str, "oid": int, "name": str},
        "pack": {
            "key": str,
            "size": int,
            "sha256": str,
            "sums": str,
            "files": int,
            "bytes": int,
            "keys": str,
        },
    }
}


@dataclass(frozen=True)
class PackSidecar:
    """What is known of a stored pack: ``key``, ``size`` (bytes) and ``sha256`` of the
    object, ``sums``, the SHA-256 of SHA256SUMS in it, its ``files`` and what
    they have in ``total`` (bytes); ``mark`` names the keys that it was encrypted for,
    "" when it was not.
    ``file_size`` and ``file_sha256`` are those of the sidecar itself, as stored."""

    key: str
    size: int
    sha256: str
    sums: str
    files: int
    total: int
    mark: str = ""
    identity: Identity = UNKNOWN
    signature: Signature | None = None
    file_size: int = field(default=0, compare=False)
    file_sha256: str = field(default="", compare=False)

    def to_bytes(self, owner: Owner) -> bytes:
        """Return the sidecar, signed for its owner."""
        pack = {
            "key": self.key,
            "size": self.size,
            "sha256": self.sha256,
            "sums": self.sums,
            "files": self.files,
            "bytes": self.total,
            "keys": self.mark,
        }
        about = {"format": INCREMENTAL, "identity": owner.identity.to_json()}
        return encode(owner.sign({"dfr_backup": {**about, "pack": pack}}))

    def use(self, wanted: bytes | None) -> PackUse:
        """Return what the sidecar of a backup says that needs it."""
        return PackUse(self.key, self.size, self.sha256, self.sums, wanted)


def parse_pack_sidecar(data: bytes, key: str) -> PackSidecar:
    """Return what is stored under ``key`` says about the pack beside it. Raise
    PackMalformed."""
    try:
        found = _parsed(parse_json(data), key)
    except Unusable as error:
        raise PackMalformed(key=shown_key(key), reason=error.reason) from None
    digest = hashlib.sha256(data).hexdigest()
    return replace(found, file_size=len(data), file_sha256=digest)


def _parsed(data: Any, key: str) -> PackSidecar:
    check_shape(data, SHAPE)
    ours = data.get("dfr_backup") or {}
    pack = ours.get("pack") or {}
    if ours.get("format") != INCREMENTAL:
        raise Unusable(_("it has another format"))
    texts = [pack.get(name) or "" for name in ("key", "sha256", "sums", "keys")]
    stored, sha256, sums, mark = texts
    digests = SHA256.fullmatch(sha256) and SHA256.fullmatch(sums)
    numbers = [pack.get(name) or 0 for name in ("size", "files")]
    if not (PACK.fullmatch(stored) and digests and all(numbers)):
        raise Unusable(_("something is missing in it"))
    if sidecar_key(stored) != key or len(mark) > LONGEST_MARK:
        raise Unusable(_("it describes another pack than the one beside it"))
    identity = Identity.from_json(ours.get("identity"))
    size, files = numbers
    total = pack.get("bytes") or 0
    signed = signature_of(data)
    return PackSidecar(stored, size, sha256, sums, files, total, mark, identity, signed)
