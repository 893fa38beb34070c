"""PostgreSQL: how to reach it, and what a refusal means."""

import ctypes
import os
import re
import select
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import psycopg2
import psycopg2.extensions
from psycopg2 import _psycopg

from ..concurrency.background import Task
from ..errors.dump import (
    ServerUnreachable,
    TooManySessions,
)
from ..progress import Progress
from .hearing import cursor_heard_by
from .keepalive import CLIENT, SERVER, Keepalive, ask_server, client_arguments

FULL = re.compile(
    r"(?P<reason>(?:sorry, )?too many (?:connections|clients)[^\n]*|"
    r"remaining connection slots are reserved[^\n]*)"
)
# a session that was closed counts until its process has ended
FULL_PATIENCE = 3.0  # seconds
NOT_AUTHORIZED = "28"  # the class of SQLSTATE
NONE_GIVEN = "no password supplied"  # libpq's own words, which are English
TOO_MANY_CONNECTIONS = "53300"
SQLSTATE = re.compile(r"(?m):\s+(?P<code>[0-9A-Z]{5})$")
ONLY_SQLSTATE = 3  # libpq's PQERRORS_SQLSTATE


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
    client: Keepalive = field(default=CLIENT, repr=False)
    server: Keepalive = field(default=SERVER, repr=False)

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
        except BaseException:  # a server may let us wait as long as it likes
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
        return {**client_arguments(self.client), **arguments}

    def _connected(self) -> Any:
        arguments = self.arguments()
        try:
            session = psycopg2.connect(**arguments)
            ask_server(session, self.server)
            return session
        except psycopg2.OperationalError as error:
            said = str(error).strip()
            full = FULL.search(said)
            state = "" if full else sqlstate_of_refusal(arguments)
            if full or state == TOO_MANY_CONNECTIONS:
                reason = full["reason"] if full else words_of_server(said)
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
        reads = state == psycopg2.extensions.POLL_READ
        waiting = select.poll()  # a server may have more files than select() takes
        waiting.register(session, select.POLLIN if reads else select.POLLOUT)
        left = until - time.monotonic()
        if left <= 0 or not waiting.poll(left * 1000):
            return


def words_of_server(said: str) -> str:
    """Return what the server said, of what libpq makes of it: "connection to server at
    …, port 5432 failed: FATAL:  …"."""
    return said.splitlines()[0].rpartition(":  ")[2]
