"""A dump is data: the statements that pg_dump 13 to 18 writes, with any option for
plain SQL but those for a whole server (``--create``, ``--binary-upgrade``).

Told apart by their first words, as pg_dump writes them. This keeps away what acts on
the server or its files. It is no barrier against a hostile dump, whose functions run
when an index is built, for example: see “trusted” in ``steps``.
"""

import re
from collections.abc import Iterable

from ...errors.restore import ForeignStatement, WholeServer
from .kinds import COLUMNS, IDENTIFIER, WORD
from .sql_stream import Statement

SHOWN = re.compile(rb"[\w.\s]{1,60}")
OBJECTS = (
    "ACCESS METHOD", "AGGREGATE", "CAST", "COLLATION", "CONSTRAINT TRIGGER",
    "CONVERSION", "DOMAIN", "EVENT TRIGGER", "EXTENSION", "FOREIGN DATA WRAPPER",
    "FOREIGN TABLE", "FUNCTION", "INDEX", "LANGUAGE", "MATERIALIZED VIEW", "OPERATOR",
    "POLICY", "PROCEDURAL LANGUAGE", "PROCEDURE", "PUBLICATION", "RULE", "SCHEMA",
    "SEQUENCE", "SERVER", "STATISTICS", "SUBSCRIPTION", "TABLE", "TEXT SEARCH",
    "TRANSFORM", "TRIGGER", "TRUSTED LANGUAGE", "TRUSTED PROCEDURAL LANGUAGE", "TYPE",
    "UNIQUE INDEX", "UNLOGGED SEQUENCE", "UNLOGGED TABLE", "USER MAPPING", "VIEW",
)  # fmt: skip
ALTERED = ({*OBJECTS} - {"EXTENSION"}) | {"DEFAULT PRIVILEGES", "LARGE OBJECT"}
DESCRIBED = {*ALTERED, "COLUMN", "CONSTRAINT", "EXTENSION"}
GRANTED = (
    "FOREIGN DATA WRAPPER", "FOREIGN SERVER", "FUNCTION", "LANGUAGE", "LARGE OBJECT",
    "PROCEDURE", "SCHEMA", "SEQUENCE", "TABLE", "TYPE",
)  # fmt: skip
FUNCTIONS = rb"(?:lo_close|lo_create|lo_open|lo_unlink|lowrite|set_config|setval)"
PRIVILEGE = rb"[A-Z]+(?: PRIVILEGES)?(?:\s*" + COLUMNS + rb")?"
SERVERS = re.compile(rb"(?:CREATE|ALTER|DROP)\s+(?:DATABASE|ROLE|TABLESPACE)\s")


def _any_of(words: Iterable[str]) -> bytes:
    known = "|".join(sorted(words, reverse=True)).replace(" ", r"\s+")
    return rb"(?:" + known.encode() + rb")(?![" + WORD + rb"])"


ALLOWED = re.compile(
    rb"|".join(
        (
            rb"CREATE\s+(?:OR\s+REPLACE\s+)?" + _any_of(OBJECTS),
            rb"ALTER\s+" + _any_of(ALTERED),
            rb"DROP\s+" + _any_of(OBJECTS),
            rb"COMMENT\s+ON\s+" + _any_of(DESCRIBED),
            rb"SECURITY\s+LABEL\s+FOR\s+" + IDENTIFIER + rb"\s+ON\s+"
            + _any_of(DESCRIBED),
            rb"(?:GRANT|REVOKE)\s+(?:GRANT OPTION FOR )?" + PRIVILEGE
            + rb"(?:,\s*" + PRIVILEGE + rb")*\s+ON\s+" + _any_of(GRANTED),
            rb"SET\s+[a-z_]+\s*=",
            rb"SET\s+SESSION\s+AUTHORIZATION\s",
            rb"RESET\s+SESSION\s+AUTHORIZATION\s*;",
            rb"SELECT\s+pg_catalog\." + FUNCTIONS + rb"\(",
            rb"SELECT\s+\*\s+FROM\s+pg_catalog\.pg_restore_(?:attribute|relation)_stats\(",
            rb"INSERT\s+INTO\s",
            rb"REFRESH\s+MATERIALIZED\s+VIEW\s",
            rb"(?:BEGIN|COMMIT)\s*;",
        )
    )
)  # fmt: skip


def require_allowed(statement: Statement) -> None:
    """Raise ForeignStatement or WholeServer for one that pg_dump does not write."""
    if SERVERS.match(statement.text):
        raise WholeServer(log=f"dump.sql, line {statement.position.line}")
    if not ALLOWED.match(statement.text) and not statement.is_copy:
        found = SHOWN.match(statement.text)
        head = " ".join(found[0].decode("ascii", "replace").split()) if found else ""
        raise ForeignStatement(head=head, line=statement.position.line)
