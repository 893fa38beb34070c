"""What pg_dump writes for the server that it has read, as an older one takes it.

PostgreSQL 18 names the NOT NULL constraints of a table that inherits beside its
columns; before, each is a statement of its own. Every database of Odoo has such tables:
those of its actions.
"""

import re
from collections.abc import Iterator

from .kinds import IDENTIFIER, TABLE
from .sql_stream import Statement

NAMED_SINCE = 180000  # as libpq counts versions
INHERITING = re.compile(
    rb"CREATE\s+(?:UNLOGGED\s+)?TABLE\s+" + TABLE + rb"\s*\(\n(?P<body>.*)\n\)\s*"
    rb"INHERITS\s*\(",
    re.S,
)
NOT_NULL = re.compile(
    rb"\s*(?:CONSTRAINT\s+"
    + IDENTIFIER
    + rb"\s+)?NOT\s+NULL\s+(?P<column>"
    + IDENTIFIER
    + rb")(?:\s+NO\s+INHERIT)?,?"
)
SET_NOT_NULL = b"ALTER TABLE ONLY %s ALTER COLUMN %s SET NOT NULL;"


def as_taken_by(version: int, statement: Statement) -> Iterator[Statement]:
    """Yield what does the same on a server of this version."""
    found = INHERITING.match(statement.text) if version < NAMED_SINCE else None
    lines = found["body"].split(b"\n") if found else []
    named = [NOT_NULL.fullmatch(line) for line in lines]
    if not found or not any(named):
        yield statement
        return
    kept = [line for line, one in zip(lines, named, strict=True) if not one]
    body = b"\n".join(kept)
    if named[-1]:
        body = body.removesuffix(b",")
    begin, end = found.span("body")
    text = statement.text[:begin] + body + statement.text[end:]
    yield Statement(text, statement.position)
    for one in filter(None, named):
        text = SET_NOT_NULL % (found["table"], one["column"])
        yield Statement(text, statement.position)
