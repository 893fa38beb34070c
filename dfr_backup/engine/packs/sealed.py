"""What this server remembers of encrypted packs, sealed: whoever reads the disk, or a
copy of it, learns no names from it."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..encryption.secret_box import NONCE_BYTES

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PURPOSE = b"dfr_backup index of packs 1"
TAG_BYTES = 16
OVERHEAD = NONCE_BYTES + TAG_BYTES  # of each piece


class NotSealed(ValueError):
    """What was to be opened is not what was sealed there, by this key."""


@dataclass(frozen=True)
class Seal:
    """Seals pieces by a key of 32 bytes, each for its place: AES-256-GCM."""

    key: bytes = field(repr=False)

    def close(self, piece: bytes, place: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher().encrypt(nonce, piece, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Raise NotSealed when it is not what was sealed there, by this key."""
        from cryptography.exceptions import InvalidTag

        nonce, piece = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return self._cipher().decrypt(nonce, piece, place.encode())
        except (InvalidTag, ValueError):  # or too short to be any
            raise NotSealed("it was sealed by another key, or is damaged") from None

    def _cipher(self) -> "AESGCM":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self.key)


def which_opens(seals: Sequence[Seal], sealed: bytes, place: str) -> Seal:
    """Return the seal that opens a piece. Raise NotSealed when none does."""
    for seal in seals:
        with suppress(NotSealed):
            seal.open(sealed, place)
            return seal
    raise NotSealed("it was sealed by another key")
