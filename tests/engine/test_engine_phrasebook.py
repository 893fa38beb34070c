"""Texts of the engine in another language: recognized by their template, and none
left out."""

import ast
import runpy
from pathlib import Path

import pytest

from dfr_backup.engine.phrasebook import Phrasebook

ROOT = Path(__file__).parents[2]
TERMS = runpy.run_path(str(ROOT / "dfr_backup/models/engine_terms.py"))["TERMS"]
SOURCES = sorted(
    [*ROOT.glob("dfr_backup/engine/**/*.py"), *ROOT.glob("dfr_backup/flows/*.py")],
)
GERMAN = {
    "The bucket %(place)s is full.": "Der Bucket %(place)s ist voll.",
    "The bucket %(place)s is %(where)s.": "Der Bucket %(place)s liegt %(where)s.",
    "in another region": "in einer anderen Region",
    "Free some space. Nothing was deleted.": "Schaffen Sie Platz. Es wurde nichts "
    "gelöscht.",
    "Cannot %(doing)s in %(path)s: %(reason)s.": "In %(path)s geht nicht %(doing)s: "
    "%(reason)s.",
    "Cannot %(doing)s in %(path)s": "In %(path)s geht nicht %(doing)s",
    "It broke%(where)s: %(why)s": "Es brach%(where)s: %(why)s",
    "in table %(name)s": "in Tabelle %(name)s",
    "write %(key)s": "%(key)s schreiben",
    "there is no such directory": "das Verzeichnis gibt es nicht",
    "WARNING: %(line)s": "WARNUNG: %(line)s",
    "An unexpected error: %s": "Ein unerwarteter Fehler: %s",
    "%(done)s %% of it": "davon %(done)s %%",
    "%(name)s: %(value)s": "would fit anything",
    "broken %(place)s": "kaputt %(platz)s",
    "only English": "",
}


@pytest.fixture
def german():
    return Phrasebook(GERMAN, GERMAN)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("The bucket b at s3 is full.", "Der Bucket b at s3 ist voll."),
        (
            "The bucket b is in another region.",
            "Der Bucket b liegt in einer anderen Region.",
        ),
        (
            "Cannot write a.zip in /x: there is no such directory.",
            "In /x geht nicht a.zip schreiben: das Verzeichnis gibt es nicht.",
        ),
        ("WARNING: The bucket b is full.", "WARNUNG: Der Bucket b ist voll."),
        ("An unexpected error: OSError", "Ein unerwarteter Fehler: OSError"),
        ("40 % of it", "davon 40 %"),
        # as runs and warnings put them together
        ("NAS: The bucket b is full.", "NAS: Der Bucket b ist voll."),
        (
            "NAS: The bucket b is full. Free some space. Nothing was deleted.",
            "NAS: Der Bucket b ist voll. Schaffen Sie Platz. Es wurde nichts gelöscht.",
        ),
        ("The bucket b is full.\n  ERROR: x", "Der Bucket b ist voll.\n  ERROR: x"),
        (
            "Cannot write a.zip in host: there is no such directory.",
            "In host geht nicht a.zip schreiben: das Verzeichnis gibt es nicht.",
        ),
        ("It broke in table t: why", "Es brach in Tabelle t: why"),
        ("there is no such directory.", "das Verzeichnis gibt es nicht."),
        # what nobody has translated stays as it is
        ("Something else.", "Something else."),
        ("only English", "only English"),
        ("broken record", "broken record"),
        ("NAS: something", "NAS: something"),
        ("", ""),
    ],
)
def test_a_text_is_recognized_by_its_template(german, text, said):
    assert german.translate(text) == said


def test_the_more_exact_template_wins():
    book = Phrasebook(
        {"%(a)s is full.": 0, "The disk %(a)s is full.": 0},
        {"%(a)s is full.": "general", "The disk %(a)s is full.": "exact"},
    )
    assert book.translate("The disk x is full.") == "exact"


def test_an_error_page_of_a_server_takes_no_time(german):
    german.translate(". ".join(["The bucket is not full"] * 90))
    german.translate("Cannot " * 5000)


def test_every_message_and_hint_of_the_engine_can_be_translated():
    book = Phrasebook(TERMS, {term: f"<{term}>" for term in TERMS})
    texts = [found for path in SOURCES for found in _errors_of(path)]
    assert len(texts) > 300
    unknown = [text for text in texts if "<" not in book.translate(text)]
    assert not unknown, "not among the terms: run setup/dev/terms.py"


def test_the_terms_are_those_of_the_source():
    terms = runpy.run_path(str(ROOT / "setup/dev/terms.py"))
    target = ROOT / "dfr_backup/models/engine_terms.py"
    assert target.read_text() == terms["render"](), "run make i18n"


def _errors_of(path):
    """Yield what the errors of a source file say, with “7” for each value."""
    for node in ast.walk(ast.parse(path.read_text())):
        name = getattr(getattr(node, "func", None), "attr", None) or getattr(
            getattr(node, "func", None), "id", ""
        )
        if isinstance(node, ast.Call) and name in (
            "PermanentError",
            "RetryableError",
            "Mismatch",
        ):
            hints = [
                keyword.value for keyword in node.keywords if keyword.arg == "hint"
            ]
            for text in map(_filled, [*node.args[:1], *hints]):
                if text and any(
                    part.isalpha() for part in text.replace("7", "").split()
                ):
                    yield text


def _filled(node):
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else "7"
            for part in node.values
        )
    return None
