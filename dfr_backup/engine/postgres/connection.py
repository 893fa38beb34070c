"""PostgreSQL: how to reach it, which of its programs to use, and what its errors
mean."""

import ctypes
import math
import os
import re
import select
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from glob import glob
from pathlib import Path
from shutil import which
from subprocess import SubprocessError
from typing import Any, ClassVar

import psycopg2
import psycopg2.extensions
from psycopg2 import _psycopg

from ..concurrency.background import Task
from ..concurrency.process import output_of
from ..errors import EngineError
from ..errors.dump import (
    DumpFailed,
    DumpKilled,
    DumpLostServer,
    FewSessions,
    MayNotRead,
    ProgramMissing,
    ProgramTooOld,
    ServerUnreachable,
    TableLocked,
    TooManySessions,
)
from ..progress import Progress
from .hearing import cursor_heard_by

DEBIAN_TOOLS = "/usr/lib/postgresql/*/bin"
RED_HAT_TOOLS = "/usr/pgsql-*/bin"
# what pg_dump says, and what it passes on of the server's words
SAID = re.compile(r"(?im)^.*?error:\s*(?P<words>.*)")
SERVER_SAID = re.compile(r"Error message from server: (?:\w+:\s+)?(?P<words>.*)")
ADVICE = re.compile(r"(?m)^HINT:\s+(?P<words>.*)")
DENIED = re.compile(
    r"permission denied for (?:(?:table|relation|sequence) |(?=schema |large object ))"
    r"(?P<object>.*)"
)
FULL = re.compile(
    r"(?P<reason>(?:sorry, )?too many (?:connections|clients)[^\n]*|"
    r"remaining connection slots are reserved[^\n]*)"
)
# a session that was closed counts until its process has ended
FULL_PATIENCE = 3.0  # seconds
BACKUP_SESSIONS = 5  # the lock, Odoo's two, the snapshot, pg_dump
LIMITS = """
    SELECT 'ROLE', quote_ident(rolname), rolconnlimit,
           (SELECT count(*) FROM pg_stat_activity WHERE usesysid = r.oid)
      FROM pg_roles r WHERE rolname = current_user AND NOT rolsuper
 UNION ALL
    SELECT 'DATABASE', quote_ident(d.datname), datconnlimit,
           (SELECT count(*) FROM pg_stat_activity WHERE datid = d.oid)
      FROM pg_database d, pg_roles r
     WHERE d.datname = current_database() AND rolname = current_user AND NOT rolsuper
"""
NOT_AUTHORIZED = "28"  # the class of SQLSTATE
NONE_GIVEN = "no password supplied"  # libpq's own words, which are English
TOO_MANY_CONNECTIONS, MAY_NOT, LOCK_NOT_AVAILABLE = "53300", "42501", "55P03"
# pg_dump's own words, which are English, and its SQL
NOT_LET_IN = re.compile(r"connection to server .* failed:")
QUERY_FAILED = re.compile(r"query failed:|Error message from server:")
LOCKING = re.compile(r"(?i)(?:query|command) was: LOCK TABLE")
SQLSTATE = re.compile(r"(?m):\s+(?P<code>[0-9A-Z]{5})$")
ONLY_SQLSTATE = 3  # libpq's PQERRORS_SQLSTATE
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


