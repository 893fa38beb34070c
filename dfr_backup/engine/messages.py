"""Texts as values: a template in English, and what is filled in.

The engine makes messages, not sentences. Whoever shows one renders it in the reader's
language; where none is known (logs, monitors, commands), ``str`` gives the English.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias, cast

Translate: TypeAlias = Callable[[str], str]

PLACE = re.compile(r"%\((\w+)\)s|%%")
MISSING = "…"  # shown for a value that nobody gave: an error must not hide another
# what came from outside may hold: PostgreSQL keeps no NUL, UTF-8 no half a character
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
LONGEST_VALUE = 1000  # characters


def _(template: str) -> str:
    """Mark a template for Odoo's export of terms, and return it as it is.

    A template is a literal with named places, ``%(name)s``; a percent sign is ``%%``.
    """
    return template


# languages have units of their own: French counts octets
UNITS = (
    _("%(number)s B"),
    _("%(number)s KiB"),
    _("%(number)s MiB"),
    _("%(number)s GiB"),
    _("%(number)s TiB"),
)


def storable(text: str, most: int) -> str:
    """Return a text as it can be stored and shown: at most so many characters."""
    if len(text) > most:
        text = f"{text[: most - 1]}{MISSING}"
    return UNSTORABLE.sub("\ufffd", text)


def places(template: str) -> set[str]:
    """Return the names of the values that a template asks for."""
    return set(filter(None, PLACE.findall(template)))


@dataclass(frozen=True)
class Size:
    """A number of bytes."""

    count: int

    def __str__(self) -> str:
        return self.render(str)

    def render(self, translate: Translate, point: str = ".") -> str:
        """Return the text, see ``Message.render``."""
        size, unit = float(self.count), 0
        while size >= 1024 and unit < len(UNITS) - 1:
            size, unit = size / 1024, unit + 1
        number = f"{size:.1f}".replace(".", point) if unit else f"{size:.0f}"
        return Message(UNITS[unit], number=number).render(translate)

    def to_json(self) -> object:
        return {"bytes": self.count}


@dataclass(frozen=True, init=False)
class Message:
    """A template and the values for its places; values without a place are dropped.

    A value may be a string, a number, a ``Size``, another message or ``Joined`` ones;
    an EngineError is its message, and anything else is what ``str`` makes of it.
    """

    template: str
    values: Mapping[str, "Value"]

    def __init__(self, template: str, /, **values: object):
        named = places(template)
        kept = {name: _value(given) for name, given in values.items() if name in named}
        object.__setattr__(self, "template", template)
        object.__setattr__(self, "values", MappingProxyType(kept))

    def __bool__(self) -> bool:
        return bool(self.template)

    def __hash__(self) -> int:
        return hash(self.template)

    def __str__(self) -> str:
        return self.render(str)

    def render(self, translate: Translate, point: str = ".") -> str:
        """Return the text; ``translate`` maps a template to that of a language, and
        ``point`` is what stands before decimals there."""

        def fill(place: re.Match[str]) -> str:
            if place[1] is None:
                return "%"
            return render(self.values.get(place[1], MISSING), translate, point)

        return PLACE.sub(fill, translate(self.template))

    def to_json(self) -> object:
        values = {name: _to_json(value) for name, value in self.values.items()}
        return {"text": self.template, **({"values": values} if values else {})}


@dataclass(frozen=True, init=False)
class Joined:
    """Several texts as one, empty ones left out: sentences, lines, names."""

    parts: tuple["Value", ...]
    separator: str

    def __init__(self, parts: Iterable[object], separator: str = " "):
        object.__setattr__(self, "parts", tuple(map(_value, filter(None, parts))))
        object.__setattr__(self, "separator", separator)

    def __bool__(self) -> bool:
        return bool(self.parts)

    def __str__(self) -> str:
        return self.render(str)

    def render(self, translate: Translate, point: str = ".") -> str:
        """Return the text, see ``Message.render``."""
        return self.separator.join(
            render(part, translate, point) for part in self.parts
        )

    def to_json(self) -> object:
        return {"joined": list(map(_to_json, self.parts)), "by": self.separator}


class NotAMessage(ValueError):
    """Something that ``to_json`` has not written."""


Value: TypeAlias = str | int | float | Size | Message | Joined
Text: TypeAlias = str | Message | Joined
NOTHING = Message("")


def render(value: Value, translate: Translate, point: str = ".") -> str:
    """Return a value as it is shown; only messages and sizes have a language."""
    if isinstance(value, Size | Message | Joined):
        return value.render(translate, point)
    return str(value)


def to_json(text: Text) -> object:
    """Return a text in the form that ``from_json`` reads."""
    return _to_json(text)


def from_json(data: Any) -> Value:
    """Return what ``to_json`` has written. Raise NotAMessage for anything else."""
    if isinstance(data, str | int | float):
        return data
    if isinstance(data, dict):
        if isinstance(data.get("text"), str):
            values = _mapping(data.get("values", {}))
            said = {str(name): from_json(value) for name, value in values.items()}
            return Message(data["text"], **said)
        if isinstance(data.get("joined"), list):
            return Joined(map(from_json, data["joined"]), str(data.get("by", " ")))
        if isinstance(data.get("bytes"), int):
            return Size(data["bytes"])
    raise NotAMessage()


def _mapping(data: Any) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise NotAMessage()
    return cast(Mapping[str, Any], data)


def _value(given: object) -> Value:
    if isinstance(given, bool):
        return str(given)
    if isinstance(given, int | float | Size | Message | Joined):
        return given
    said = getattr(given, "message", None)  # of an EngineError
    return said if isinstance(said, Message) else storable(str(given), LONGEST_VALUE)


def _to_json(value: Value) -> object:
    return value.to_json() if isinstance(value, Size | Message | Joined) else value
