"""What an error of PostgreSQL means while a database is being restored."""

import re
from typing import Any

import psycopg2

from ..archive.zipdirectory import DamagedArchive
from ..errors import EngineError, PermanentError, RetryableError
from .dumplines import Place

SHOWN = 2000  # characters of a statement
# The rows themselves follow these words: they may hold anything, and do not belong into
# a log.
CONTEXT = re.compile(
    r"COPY (?P<table>.+?), line (?P<line>\d+)(?:, column (?P<column>[^:]+))?"
)
PRIVATE_DETAIL = "Failing row contains"
RIGHTS = re.compile(rb"GRANT\s|REVOKE\s|ALTER\s+DEFAULT\s+PRIVILEGES\s")
FOREIGN_COMMENT = re.compile(rb"COMMENT\s+ON\s+(?:EXTENSION|SCHEMA)\s")
UNDEFINED_OBJECT, INSUFFICIENT_PRIVILEGE, UNAVAILABLE = "42704", "42501", "0A000"
HINTS = {
    "53100": "The disk of the database server is full. Free some space there and try "
    "again.",
    "53200": "The database server is short of memory.",
    INSUFFICIENT_PRIVILEGE: "The database user of odoo.conf may not do this. Restore "
    "as a user "
    "that may, or let an administrator of PostgreSQL create the extension in template1 "
    "and "
    "set db_template.",
    UNAVAILABLE: "Install what is named on the database server: the dump needs it.",
    "58P01": "Install what is named on the database server: the dump needs it.",
    "42P17": "Restore with an unaccent function that is IMMUTABLE, as the original "
    "server had it: "
    "set “unaccent = True” in odoo.conf, or use a db_template that has it.",
}
DAMAGED = (
    "Nothing was kept. The dump does not fit this server, or the backup is damaged: "
    "“odoo backup "
    "verify” tells. The line and the statement are in the log."
)


def is_tolerable(statement: bytes, error: psycopg2.Error) -> bool:
    """Tell whether a restored database is complete without this statement: rights of
    users that this server does not have, and comments on what belongs to the
    server's administrator."""
    if RIGHTS.match(statement):
        return error.pgcode in (UNDEFINED_OBJECT, INSUFFICIENT_PRIVILEGE)
    return (
        bool(FOREIGN_COMMENT.match(statement))
        and error.pgcode == INSUFFICIENT_PRIVILEGE
    )


def may_be_damage(error: PermanentError) -> bool:
    """Tell whether a dump that is not what it was may be why a load has ended: not
    when that is known, nor when PostgreSQL has named something else."""
    if isinstance(error, DamagedArchive):
        return False
    cause = error.__cause__
    return not (isinstance(cause, psycopg2.Error) and cause.pgcode in HINTS)


def load_error(
    error: psycopg2.Error, statement: bytes, place: Place, *, rows: bool = False
) -> EngineError:
    """Return the error that says which line of the dump failed, and why.

    ``place`` is that of the statement or, with ``rows``, of the first row that was
    sent.
    """
    reason, where, line = _reason(error), "", place.line
    if found := rows and CONTEXT.search(error.diag.context or ""):
        line += int(found["line"]) - 1
        column = f", column {found['column']}" if found["column"] else ""
        where = f" in table {found['table']}{column}"
    text = statement[:SHOWN].decode("utf-8", "replace")
    log = f"dump.sql, line {line}{where}: {reason}\n{_detail(error)}{text}"
    if _is_lost(error):
        return RetryableError(
            f"The database server was lost during the restore: {reason}",
            hint="Check that PostgreSQL runs and takes connections; its log may say "
            "more.",
            log=log,
        )
    return PermanentError(
        f"The database could not be loaded{where}: {reason} (dump.sql, line {line})",
        hint=HINTS.get(error.pgcode or "", DAMAGED),
        log=log,
    )


def server_error(error: psycopg2.Error, doing: str) -> EngineError:
    """Return the error of a statement of our own; ``doing`` completes “Cannot …”."""
    kind = RetryableError if _is_lost(error) else PermanentError
    hint = HINTS.get(error.pgcode or "", "Look at the log of PostgreSQL.")
    return kind(f"Cannot {doing}: {_reason(error)}", hint=hint, log=str(error).strip())


def _reason(error: psycopg2.Error) -> str:
    text: Any = error.diag.message_primary or str(error)
    return str(text).strip() or type(error).__name__


def _detail(error: psycopg2.Error) -> str:
    detail = error.diag.message_detail or ""
    return f"{detail}\n" if detail and not detail.startswith(PRIVATE_DETAIL) else ""


def _is_lost(error: psycopg2.Error) -> bool:
    """Tell whether the connection broke: then the server has said nothing, or that
    it ends."""
    code = error.pgcode or ""
    lost = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
    return code.startswith(("08", "57P0")) or (lost and not code)
