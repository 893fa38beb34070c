"""Translations keep what the program puts in and what the page is made of."""

import re
from collections import Counter
from pathlib import Path

import polib
import pytest

FOLDER = Path(__file__).parents[2] / "dfr_backup" / "i18n"
TEMPLATE = FOLDER / "dfr_backup.pot"
TRANSLATIONS = sorted(FOLDER.glob("*.po"))
LANGUAGES = {path.stem for path in TRANSLATIONS}
PLACES = re.compile(r"%\(\w+\)0?\d*[sd]|%[sd]|%%|\{\w+\}|<[^>]+>")

pytestmark = pytest.mark.parametrize("path", TRANSLATIONS, ids=lambda path: path.stem)


def test_it_has_the_terms_of_the_template_and_no_other(path):
    terms = {entry.msgid for entry in polib.pofile(str(TEMPLATE))}
    assert {
        entry.msgid for entry in polib.pofile(str(path)) if not entry.obsolete
    } == terms


def test_values_and_tags_are_those_of_the_original(path):
    differing = {
        entry.msgid: entry.msgstr
        for entry in translated(path)
        if _places(entry.msgid) != _places(entry.msgstr)
    }
    assert not differing


def test_borders_are_those_of_the_original(path):
    """Pieces of a sentence are joined as they are: a space too few glues words
    together."""
    assert not {
        entry.msgid: entry.msgstr
        for entry in translated(path)
        if _border(entry.msgid) != _border(entry.msgstr)
    }


def translated(path):
    return polib.pofile(str(path)).translated_entries()


def _places(text):
    found = PLACES.findall(text)
    # without names, the order is part of the contract
    unnamed = [place for place in found if place in ("%s", "%d")]
    return Counter(found), unnamed


def _border(text):
    return text[:1].isspace(), text[-1:].isspace()
