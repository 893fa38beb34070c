"""What it means when pg_dump fails, or a query of ours on the same tables."""

import re

import psycopg2

from ..errors import EngineError
from ..errors.dump import (
    DumpFailed,
    DumpKilled,
    DumpLostServer,
    MayNotRead,
    TableLocked,
    TooManySessions,
)
from .connection import (
    FULL,
    TOO_MANY_CONNECTIONS,
    Connection,
    sqlstate_of_refusal,
    words_of_server,
)

# what pg_dump says, and what it passes on of the server's words
SAID = re.compile(r"(?im)^.*?error:\s*(?P<words>.*)")
SERVER_SAID = re.compile(r"Error message from server: (?:\w+:\s+)?(?P<words>.*)")
ADVICE = re.compile(r"(?m)^HINT:\s+(?P<words>.*)")
DENIED = re.compile(
    r"permission denied for (?:(?:table|relation|sequence) |(?=schema |large object ))"
    r"(?P<object>.*)"
)
MAY_NOT, LOCK_NOT_AVAILABLE = "42501", "55P03"  # SQLSTATE
# pg_dump's own words, which are English, and its SQL
NOT_LET_IN = re.compile(r"connection to server .* failed:")
QUERY_FAILED = re.compile(r"query failed:|Error message from server:")
LOCKING = re.compile(r"(?i)(?:query|command) was: LOCK TABLE")
LOST = re.compile(r"connection to server|server closed the connection|terminating conn")
NAMED = 5  # objects that are named in a message
SHOWN = 1000  # characters of GRANT statements in a remedy: more of them are logged
MISSING_RIGHTS = """
    WITH schemas AS (SELECT oid, nspname FROM pg_namespace
                      WHERE nspname !~ '^pg_' AND nspname <> 'information_schema')
    SELECT 'USAGE', 'SCHEMA', format('%I', nspname) FROM schemas
     WHERE NOT has_schema_privilege(oid, 'USAGE')
 UNION ALL
    SELECT 'SELECT', 'TABLE', format('%I.%I', nspname, relname)
      FROM pg_class c JOIN schemas s ON s.oid = c.relnamespace
     WHERE relkind IN ('r', 'p', 'S') AND NOT has_table_privilege(c.oid, 'SELECT')
       AND (NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass
                           AND objid = c.oid AND deptype = 'e')
            OR EXISTS (SELECT FROM pg_extension WHERE c.oid = ANY (extconfig)))
 UNION ALL
    SELECT 'SELECT', 'LARGE OBJECT', oid::text FROM pg_largeobject_metadata
     WHERE NOT EXISTS (
           SELECT FROM aclexplode(coalesce(lomacl, acldefault('L', lomowner)))
            WHERE privilege_type = 'SELECT'
              AND (grantee = 0 OR pg_has_role(grantee, 'USAGE')))
 ORDER BY 1 DESC, 2 DESC, 3
"""


def dump_error(
    status: int,
    stderr: str,
    connection: Connection | None = None,
    sqlstate: str | None = None,
) -> EngineError:
    """Return the error that says why pg_dump failed, from its exit status and its
    stderr, or why a query of ours did, from its ``sqlstate`` as well. With a
    connection, a missing right comes with the statements that grant it.

    pg_dump tells no SQLSTATE, and the server's words are in its language: where they
    are not English, the server is asked what can be the matter.
    """
    log = stderr or f"exit status {status}, and nothing on stderr"
    reason = _reason(stderr) or f"exit status {status}"
    if denied := DENIED.search(stderr):
        return _may_not_read(denied["object"], connection, log)
    if full := FULL.search(stderr):
        return TooManySessions(reason=full["reason"], log=log)
    if "lock timeout" in stderr or "could not obtain lock" in stderr:
        return TableLocked(log=log)
    if known := _by_facts(stderr, connection, sqlstate, log):
        return known
    if status < 0:
        return DumpKilled(signal=-status, log=log)
    if LOST.search(stderr):
        return DumpLostServer(reason=reason, log=log)
    if advice := ADVICE.search(stderr):
        remedy = DumpFailed.remedy_postgres
        return DumpFailed(reason=reason, advice=advice["words"], remedy=remedy, log=log)
    return DumpFailed(reason=reason, log=log)


def _by_facts(
    stderr: str,
    connection: Connection | None,
    sqlstate: str | None,
    log: str,
) -> EngineError | None:
    """Return the same of what needs no words of the server, None when that tells
    nothing."""
    if sqlstate == LOCK_NOT_AVAILABLE:
        return TableLocked(log=log)
    if connection and NOT_LET_IN.search(stderr):
        if sqlstate_of_refusal(connection.arguments()) == TOO_MANY_CONNECTIONS:
            return TooManySessions(reason=words_of_server(stderr), log=log)
        return None
    if connection and (sqlstate == MAY_NOT or QUERY_FAILED.search(stderr)):
        denied = _may_not_read("", connection, log)
        if denied.message.values["objects"]:
            return denied
    return TableLocked(log=log) if LOCKING.search(stderr) else None


def _reason(stderr: str) -> str:
    found = SAID.search(stderr), SERVER_SAID.search(stderr)
    return " ".join(match["words"].strip() for match in found if match)


def _may_not_read(refused: str, connection: Connection | None, log: str) -> EngineError:
    try:
        objects, statements = missing_rights(connection) if connection else ([], [])
    except (EngineError, psycopg2.Error):
        objects = []
    if not objects:
        return MayNotRead(objects=refused, log=log)
    more = " …" if len(objects) > NAMED else ""
    named, grants = ", ".join(objects[:NAMED]) + more, " ".join(statements)
    if len(grants) > SHOWN:
        log = "\n".join([log, *statements])
        return MayNotRead(objects=named, remedy=MayNotRead.remedy_log, log=log)
    remedy = MayNotRead.remedy_grant
    return MayNotRead(objects=named, grants=grants, remedy=remedy, log=log)


def missing_rights(connection: Connection) -> tuple[list[str], list[str]]:
    """Return what the user of a connection may not read of what pg_dump reads, as
    names, and the statements by which somebody else grants it. Raise ServerUnreachable,
    psycopg2.Error."""
    session = connection.connect()
    try:
        with session.cursor() as cr:
            cr.execute(MISSING_RIGHTS)
            rows: list[tuple[str, str, str]] = cr.fetchall()
            cr.execute("SELECT quote_ident(current_user)")
            user = cr.fetchone()[0]
    finally:
        session.close()
    objects: dict[tuple[str, str], list[str]] = {}
    for right, kind, name in rows:
        objects.setdefault((right, kind), []).append(name)
    statements = [
        f"GRANT {right} ON {kind} {', '.join(names)} TO {user};"
        for (right, kind), names in objects.items()
    ]
    named = [
        name if kind == "TABLE" else f"{kind.lower()} {name}" for _, kind, name in rows
    ]
    return named, statements
