"""What this server remembers of encrypted packs, sealed: whoever reads the disk, or a
copy of it, learns no names from it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ..encryption.secret_box import NONCE_BYTES, Key

PURPOSE = b"dfr_backup index of packs 1"
TAG_BYTES = 16
OVERHEAD = NONCE_BYTES + TAG_BYTES  # of each piece


class NotSealed(ValueError):
    """What was to be opened is not what was sealed there, by this key."""


@dataclass(frozen=True)
class Seal:
    """Seals pieces by a key of 32 bytes, each for its place."""

    key: bytes = field(repr=False)

    def close(self, piece: bytes, place: str) -> bytes:
        return Key(self.key).encrypt(piece, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Raise NotSealed when it is not what was sealed there, by this key."""
        piece = Key(self.key).decrypt(sealed, place.encode())
        if piece is None:
            raise NotSealed("it was sealed by another key, or is damaged")
        return piece


def which_opens(seals: Sequence[Seal], sealed: bytes, place: str) -> Seal:
    """Return the seal that opens a piece. Raise NotSealed when none does."""
    for seal in seals:
        with suppress(NotSealed):
            seal.open(sealed, place)
            return seal
    raise NotSealed("it was sealed by another key")
