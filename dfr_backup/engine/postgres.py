"""PostgreSQL: which pg_dump, the exported snapshot, and the dump as a pipe."""

import os
import re
import select
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from glob import glob
from pathlib import Path
from shutil import which
from subprocess import SubprocessError
from typing import Any

import psycopg2
from psycopg2 import sql

from .checkpoints import checkpoint
from .errors import EngineError, PermanentError, RetryableError
from .filestore import Attachment
from .process import PIPE_SIZE, Child, output_of
from .progress import Progress

DEBIAN_TOOLS = "/usr/lib/postgresql/*/bin"
RED_HAT_TOOLS = "/usr/pgsql-*/bin"
LAST_LINE = b"-- PostgreSQL database dump complete"
WAITERS_INTERVAL = 2.0  # seconds between two looks at who waits for our locks
FETCH_SIZE = 5000  # rows


@dataclass(frozen=True)
class Connection:
    """How to reach one database. ``params`` are libpq's (host, port, user, password, sslmode…).

    The password goes to programs by the environment, never on a command line.
    """

    database: str
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    application_name: str = "dfr_backup"

    ENVIRONMENT = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "sslmode": "PGSSLMODE",
        "sslrootcert": "PGSSLROOTCERT",
        "sslcert": "PGSSLCERT",
        "sslkey": "PGSSLKEY",
    }

    def connect(self) -> Any:
        """Return a new psycopg2 connection. Raise RetryableError when none can be had."""
        arguments = {key: value for key, value in self.params.items() if value}
        arguments.update(dbname=self.database, application_name=self.application_name)
        arguments.setdefault("connect_timeout", 15)
        try:
            return psycopg2.connect(**arguments)
        except psycopg2.OperationalError as error:
            raise RetryableError(
                "PostgreSQL cannot be reached.",
                hint="Check that the database server runs and takes connections.",
                log=str(error).strip(),
            ) from error

    def environ(self) -> dict[str, str]:
        """Return the environment for a client program."""
        env = dict(os.environ)
        for key, name in self.ENVIRONMENT.items():
            if self.params.get(key):
                env[name] = str(self.params[key])
        # as an argument, a name with "=" in it would be read as connection options
        env.update(PGDATABASE=self.database, PGAPPNAME=self.application_name)
        return env

    def named(self, application_name: str) -> "Connection":
        """Return the same connection under another application name."""
        return replace(self, application_name=application_name)


@dataclass(frozen=True)
class ClientTool:
    """One installed client program and its version, for example (15, 18)."""

    path: Path
    version: tuple[int, ...]

    @property
    def label(self) -> str:
        return f"{self.path.name} {'.'.join(map(str, self.version))} ({self.path})"


def find_client_tool(name: str, server_major: int, pg_path: str | None = None) -> ClientTool:
    """Return the program ``name`` that fits the server best: the same major version, else the
    next newer one. Looks into ``pg_path``, PATH and where Debian and Red Hat keep versions.

    Raise PermanentError when there is none, or only older ones: PostgreSQL's client programs
    refuse servers newer than themselves.
    """
    found = list(_installed_tools(name, pg_path))
    usable = [tool for tool in found if tool.version[0] >= server_major]
    if usable:
        return min(usable, key=lambda tool: tool.version[0])
    hint = (
        f"Install the client programs of PostgreSQL {server_major} on the Odoo server (Debian, "
        f"Ubuntu: package postgresql-client-{server_major}), or set pg_path in odoo.conf to "
        "where they are."
    )
    if not found:
        raise PermanentError(f"{name} is not installed on the Odoo server.", hint=hint)
    newest = max(found, key=lambda tool: tool.version)
    raise PermanentError(
        f"{newest.label} is older than the database server (PostgreSQL {server_major}) "
        "and would refuse it.",
        hint=hint,
    )


