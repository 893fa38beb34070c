"""Whole numbers in addresses and forms, which anybody may have typed."""

from werkzeug.exceptions import BadRequest

LARGEST_ID = (1 << 31) - 1  # what PostgreSQL's integer takes
LARGEST_OFFSET = 1 << 60  # bytes


def whole_number(text, most=LARGEST_ID):
    """Return the number from 0 to ``most`` that a text holds. Raise BadRequest: the
    converter of a route would fail with a server error for one of 5,000 digits."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(most))):
        raise BadRequest()
    number = int(text)
    if number > most:
        raise BadRequest()
    return number
