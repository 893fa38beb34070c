"""JSON of somebody unknown, read within bounds of size, depth and memory."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from .messages import Message, Size, _

MAX_BYTES = 4 << 20  # of a manifest: some 60,000 tables with their counts of rows
# of one beside an archive, which may say which files of its packs are wanted: 350 bytes
# for each of thousands, and four for each three bytes of ``Terms.bitmap_bytes``
MAX_BESIDE = 16 << 20
MOST_VALUES = 200_000  # in all: a small text must not become gigabytes of objects
MOST_LEVELS = 32
LONGEST_NUMBER = 30  # digits
LONGEST_FRACTION = 400  # digits of a number with a fraction or an exponent
SURROGATES = re.compile(r"[\ud800-\udfff]")  # halves of characters: no text has them
TOO_DEEP = _("it is nested too deeply")


class Unusable(ValueError):
    """What speaks against a text that should be a manifest: its ``reason``."""

    def __init__(self, template: str, **values: object):
        self.reason = Message(template, **values)
        super().__init__(str(self.reason))


def parse_json(data: bytes, most: int = MAX_BYTES) -> Any:
    """Return what the JSON of somebody unknown says.

    It has at most ``most`` bytes, ``MOST_VALUES`` values and ``MOST_LEVELS`` levels, no
    name twice in an object, and no character that cannot be written in UTF-8. Raise
    Unusable.
    """
    if len(data) > most:
        raise Unusable(_("it is larger than %(most)s"), most=Size(most))
    if _values(data) > MOST_VALUES:
        raise Unusable(_("it holds too many values"))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Unusable(_("it is not text in UTF-8")) from None
    try:
        value = DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise Unusable(
            _("it is not JSON, or it was cut off (line %(line)s, column %(column)s)"),
            line=error.lineno,
            column=error.colno,
        ) from None
    except RecursionError:
        raise Unusable(TOO_DEEP) from None
    # neither is possible without these, and a million small texts need not be walked
    if b"\\u" in data or _openings(data) > MOST_LEVELS:
        _check_levels(value)
    return value


def is_within_bounds(
    data: bytes, spare_bytes: int = 0, spare_values: int = 0, most: int = MAX_BYTES
) -> bool:
    """Tell whether ``parse_json`` takes this text for its size, also when so many bytes
    and values come to it."""
    small = len(data) + spare_bytes <= most
    return small and _values(data) + spare_values <= MOST_VALUES


def _values(data: bytes) -> int:
    return data.count(b",") + _openings(data)


def _openings(data: bytes) -> int:
    return data.count(b"[") + data.count(b"{")


def _check_levels(value: Any) -> None:
    level = [value]
    for _number in range(MOST_LEVELS):
        if not level:
            return
        level = [inner for outer in level for inner in _values_in(outer)]
    raise Unusable(TOO_DEEP)


def _values_in(value: Any) -> Iterator[Any]:
    if isinstance(value, str) and SURROGATES.search(value):
        raise Unusable(_("a text in it contains an incomplete character"))
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unusable(_("a name occurs in it twice"))
    return found


def _whole(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise Unusable(_("a number in it is too long"))
    return int(digits)


def _finite(digits: str) -> float:
    if len(digits) > LONGEST_FRACTION:
        raise Unusable(_("a number in it is too long"))
    value = float(digits)
    if not math.isfinite(value):
        raise Unusable(_("a number in it is too large"))
    return value


def _no_constant(name: str) -> float:
    raise Unusable(_("%(name)s in it is not a number"), name=name)


DECODER = json.JSONDecoder(  # made once: there may be a million small texts
    object_pairs_hook=_unique,
    parse_int=_whole,
    parse_float=_finite,
    parse_constant=_no_constant,
)