def _installed_tools(name: str, pg_path: str | None) -> Iterator[ClientTool]:
    folders = [pg_path] if pg_path else []
    on_path = which(name)
    folders += [os.path.dirname(on_path)] if on_path else []
    folders += sorted(glob(DEBIAN_TOOLS), reverse=True) + sorted(glob(RED_HAT_TOOLS), reverse=True)
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


class Snapshot:
    """A REPEATABLE READ transaction whose view of the database is exported to pg_dump.

    Use as a context manager and leave it as soon as nobody needs the view any more: while it
    is open, the server cannot clean up what has been deleted since.
    """

    def __init__(self, connection: Connection):
        self._connection = connection

    def __enter__(self) -> "Snapshot":
        self._session = self._connection.connect()
        try:
            self._session.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with self._cursor() as cr:
                cr.execute("SET idle_in_transaction_session_timeout = 0")
                cr.execute("SET statement_timeout = 0")
                cr.execute("SELECT pg_export_snapshot(), now()")
                self.name: str
                self.taken_at: datetime
                self.name, self.taken_at = cr.fetchone()
        except BaseException:
            self._session.close()
            raise
        self.server_version: int = self._session.server_version // 10000
        checkpoint("postgres.snapshot.exported")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._session.close()

    def estimated_dump_size(self) -> int:
        """Return about how many bytes of SQL the dump will have: what the tables hold."""
        return self._value(
            "SELECT coalesce(sum(pg_table_size(c.oid)), 0)::bigint FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm')"
            " AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
        )

    def estimated_filestore_size(self) -> int:
        """Return the bytes of all attachment files, as the database has noted them."""
        return self._value(
            "SELECT coalesce(sum(size), 0)::bigint FROM (SELECT max(file_size) AS size"
            " FROM ir_attachment WHERE store_fname IS NOT NULL GROUP BY store_fname) AS files"
        )

    def attachments(self) -> Iterator[Attachment]:
        """Yield every attachment file that the database refers to, once, by file name.

        The rows are read in SQL: Odoo's ORM hides the attachments of binary fields.
        """
        with self._cursor("dfr_backup_attachments") as cr:
            cr.itersize = FETCH_SIZE
            cr.execute(
                "SELECT store_fname, min(checksum), max(file_size), min(id), min(res_model),"
                " min(name) FROM ir_attachment WHERE store_fname IS NOT NULL"
                " GROUP BY store_fname ORDER BY store_fname"
            )
            for store_fname, checksum, size, number, model, name in cr:
                label = f"attachment {number} “{name or ''}” ({model or 'no model'})"
                yield Attachment(store_fname, checksum or "", size or 0, label)

    def attachments_elsewhere(self) -> dict[str, int]:
        """Return how many attachments hold their content outside the filestore, by kind."""
        with self._cursor() as cr:
            cr.execute(
                "SELECT CASE WHEN db_datas IS NOT NULL THEN 'database' ELSE type END, count(*)"
                " FROM ir_attachment WHERE store_fname IS NULL"
                " AND (db_datas IS NOT NULL OR type NOT IN ('url', 'binary')) GROUP BY 1"
            )
            return dict(cr.fetchall())

    def row_counts(self, stop: threading.Event | None = None) -> dict[str, int]:
        """Return the number of rows of every table that pg_dump dumps, by quoted full name."""
        counts = {}
        for schema, table in self._tables():
            if stop is not None and stop.is_set():
                break
            name = sql.Identifier(schema, table)
            with self._cursor() as cr:
                cr.execute(sql.SQL("SELECT count(*) FROM ONLY {}").format(name))
                counts[name.as_string(self._session)] = cr.fetchone()[0]
        return counts

    def _tables(self) -> list[tuple[str, str]]:
        with self._cursor() as cr:
            cr.execute(
                "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n"
                " ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.relpersistence <> 't'"
                " AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
                " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass"
                " AND d.objid = c.oid AND d.deptype = 'e') ORDER BY 1, 2"
            )
            return cr.fetchall()

    def cancel(self) -> None:
        """Stop the query that another thread runs in this snapshot."""
        self._session.cancel()

    def _value(self, query: str) -> Any:
        with self._cursor() as cr:
            cr.execute(query)
            return cr.fetchone()[0]

    @contextmanager
    def _cursor(self, name: str | None = None) -> Iterator[Any]:
        """A cursor whose errors are ours: psycopg2's do not leave the engine."""
        try:
            with self._session.cursor(name) as cr:
                yield cr
        except psycopg2.errors.InsufficientPrivilege as error:
            raise dump_error(1, str(error), self._connection.params.get("user")) from error
        except psycopg2.Error as error:
            lost = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
            raise (RetryableError if lost else PermanentError)(
                "The database server refused to answer.",
                hint="Look at the PostgreSQL log. The backup can be run again.",
                log=str(error).strip(),
            ) from error


