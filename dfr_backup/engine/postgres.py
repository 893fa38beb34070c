"""PostgreSQL: how to reach it, which of its programs to use, and what its errors
mean."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from glob import glob
from pathlib import Path
from shutil import which
from subprocess import SubprocessError
from typing import Any

import psycopg2

from .errors import PermanentError, RetryableError
from .process import output_of

DEBIAN_TOOLS = "/usr/lib/postgresql/*/bin"
RED_HAT_TOOLS = "/usr/pgsql-*/bin"


@dataclass(frozen=True)
class Connection:
    """How to reach one database. ``params`` are libpq's (host, port, user, password,
    sslmode…).

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
        """Return a new psycopg2 connection. Raise RetryableError when none can be
        had."""
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


def find_client_tool(
    name: str, server_major: int, pg_path: str | None = None
) -> ClientTool:
    """Return the program ``name`` that fits the server best: the same major version,
    else the next newer one. Looks into ``pg_path``, PATH and where Debian and Red Hat
    keep versions.

    Raise PermanentError when there is none, or only older ones: PostgreSQL's client
    programs refuse servers newer than themselves.
    """
    found = list(_installed_tools(name, pg_path))
    usable = [tool for tool in found if tool.version[0] >= server_major]
    if usable:
        return min(usable, key=lambda tool: tool.version[0])
    hint = (
        f"Install the client programs of PostgreSQL {server_major} on the Odoo server "
        "(Debian, "
        f"Ubuntu: package postgresql-client-{server_major}), or set pg_path in "
        "odoo.conf to "
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


def dump_error(status: int, stderr: str, user: str | None = None) -> Exception:
    """Return the error that says why pg_dump failed, from its exit status and its
    stderr."""
    log = stderr or f"exit status {status}, and nothing on stderr"
    lines = [line for line in stderr.splitlines() if "error:" in line.lower()]
    reason = (
        lines[0].split("error:", 1)[-1].strip() if lines else f"exit status {status}"
    )
    denied = re.search(
        r"permission denied for (?:table|relation|sequence|schema) (\S+)", stderr
    )
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
            hint="The backup is tried again later. A module upgrade may be running, or "
            "a "
            "transaction may have been left open: look into pg_stat_activity.",
            log=log,
        )
    if status < 0:
        return RetryableError(
            f"pg_dump was ended by signal {-status}.",
            hint="The system may be short of memory: look for pg_dump in the kernel "
            "log.",
            log=log,
        )
    if re.search(
        r"connection to server|server closed the connection|terminating conn", stderr
    ):
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
            return cr.fetchone()[0]
    finally:
        session.close()
