"""The migration finds the codes of errors that were stored as text alone."""

import json
import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "dfr_backup/migrations/19.0.1.1.0"
OLD = json.loads((FOLDER / "codes.json").read_text("utf-8"))
MIGRATION = runpy.run_path(str(FOLDER / "post-codes.py"))
PATTERNS = MIGRATION["_patterns"]()
GAP = MIGRATION["GAP"]
VALUES = [
    "12",
    "/srv/a b/c.zip",
    "db.example.com:5432",
    "the host “a”, port 22 (of two)",
    "No such file or directory: /srv/x",
]
STEPS = ["Initialize", "Verify: Far host: 2026-11-26/db_12.zip"]


def found(text):
    return MIGRATION["_find"](text, PATTERNS)


def said(text, value, last=None):
    """Return a text of the release before with ``value`` in its places."""
    head, gap, end = text.rpartition(GAP)
    return head.replace(GAP, value) + (gap and (last or value)) + end


@pytest.mark.parametrize("code", OLD)
def test_an_old_text_has_its_own_code_or_none(code):
    text = OLD[code]
    texts = {said(text, value) for value in VALUES}
    if f": {GAP}" in text:  # what another one says may stand there
        texts |= {said(text, "x", last=said(other, "y")) for other in OLD.values()}
    wrong = {text: got for text in texts if (got := found(text)) not in (code, None)}
    assert not wrong
    assert found(said(text, "x")) == code


@pytest.mark.parametrize("code", OLD)
def test_the_name_of_a_step_is_no_value(code):
    text = said(OLD[code], "x")
    assert {found(f"{step}: {text}") for step in STEPS} <= {code, None}


def test_what_may_be_two_texts_has_no_code():
    text = "pg_dump failed: x is not installed on the Odoo server."
    assert found(text) is None
    assert found(f"{text} Something else.") == "DUMP-03"


def test_a_text_of_nobody_has_no_code():
    assert found("The backup process could not be started.") is None
    assert found("x" * 5000) is None