class RowCounter:
    """Count the rows of every table in a thread, while pg_dump dumps the same snapshot.

    Use as a context manager around the dump; read ``counts`` after it. Counting is a second
    net, not the backup: when it fails, ``counts`` is None and ``problem`` says why.
    """

    def __init__(self, snapshot: Snapshot):
        self._snapshot = snapshot
        self._stop = threading.Event()
        self.counts: dict[str, int] | None = None
        self.problem = ""

    def __enter__(self) -> "RowCounter":
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: object, *exc_info: object) -> None:
        if kind is not None:
            self._stop.set()
            self._snapshot.cancel()
        self._thread.join()

    def _count(self) -> None:
        try:
            self.counts = self._snapshot.row_counts(self._stop)
        except EngineError as error:
            self.problem = error.log or error.message


@dataclass(frozen=True)
class DumpOptions:
    """``lock_timeout``: seconds that pg_dump waits for a table; ``patience``: seconds that
    another session may wait for a table of ours before the dump gives way (0: for ever)."""

    lock_timeout: int = 60
    patience: int = 30


def dump(
    tool: ClientTool,
    connection: Connection,
    snapshot: Snapshot,
    write: Callable[[bytes], object],
    progress: Progress,
    options: DumpOptions = DumpOptions(),
) -> int:
    """Pass the plain SQL dump of ``snapshot`` to ``write`` in pieces; return its size in bytes.

    pg_dump runs under the application name of ``connection``. Raise PermanentError when it
    fails or its output is not complete, RetryableError when it could not get a table in time or
    gave way to a session that waited for it, and Cancelled.
    """
    argv = [tool.path, "--no-owner", "--no-privileges", "--no-password"]
    argv += [f"--snapshot={snapshot.name}", f"--lock-wait-timeout={options.lock_timeout}s"]
    with Child(argv, connection.environ()) as child, _Courtesy(connection, options) as courtesy:
        size, tail = _drain(child, write, progress, courtesy)
        status = child.wait()
        if status:
            raise dump_error(status, child.stderr_tail(), connection.params.get("user"))
        if LAST_LINE not in tail:
            raise PermanentError(
                "pg_dump ended without an error, but its output is not complete.",
                hint="Run pg_dump by hand to see what happens; the PostgreSQL log may say more.",
                log=child.stderr_tail(),
            )
        if child.stderr_tail():
            progress.warn(f"pg_dump: {child.stderr_tail()}")
    return size


def _drain(
    child: Child, write: Callable[[bytes], object], progress: Progress, courtesy: "_Courtesy"
) -> tuple[int, bytes]:
    size, tail = 0, b""
    poll = select.poll()
    poll.register(child.stdout, select.POLLIN | select.POLLHUP)
    while True:
        courtesy.check()
        if not poll.poll(500):
            progress.tick()
            continue
        chunk = os.read(child.stdout, PIPE_SIZE)
        if not chunk:
            return size, tail
        if not size:
            checkpoint("postgres.dump.first_bytes")
        write(chunk)
        size += len(chunk)
        tail = (tail + chunk)[-256:] if len(chunk) < 256 else chunk[-256:]
        progress.advance(len(chunk))


