"""Bech32 (BIP 173), in which age writes its keys."""

from collections.abc import Sequence

from ..messages import Message, _

LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


class NotBech32(ValueError):
    """What is wrong with a text, as ``problem``, which says nothing of its content."""

    def __init__(self, template: str):
        super().__init__(template)
        self.problem = Message(template)


def encode(prefix: str, data: bytes) -> str:
    """Return the text of a key, in small letters."""
    prefix = prefix.lower()
    values = _regroup(data, 8, 5, pad=True)
    check = _sum(prefix, values + [0] * 6) ^ 1
    values += [check >> 5 * (5 - at) & 31 for at in range(6)]
    return f"{prefix}1" + "".join(LETTERS[value] for value in values)


def decode(prefix: str, text: str) -> bytes:
    """Return the 32 bytes of a key. Raise NotBech32."""
    if text not in (text.lower(), text.upper()):
        raise NotBech32(_("small and capital letters are mixed"))
    head, _one, tail = text.lower().rpartition("1")
    if head != prefix or not set(tail) <= set(LETTERS):
        raise NotBech32(_("it does not look like one"))
    values = [LETTERS.index(letter) for letter in tail]
    if len(values) < 6 or _sum(prefix, values) != 1:
        raise NotBech32(_("a character is wrong or missing"))
    data = bytes(_regroup(values[:-6], 5, 8, pad=False))
    if len(data) != 32:
        raise NotBech32(_("its length is wrong"))
    return data


def _sum(prefix: str, values: Sequence[int]) -> int:
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    generators = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
    total = 1
    for value in [*expanded, *values]:
        top = total >> 25
        total = (total & 0x1FFFFFF) << 5 ^ value
        for at, generator in enumerate(generators):
            total ^= generator if top >> at & 1 else 0
    return total


def _regroup(data: Sequence[int], width: int, into: int, pad: bool) -> list[int]:
    """Cut numbers of ``width`` bits into numbers of ``into`` bits. Raise NotBech32."""
    bits = "".join(f"{value:0{width}b}" for value in data)
    rest = len(bits) % into
    if pad:
        bits += "0" * (-len(bits) % into)
    elif rest >= width or "1" in bits[len(bits) - rest :]:
        raise NotBech32(_("a character is wrong"))
    else:
        bits = bits[: len(bits) - rest]
    return [int(bits[at : at + into], 2) for at in range(0, len(bits), into)]
