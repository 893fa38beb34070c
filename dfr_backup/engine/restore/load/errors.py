"""What an error of PostgreSQL means for a statement of a dump."""

import re
from collections.abc import Collection

import psycopg2

from ...errors import EngineError, PermanentError
from ...errors.fetch import DamagedArchive
from ...errors.restore import (
    EventTriggerRefused,
    ExtensionRefused,
    LoadFailed,
    ObjectRefused,
    PublicationRefused,
    ServerLost,
)
from ...messages import Message, _
from ..errors import (
    INSUFFICIENT_PRIVILEGE,
    INVALID_ROLE,
    REMEDIES,
    UNDEFINED_OBJECT,
    is_lost,
    reason_of_server,
    remedy_for,
)
from .dump_lines import DumpPosition
from .kinds import IDENTIFIER

SHOWN = 2000  # characters of a statement
# The rows themselves follow these words: they may hold anything, and do not belong into
# a log.
CONTEXT = re.compile(
    r"COPY (?P<table>.+?), line (?P<line>\d+)(?:, column (?P<column>[^:]+))?"
)
PRIVATE_DETAIL = "Failing row contains"
RIGHTS = re.compile(
    rb"GRANT\s|REVOKE\s|ALTER\s+DEFAULT\s+PRIVILEGES\s|SET\s+SESSION\s+AUTHORIZATION\s"
)
FOREIGN_COMMENT = re.compile(rb"COMMENT\s+ON\s+(?:EXTENSION|SCHEMA)\s")
REFRESH = re.compile(rb"REFRESH\s+MATERIALIZED\s+VIEW\s+(?P<view>.*?)\s*;\Z", re.S)
WITHOUT_DATA = re.compile(
    rb"(?:CREATE|ALTER|COMMENT\s+ON)\s+(?P<kind>EXTENSION|PUBLICATION|EVENT\s+TRIGGER)"
    rb"\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>" + IDENTIFIER + rb")[\s;]"
)
OBJECTS: dict[bytes, type[ObjectRefused]] = {
    b"EXTENSION": ExtensionRefused,
    b"PUBLICATION": PublicationRefused,
    b"EVENT TRIGGER": EventTriggerRefused,
}
FUNCTION = re.compile(r"(?P<name>[^\s()]+\([^()]*\))")
# of a table, function, schema or type that is looked for without a schema
NOT_FOUND = ("42P01", "42883", "3F000", UNDEFINED_OBJECT)
# by the first two signs: no connection, no room, stopped, the system's
NOT_OF_SQL = ("08", "53", "57", "58")
SKIPPED = _("dump.sql, line %(line)s, was not followed: %(reason)s")
UNPOPULATED = _(
    "The materialized view %(view)s has no rows yet (%(reason)s). Once its cause is "
    "removed: REFRESH MATERIALIZED VIEW %(view)s;"
)
UNPOPULATED_BY_SEARCH_PATH = _(
    "The materialized view %(view)s has no rows yet (%(reason)s): a function of it "
    "needs a search_path, and a dump is loaded without one. Add “SET search_path = "
    "public” to the function, then: REFRESH MATERIALIZED VIEW %(view)s;"
)
LINE = _("dump.sql, line %(line)s")
LINE_OF_TABLE = _("dump.sql, line %(line)s, table %(table)s")
LINE_OF_COLUMN = _("dump.sql, line %(line)s, table %(table)s, column %(column)s")


