"""Texts of the engine in another language.

The engine words what happened in English, and that is what is kept: in steps, logs and
monitors. Who reads it later gets it in a language of their own. A kept text is
recognized by the template that it was made from; its values are taken out, and put into
the translation of that template. What is not recognized stays as it is.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

VALUE = re.compile(r"%\((\w+)\)s|(%s)|(%%)")
LONGEST = 2000  # characters of a line that may still be a text, and no data
DEPTH = 4  # texts in texts
SENTENCE = re.compile(r"(?<=[.?:]) ")
LETTERS = 4  # a template with fewer of them outside of its values would fit anything


@dataclass(frozen=True)
class Template:
    """A term with values, ``%(name)s`` or ``%s``, and its translation."""

    term: str
    translation: str

    @cached_property
    def landmark(self) -> str:
        """The longest piece of the term between two values."""
        return max(self._literals(), key=len)

    @cached_property
    def letters(self) -> int:
        return sum(
            character.isalpha() for piece in self._literals() for character in piece
        )

    @cached_property
    def _names(self) -> list[str]:
        """The values' names in their order; ``%s`` has none."""
        return [found[1] or "" for found in VALUE.finditer(self.term) if not found[3]]

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        pieces = [re.escape(piece.replace("\0", "%")) for piece in self._literals()]
        return re.compile("(.*?)".join(pieces))

    def _literals(self) -> list[str]:
        return re.split(r"%\(\w+\)s|%s", self.term.replace("%%", "\0"))

    def values_in(self, text: str) -> dict[str, str] | None:
        """Return the values with which the term is ``text``, None when it is not. A
        value without a name has its number."""
        if self.landmark.replace("\0", "%") not in text:
            return None
        found = self._pattern.fullmatch(text)
        if found is None:
            return None
        numbered = enumerate(zip(self._names, found.groups(), strict=True))
        return {name or str(number): value for number, (name, value) in numbered}

    def fill(self, values: dict[str, str]) -> str | None:
        """Return the translation with ``values``, None when it does not fit them."""
        named = any(self._names)
        try:
            return self.translation % (values if named else tuple(values.values()))
        except (KeyError, TypeError, ValueError):
            return None


class Phrasebook:
    """Translations of ``terms``; ``translations`` maps terms to what they are in one
    language."""

    def __init__(self, terms: Iterable[str], translations: Mapping[str, str]):
        known = {term: translations[term] for term in terms if translations.get(term)}
        self._exact = {term.replace("%%", "%"): said for term, said in known.items()}
        templates = [Template(*item) for item in known.items() if VALUE.search(item[0])]
        useful = [template for template in templates if template.letters >= LETTERS]
        self._templates = sorted(useful, key=lambda template: -template.letters)
        # a line of many sentences asks again and again for the same end of it
        self._known = lru_cache(maxsize=8192)(self._find)

    def translate(self, text: str) -> str:
        """Return ``text`` with each of its lines translated, as far as they are
        known."""
        return "\n".join(self._translated(line) for line in text.split("\n"))

    def _translated(self, line: str) -> str:
        text = line.strip()
        if not text or len(text) > LONGEST:
            return line
        return line.replace(text, self._known(text, DEPTH).said)

    def _find(self, text: str, depth: int) -> "_Said":
        """Return the translation that recognizes most of a text."""
        if text in self._exact:
            return _Said(self._exact[text].replace("%%", "%"), len(text))
        if not depth:
            return _Said(text)
        found = [
            *self._in_parts(text, depth),
            *self._filled(text, depth),
            *self._stopped(text),
        ]
        return max(found, key=lambda said: said.letters, default=_Said(text))

    def _filled(self, text: str, depth: int) -> Iterator["_Said"]:
        """Yield what templates make of a text."""
        for template in self._templates:
            values = template.values_in(text)
            if values is None:
                continue
            said = {
                name: self._value(value, depth - 1) for name, value in values.items()
            }
            filled = template.fill({name: value.said for name, value in said.items()})
            if filled is not None:
                letters = template.letters + sum(
                    value.letters for value in said.values()
                )
                yield _Said(filled, letters)

    def _value(self, text: str, depth: int) -> "_Said":
        """Return the translation of a value, with the spaces around it."""
        core = text.strip()
        known = self._known(core, depth)
        return _Said(text.replace(core, known.said) if core else text, known.letters)

    def _in_parts(self, text: str, depth: int) -> Iterator["_Said"]:
        """Yield what is known of “name: text” and of “sentence. sentence”."""
        for border in SENTENCE.finditer(text):
            left, right = text[: border.start()], text[border.end() :]
            colon = ":" if left.endswith(":") else ""
            before = self._known(left.removesuffix(":"), depth - 1)
            after = self._known(right, depth - 1)
            letters = before.letters + after.letters
            if letters:
                yield _Said(f"{before.said}{colon} {after.said}", letters)

    def _stopped(self, text: str) -> Iterator["_Said"]:
        """Yield the translation of a piece that only got a full stop."""
        if text.endswith(".") and text[:-1] in self._exact:
            yield _Said(f"{self._exact[text[:-1]]}.", len(text))


@dataclass(frozen=True)
class _Said:
    """A text as it is said, and how many letters of the original were recognized."""

    said: str
    letters: int = 0