@dataclass(frozen=True)
class Connection:
    """How to reach one database. ``params`` are libpq's (host, port, user, password,
    sslmode…).

    The password goes to programs by the environment, never on a command line.
    """

    database: str
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    application_name: str = "dfr_backup"
    progress: Progress | None = field(default=None, repr=False, compare=False)

    ENVIRONMENT: ClassVar = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "sslmode": "PGSSLMODE",
        "sslrootcert": "PGSSLROOTCERT",
        "sslcert": "PGSSLCERT",
        "sslkey": "PGSSLKEY",
    }

    def connect(self, patience: float = FULL_PATIENCE) -> Any:
        """Return a new psycopg2 connection. Wait ``patience`` seconds for a session
        that is free where the server limits them. Raise ServerUnreachable, of which
        TooManySessions is one, and Cancelled where the connection is heard."""
        if self.progress is None:
            return self._connect(patience)
        opening = Task(partial(self._connect, patience), "dfr_backup connect")
        try:
            session = opening.finish(self.progress.tick)
        except BaseException:
            if not opening.done:  # a server may let us wait as long as it likes
                opening.abandon(lambda session: session.close())
            raise
        session.cursor_factory = cursor_heard_by(self.progress)
        return session

    def _connect(self, patience: float) -> Any:
        until = time.monotonic() + patience
        while True:
            try:
                return self._connected()
            except TooManySessions:
                if time.monotonic() >= until:
                    raise
                time.sleep(0.05)

    def arguments(self) -> dict[str, Any]:
        """Return what psycopg2 connects with."""
        arguments = {key: value for key, value in self.params.items() if value}
        arguments.update(dbname=self.database, application_name=self.application_name)
        arguments.setdefault("connect_timeout", 15)
        return arguments

    def _connected(self) -> Any:
        arguments = self.arguments()
        try:
            return psycopg2.connect(**arguments)
        except psycopg2.OperationalError as error:
            said = str(error).strip()
            full = FULL.search(said)
            state = "" if full else sqlstate_of_refusal(arguments)
            if full or state == TOO_MANY_CONNECTIONS:
                reason = full["reason"] if full else _words_of_server(said)
                raise TooManySessions(reason=reason, log=said) from error
            remedy = _remedy(arguments, said, state)
            raise ServerUnreachable(remedy=remedy, log=said) from error

    def environ(self) -> dict[str, str]:
        """Return the environment for a client program."""
        env = dict(os.environ)
        for key, name in self.ENVIRONMENT.items():
            if self.params.get(key):
                env[name] = str(self.params[key])
        # as an argument, a name with "=" in it would be read as connection options
        env.update(PGDATABASE=self.database, PGAPPNAME=self.application_name)
        env.update(LC_ALL="C", LANGUAGE="")  # its own words, not those of the server
        return env

    def heard_by(self, progress: Progress | None) -> "Connection":
        """Return the same connection, whose statements end when somebody cancels:
        only for the thread that reports to ``progress``."""
        return replace(self, progress=progress)

    def named(self, application_name: str) -> "Connection":
        """Return the same connection under another application name."""
        return replace(self, application_name=application_name)


def sqlstate_of_refusal(arguments: Mapping[str, Any]) -> str:
    """Return the SQLSTATE with which a server refuses a new connection, "" when it
    lets it in now, or cannot be reached.

    psycopg2 keeps the words only, and they are in the server's language; libpq can be
    asked to tell the code instead.
    """
    session = None
    try:
        tell = ctypes.CDLL(_psycopg.__file__).PQsetErrorVerbosity
        tell.argtypes = (ctypes.c_void_p, ctypes.c_int)
        session = psycopg2.connect(**arguments, async_=True)
        tell(session.pgconn_ptr, ONLY_SQLSTATE)
        _wait_for(session, float(arguments["connect_timeout"]))
    except (psycopg2.OperationalError, OSError, AttributeError) as error:
        found = SQLSTATE.search(str(error))
        return found["code"] if found else ""
    finally:
        if session:
            session.close()
    return ""


def _remedy(arguments: Mapping[str, Any], said: str, state: str) -> str | None:
    """Return what helps against a refusal that is told with ``state``, or made by libpq
    itself."""
    if state.startswith(NOT_AUTHORIZED) or NONE_GIVEN in said:
        return ServerUnreachable.remedy_login
    named = map(os.environ.get, ("PGHOST", "PGHOSTADDR", "PGSERVICE"))
    if arguments.get("host") or any(named):
        return None
    return ServerUnreachable.remedy_no_host


def _wait_for(session: Any, seconds: float) -> None:
    """Let a connection be made, or not; at most so long."""
    until = time.monotonic() + seconds
    while (state := session.poll()) != psycopg2.extensions.POLL_OK:
        reads = [session] if state == psycopg2.extensions.POLL_READ else []
        writes = [] if reads else [session]
        left = until - time.monotonic()
        if left <= 0 or not any(select.select(reads, writes, [], left)):
            return


