"""Codes of errors: short, the same in every language and release, and listed in
docs/errors.rst.

A code belongs to a message. What is filled into it at run time, a name or what a server
has answered, does not matter.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from .errortable import CODES
from .phrasebook import Template

GAP = "…"  # stands in the table for what is filled in
LONGEST = 2000  # characters of a text that may still be a message
LETTERS = 7  # a message with fewer of them outside of its gaps would fit anything
BORDER = ": "  # "step: message"


class CodeBook:
    """``codes`` maps messages, with GAP for what is filled in, to their codes."""

    def __init__(self, codes: Mapping[str, str]):
        self._exact = dict(codes)
        templates = [
            Template(_as_term(text), code)
            for text, code in codes.items()
            if GAP in text
        ]
        useful = [template for template in templates if template.letters >= LETTERS]
        # of two that fit, the one that says more is meant
        self._templates = sorted(useful, key=lambda template: -template.letters)

    def find(self, text: str) -> str:
        """Return the code of a message, also after the name of a step; "" for one
        without."""
        text = " ".join(text[: LONGEST + 1].split())
        if len(text) > LONGEST:
            return ""
        return next(
            (code for part in _endings(text) if (code := self._look_up(part))), ""
        )

    def _look_up(self, text: str) -> str:
        if text in self._exact:
            return self._exact[text]
        fitting = (one for one in self._templates if one.values_in(text) is not None)
        return next((one.translation for one in fitting), "")


@lru_cache(maxsize=1024)
def error_code(text: str) -> str:
    """Return the code of an error message of this addon, "" for what has none."""
    return _own().find(text)


def with_code(text: str, code: str) -> str:
    """Return a message as lines and mails show it: with its code, if it has one,
    behind it."""
    return f"{text} [{code}]" if code else text


@lru_cache(maxsize=1)
def _own() -> CodeBook:
    return CodeBook(CODES)


def _as_term(text: str) -> str:
    return text.replace("%", "%%").replace(GAP, "%s")


def _endings(text: str) -> Iterator[str]:
    """Yield a text, and what is left of it after each border."""
    yield text
    for border in re.finditer(BORDER, text):
        yield text[border.end() :]
