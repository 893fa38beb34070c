"""Codes of error messages."""

import pytest

from dfr_backup.engine.errorcodes import GAP, CodeBook, error_code
from dfr_backup.engine.errortable import CODES

BOOK = CodeBook(
    {
        "The disk is full.": "A-1",
        "The disk … is gone.": "A-2",
        "The disk … is gone: … files are lost.": "A-3",
        "…: …": "A-4",
        "100 % of … is used.": "A-5",
    }
)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The disk is full.", "A-1"),
        ("The disk /srv is gone.", "A-2"),
        ("The disk /srv is gone: 12 files are lost.", "A-3"),
        ("Compress and seal: The disk is full.", "A-1"),
        ("Upload: Far host: The disk /srv is gone.", "A-2"),
        ("The disk\n/srv is gone.", "A-2"),
        ("100 % of it is used.", "A-5"),
        ("one: two", ""),
        ("The disk is full. Indeed.", ""),
        ("", ""),
        ("The disk " + "x" * 5000 + " is gone.", ""),
    ],
)
def test_find(text, code):
    assert BOOK.find(text) == code


@pytest.mark.parametrize("value", ["x", "/srv/a b/c.zip: 12, of “y”"])
@pytest.mark.parametrize("message", sorted(CODES))
def test_every_message_has_its_code(message, value):
    assert error_code(message.replace(GAP, value)) == CODES[message]


def test_a_real_error_has_its_code():
    text = (
        "Dump database: A table is locked by another session, and was not free in time."
    )
    assert error_code(text) == "DUMP-01"