def _words_of_server(said: str) -> str:
    """Return what the server said, of what libpq makes of it: "connection to server at
    …, port 5432 failed: FATAL:  …"."""
    return said.splitlines()[0].rpartition(":  ")[2]


@dataclass(frozen=True)
class ClientTool:
    """One installed client program and its version, for example (15, 18)."""

    path: Path
    version: tuple[int, ...]

    @property
    def label(self) -> str:
        return f"{self.path.name} {'.'.join(map(str, self.version))} ({self.path})"


def find_client_tool(
    name: str, server_major: int, pg_path: str | None = None
) -> ClientTool:
    """Return the program ``name`` that fits the server best: the same major version,
    else the next newer one. Looks into ``pg_path``, PATH and where Debian and Red Hat
    keep versions.

    Raise ProgramMissing, or ProgramTooOld: PostgreSQL's client programs refuse servers
    newer than themselves.
    """
    found = list(_installed_tools(name, pg_path))
    usable = [tool for tool in found if tool.version[0] >= server_major]
    if usable:
        return min(usable, key=lambda tool: tool.version[0])
    if not found:
        raise ProgramMissing(program=name, major=server_major)
    newest = max(found, key=lambda tool: tool.version)
    raise ProgramTooOld(program=newest.label, major=server_major)


def _installed_tools(name: str, pg_path: str | None) -> Iterator[ClientTool]:
    folders = [pg_path] if pg_path else []
    on_path = which(name)
    folders += [os.path.dirname(on_path)] if on_path else []
    folders += sorted(glob(DEBIAN_TOOLS), reverse=True) + sorted(
        glob(RED_HAT_TOOLS), reverse=True
    )
    for folder in dict.fromkeys(folders):
        path = Path(folder, name)
        version = _version_of(path)
        if version:
            yield ClientTool(path, version)


def _version_of(path: Path) -> tuple[int, ...] | None:
    if not os.access(path, os.X_OK) or path.is_dir():
        return None
    try:
        match = re.search(r"(\d+(?:\.\d+)*)", output_of([path, "--version"]))
    except (OSError, SubprocessError):
        return None
    return tuple(map(int, match[1].split("."))) if match else None


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
            return TooManySessions(reason=_words_of_server(stderr), log=log)
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


def require_sessions(cr: Any, needed: int = BACKUP_SESSIONS) -> str:
    """Return the limits of sessions that hold for the user of a cursor, in words, ""
    without any. Raise FewSessions when fewer than ``needed`` are free; the cursor's
    own counts as free."""
    limited = _limits(cr)
    for kind, name, limit, used in limited:
        if limit - used + 1 < needed:
            statement = f"ALTER {kind} {name} CONNECTION LIMIT {used - 1 + needed};"
            raise FewSessions(
                whose=f"{kind.lower()} {name}",
                limit=limit,
                used=used - 1,
                needed=needed,
                statement=statement,
            )
    return ", ".join(
        f"{kind.lower()} {name}: {used - 1} of {limit}"
        for kind, name, limit, used in limited
    )


def free_sessions(cr: Any) -> float:
    """Return how many sessions more the user of a cursor may have; infinite where
    nobody has limited them."""
    return min((limit - used for *_, limit, used in _limits(cr)), default=math.inf)


def _limits(cr: Any) -> list[tuple[str, str, int, int]]:
    cr.execute("SELECT pg_stat_clear_snapshot()")  # else it is one per transaction
    cr.execute(LIMITS)
    found: list[tuple[str, str, int, int]] = cr.fetchall()
    return [row for row in found if row[2] >= 0]


def end_sessions(connection: Connection, application_name: str) -> int:
    """End what an interrupted run left on the server; return how many sessions that
    were."""
    session = connection.connect()
    try:
        session.autocommit = True
        with session.cursor() as cr:
            cr.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = %s AND datname = current_database()"
                " AND pid <> pg_backend_pid()",
                [application_name],
            )
            return int(cr.fetchone()[0])
    finally:
        session.close()
