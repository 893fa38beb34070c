"""Versions, as PostgreSQL and Odoo write them."""

import re


def numbers_in(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, which compare as the versions do: (19, 0, 1, 1,
    0) for "19.0.1.1.0", () for a text without any."""
    return tuple(int(part) for part in re.findall(r"\d{1,6}", version))