class _Courtesy:
    """Watch whether somebody waits for a lock that our sessions hold, in a thread of its own."""

    WAITERS = """
        SELECT a.pid, a.application_name,
               (SELECT l.relation::regclass::text FROM pg_locks l
                 WHERE l.pid = a.pid AND NOT l.granted AND l.relation IS NOT NULL LIMIT 1)
          FROM pg_stat_activity a
         WHERE a.datname = current_database() AND a.wait_event_type = 'Lock'
           AND pg_blocking_pids(a.pid) && ARRAY(
               SELECT pid FROM pg_stat_activity WHERE application_name = %s)
    """

    def __init__(self, connection: Connection, options: DumpOptions):
        self._connection = connection
        self._patience = options.patience
        self._stop = threading.Event()
        self._verdict: str | None = None

    def __enter__(self) -> "_Courtesy":
        self._thread = threading.Thread(target=self._watch, daemon=True)
        if self._patience:
            self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(WAITERS_INTERVAL)

    def check(self) -> None:
        """Raise RetryableError once somebody has waited longer than the patience."""
        if self._verdict:
            raise RetryableError(
                f"The dump gave way to {self._verdict}.",
                hint="The backup is tried again later. Avoid upgrading modules while it runs.",
            )

    def _watch(self) -> None:
        since: dict[int, float] = {}
        try:
            session = self._connection.named("dfr_backup watch").connect()
        except RetryableError:
            return  # the dump itself will tell why
        try:
            session.autocommit = True
            while not self._stop.wait(min(WAITERS_INTERVAL, self._patience / 2)):
                since = self._look(session, since)
        except psycopg2.Error:
            return
        finally:
            session.close()

    def _look(self, session: Any, since: dict[int, float]) -> dict[int, float]:
        with session.cursor() as cr:
            cr.execute(self.WAITERS, [self._connection.application_name])
            rows: Iterable[tuple[int, str, str | None]] = cr.fetchall()
        now = time.monotonic()
        waiting = {pid: since.get(pid, now) for pid, _name, _table in rows}
        for pid, name, table in rows:
            if now - waiting[pid] >= self._patience:
                what = f"process {pid} ({name or 'unnamed'})"
                self._verdict = f"{what}, which waited for {table or 'a lock'}"
        return waiting


def dump_error(status: int, stderr: str, user: str | None = None) -> Exception:
    """Return the error that says why pg_dump failed, from its exit status and its stderr."""
    log = stderr or f"exit status {status}, and nothing on stderr"
    lines = [line for line in stderr.splitlines() if "error:" in line.lower()]
    reason = lines[0].split("error:", 1)[-1].strip() if lines else f"exit status {status}"
    denied = re.search(r"permission denied for (?:table|relation|sequence|schema) (\S+)", stderr)
    if denied:
        return PermanentError(
            f"The database user may not read {denied[1]}.",
            hint=f"As its owner or a superuser: GRANT SELECT ON {denied[1]} TO "
            f'"{user or "the user of odoo.conf"}"; or make that user the owner.',
            log=log,
        )
    if "lock timeout" in stderr or "could not obtain lock" in stderr:
        return RetryableError(
            "A table is locked by another session, and was not free in time.",
            hint="The backup is tried again later. A module upgrade may be running, or a "
            "transaction may have been left open: look into pg_stat_activity.",
            log=log,
        )
    if status < 0:
        return RetryableError(
            f"pg_dump was ended by signal {-status}.",
            hint="The system may be short of memory: look for pg_dump in the kernel log.",
            log=log,
        )
    if re.search(r"connection to server|server closed the connection|terminating conn", stderr):
        return RetryableError(
            f"pg_dump lost the database server: {reason}",
            hint="Check that PostgreSQL runs and takes connections.",
            log=log,
        )
    return PermanentError(
        f"pg_dump failed: {reason}",
        hint="Run pg_dump by hand as the same database user to see the same error.",
        log=log,
    )


def end_sessions(connection: Connection, application_name: str) -> int:
    """End what an interrupted run left on the server; return how many sessions that were."""
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
            return cr.fetchone()[0]
    finally:
        session.close()