def excuse(
    error: psycopg2.Error,
    statement: bytes,
    position: DumpPosition,
    left_out: Collection[str] = (),
) -> Message | None:
    """Return a warning when the data of a restored database are complete without this
    statement: rights of users that this server does not have, comments on what belongs
    to the server's administrator, rows that a materialized view takes from tables, and
    what may be ``left_out`` (findings of ``ObjectRefused``). Else None."""
    reason, view = reason_of_server(error), REFRESH.match(statement)
    if view and is_of_sql(error):
        by_path = error.pgcode in NOT_FOUND
        template = UNPOPULATED_BY_SEARCH_PATH if by_path else UNPOPULATED
        name = view["view"].decode("utf-8", "replace")
        return Message(template, view=name, reason=reason)
    refused, _name = _refused(statement)
    if refused and refused.finding in left_out and not _is_short(error):
        return Message(SKIPPED, line=position.line, reason=reason)
    tolerable: tuple[str, ...] = ()
    if RIGHTS.match(statement):
        tolerable = (UNDEFINED_OBJECT, INSUFFICIENT_PRIVILEGE, INVALID_ROLE)
    elif FOREIGN_COMMENT.match(statement):
        tolerable = (INSUFFICIENT_PRIVILEGE,)
    if error.pgcode not in tolerable:
        return None
    return Message(SKIPPED, line=position.line, reason=reason)


def is_of_sql(error: BaseException | None) -> bool:
    """Tell whether PostgreSQL refuses a statement itself: it is not short of anything,
    was not stopped, and grants the right to it."""
    code = error.pgcode if isinstance(error, psycopg2.Error) else None
    return bool(
        code and not code.startswith(NOT_OF_SQL) and code != INSUFFICIENT_PRIVILEGE
    )


def may_be_damage(error: PermanentError) -> bool:
    """Tell whether a dump that is not what it was may be why a load has ended: not
    when that is known, nor when PostgreSQL has named something else."""
    if isinstance(error, DamagedArchive):
        return False
    cause = error.__cause__
    return not (isinstance(cause, psycopg2.Error) and cause.pgcode in REMEDIES)


def load_error(
    error: psycopg2.Error,
    statement: bytes,
    position: DumpPosition,
    *,
    rows: bool = False,
) -> EngineError:
    """Return the error that says which line of the dump failed, and why.

    ``position`` is that of the statement or, with ``rows``, of the first row that was
    sent.
    """
    reason, where = reason_of_server(error), _where(error, position, rows)
    text = statement[:SHOWN].decode("utf-8", "replace")
    log = f"{where}: {reason}\n{_detail(error)}{text}"
    if is_lost(error):
        return ServerLost(reason=reason, log=log)
    remedy, function = remedy_for(error), _function(error)
    if not remedy and function:
        remedy = LoadFailed.remedy_search_path
    refused, name = _refused(statement)
    if refused and not _is_short(error):
        remedy = remedy if refused is ExtensionRefused else None
        return refused(reason=reason, where=where, name=name, remedy=remedy, log=log)
    return LoadFailed(
        reason=reason, where=where, function=function, remedy=remedy, log=log
    )


def _refused(statement: bytes) -> tuple[type[ObjectRefused] | None, str]:
    """Return the error of the object without data that a statement is about, and its
    name."""
    found = WITHOUT_DATA.match(statement)
    if not found:
        return None, ""
    return OBJECTS[b" ".join(found["kind"].split())], found["name"].decode(
        "utf-8", "replace"
    )


def _is_short(error: psycopg2.Error) -> bool:
    """Tell whether the server was lost, full, or told to stop."""
    return (error.pgcode or "08").startswith(("08", "53", "57"))


def _function(error: psycopg2.Error) -> str:
    """Return the function that did not find what it uses; else nothing."""
    context = error.diag.context or ""
    found = error.pgcode in NOT_FOUND and FUNCTION.search(context)
    return found["name"] if found else ""


def _where(error: psycopg2.Error, position: DumpPosition, rows: bool) -> Message:
    found = rows and CONTEXT.search(error.diag.context or "")
    if not found:
        return Message(LINE, line=position.line)
    line, column = position.line + int(found["line"]) - 1, found["column"]
    template = LINE_OF_COLUMN if column else LINE_OF_TABLE
    return Message(template, line=line, table=found["table"], column=column)


def _detail(error: psycopg2.Error) -> str:
    detail = error.diag.message_detail or ""
    return f"{detail}\n" if detail and not detail.startswith(PRIVATE_DETAIL) else ""
