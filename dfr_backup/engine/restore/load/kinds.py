"""Which kind of statement pg_dump has written, told by its first words."""

import re

WORD = rb"A-Za-z0-9_$\x80-\xff"
IDENTIFIER = rb'(?:"(?:[^"]|"")+"|[' + WORD + rb"]+)"
NAME = IDENTIFIER + rb"(?:\." + IDENTIFIER + rb")?"
TABLE = rb"(?P<table>" + NAME + rb")"
LISTED = IDENTIFIER + rb"(?:,\s*" + IDENTIFIER + rb")*"
COLUMNS = rb"\(" + LISTED + rb"\)"
COPY = re.compile(
    rb"COPY\s+" + NAME + rb"\s+(?:\((?P<columns>" + LISTED + rb")\)\s+)?FROM\s+stdin"
    rb"\s*;\Z"
)
# besides SET SESSION AUTHORIZATION, which counts for the next statements only
SETTING = re.compile(rb"SET\s+(?!SESSION\s)|SELECT\s+pg_catalog\.set_config\(")
TRANSACTION = re.compile(rb"(?P<word>BEGIN|COMMIT)\s*;\Z")  # around large objects
COPIED = re.compile(rb"COPY\s+" + TABLE)
INDEX = re.compile(
    rb"CREATE\s+(?:UNIQUE\s+)?INDEX\s+" + IDENTIFIER + rb"\s+ON\s+" + TABLE + rb"\s"
)
ADD = (
    rb"ALTER\s+TABLE\s+ONLY\s+"
    + TABLE
    + rb"\s+ADD\s+CONSTRAINT\s+(?P<name>"
    + IDENTIFIER
)
KEY = re.compile(ADD + rb")\s+(?:PRIMARY\s+KEY|UNIQUE)\s")
FOREIGN_KEY = re.compile(ADD + rb")\s+FOREIGN\s+KEY\s.*\)[^()]*;\Z", re.S)
# one that nobody has checked, or checks
UNCHECKED = re.compile(rb"\sNOT\s+(?:VALID|ENFORCED)\s*;\Z")
REFERENCED = re.compile(rb"\sREFERENCES\s+" + TABLE)
PARTITIONED = re.compile(
    rb"CREATE\s+(?:UNLOGGED\s+)?TABLE\s+" + TABLE + rb".*\)\s*PARTITION\s+BY\s", re.S
)
UNACCENT = re.compile(
    rb"CREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?unaccent"
    rb"(?:\s+WITH\s+SCHEMA\s+(?P<schema>" + IDENTIFIER + rb"))?\s*;\Z"
)
# as Odoo does for “unaccent = True”: indexes may only use what is immutable
IMMUTABLE = b"ALTER FUNCTION %s.unaccent(text) IMMUTABLE;"
COMMENT = re.compile(rb"COMMENT\s+ON\s")
ONLY = b"ONLY"  # of a partitioned table, whose parts are attached to it in order


def table_of(pattern: "re.Pattern[bytes]", text: bytes) -> bytes:
    """Return the table that a statement of this kind is about, as the dump writes
    it."""
    found = pattern.match(text)
    return found["table"] if found else b""


def copied_columns(text: bytes) -> list[bytes]:
    """Return the columns that a COPY names, as the dump writes them."""
    found = COPY.match(text)
    named = found["columns"] if found else None
    return [name.strip() for name in named.split(b",")] if named else []
