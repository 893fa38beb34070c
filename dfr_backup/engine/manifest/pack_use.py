"""What the sidecar of an incremental backup says about each pack that it needs."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..messages import _
from ..untrusted import Unusable

ALL = "all"


@dataclass(frozen=True)
class PackUse:
    """A pack that a backup needs: its ``key``, ``size`` (bytes) and ``sha256``
    (hexadecimal) as it is stored, and ``sums``, the SHA-256 of SHA256SUMS in it.

    ``wanted`` tells which attachment files of the pack belong to the backup: None for
    all of them, else a bit for each, in the order of the pack's directory, the lowest
    bit of a byte first.
    """

    key: str
    size: int
    sha256: str
    sums: str
    wanted: bytes | None = None

    def wants(self, number: int) -> bool:
        """Tell whether the attachment file of that number (from 0) belongs to it."""
        if self.wanted is None:
            return True
        at = number >> 3
        return at < len(self.wanted) and bool(self.wanted[at] >> (number & 7) & 1)

    def fits(self, files: int) -> bool:
        """Tell whether a pack of so many attachment files can be meant."""
        if self.wanted is None:
            return True
        right = len(self.wanted) == (files + 7) >> 3
        return right and int.from_bytes(self.wanted, "little") >> files == 0

    def to_json(self) -> dict[str, Any]:
        bits = self.wanted
        return {
            "key": self.key,
            "size": self.size,
            "sha256": self.sha256,
            "sums": self.sums,
            "wanted": ALL if bits is None else base64.b64encode(bits).decode(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "PackUse":
        """Return what JSON of the right shape says. Raise Unusable."""
        bits, text = None, data["wanted"]
        if text != ALL:
            try:
                bits = base64.b64decode(text, validate=True)
            except (ValueError, binascii.Error):
                raise Unusable(_("a list of wanted files is damaged")) from None
        return cls(data["key"], data["size"], data["sha256"], data["sums"], bits)


def uses_of(packs: Iterable[Mapping[str, Any]]) -> tuple[PackUse, ...]:
    """Return the packs of a sidecar. Raise Unusable, also for one that is named
    twice."""
    uses = tuple(map(PackUse.from_json, packs))
    if len({use.key for use in uses}) != len(uses):
        raise Unusable(_("it names a pack twice"))
    return uses
