"""A role, or a database, that PostgreSQL lets have few sessions at the same time."""

import contextlib
import os
import secrets
import socketserver
import struct
import subprocess
import threading
import zipfile
from pathlib import Path

import pytest

from dfr_backup.engine.errors.dump import (
    FewSessions,
    MayNotRead,
    ServerUnreachable,
    TableLocked,
    TooManySessions,
)
from dfr_backup.engine.postgres import client_tools, dump_errors, sessions
from dfr_backup.engine.postgres import connection as postgres
from dfr_backup.engine.postgres.connection import Connection
from dfr_backup.engine.postgres.dump import DumpOptions, dump
from dfr_backup.engine.postgres.snapshot import RowCounter, Snapshot
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.restore.database_location import DatabaseLocation
from dfr_backup.engine.restore.options import RestoreOptions
from dfr_backup.engine.restore.steps import Restore
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage

ROWS = 200_000
# each kind of statement that the fast load shares among its sessions
DUMP = b"".join(
    [
        b"CREATE TABLE public.parent (id int NOT NULL, name text);\n",
        b"CREATE TABLE public.ir_module_module (name text, state text);\n",
        b"CREATE TABLE public.child (id int NOT NULL, parent int);\n",
        b"COPY public.parent (id, name) FROM stdin;\n",
        *(b"%d\t%s\n" % (number, b"x" * 50) for number in range(ROWS)),
        b"\\.\n\nCOPY public.child (id, parent) FROM stdin;\n",
        *(b"%d\t%d\n" % (number, number) for number in range(100)),
        b"\\.\n\n",
        b"ALTER TABLE ONLY public.parent ADD CONSTRAINT p PRIMARY KEY (id);\n",
        b"ALTER TABLE ONLY public.child ADD CONSTRAINT c PRIMARY KEY (id);\n",
        b"CREATE INDEX name ON public.parent USING btree (name);\n",
        b"ALTER TABLE ONLY public.child ADD CONSTRAINT f FOREIGN KEY (parent)"
        b" REFERENCES public.parent(id);\n",
        b"\n--\n-- PostgreSQL database dump complete\n--\n",
    ]
)


def as_superuser(database, query):
    script = Path(__file__).parents[1] / "e2e/as_superuser.sh"
    done = subprocess.run([script, database, query], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no superuser: {done.stderr}")


@pytest.fixture
def limited(tmp_path):
    """Return a function that connects as a role with so few sessions, to a database of
    its own or to another one."""
    if "PGHOST" not in os.environ:
        pytest.skip('no PostgreSQL: eval "$(make -s env)"')
    name, password = f"dfr_few_{secrets.token_hex(4)}", secrets.token_hex(8)
    params = {"user": name, "password": password}
    as_superuser("postgres", f"CREATE ROLE {name} LOGIN CREATEDB PASSWORD '{password}'")
    as_superuser("postgres", f"CREATE DATABASE {name} OWNER {name}")

    def connect(limit, database=name):
        as_superuser("postgres", f"ALTER ROLE {name} CONNECTION LIMIT {limit}")
        return Connection(database, params)

    try:
        yield connect
    finally:
        for database in (f"{name}_restored", name):
            as_superuser("postgres", f"DROP DATABASE IF EXISTS {database}")
        as_superuser("postgres", f"DROP ROLE {name}")


def asked(connection, query):
    with contextlib.closing(connection.connect()) as session, session.cursor() as cr:
        cr.execute(query)
        return cr.fetchone()[0]


def restored(server, folder):
    """Restore ``DUMP`` from its first step to its last; return the new database."""
    with zipfile.ZipFile(folder / "db.zip", "w") as archive:
        archive.writestr("dump.sql", DUMP)
    name = f"{server.params['user']}_restored"
    place = DatabaseLocation(name, folder / "filestore")
    options = RestoreOptions(place, "19.0", new_identity=False)
    storage = LocalStorage(folder, LocalRules([folder]))
    with Restore(server, options, folder / "work", folder / "markers") as restore:
        restore.fetch(storage, "db.zip", Progress())
        restore.check(Progress())
        restore.create_database(Progress())
        restore.load(Progress())
        restore.filestore(Progress())
        restore.finish(Progress())
    return Connection(name, server.params)


@pytest.mark.parametrize("sessions", [1, 2])
def test_a_restore_needs_one(limited, tmp_path, sessions):
    copy = restored(limited(sessions, "postgres"), tmp_path)
    assert asked(copy, "SELECT count(*) FROM parent") == ROWS
    keys = "SELECT count(*) FROM pg_constraint WHERE convalidated AND conname IN "
    assert asked(copy, f"{keys} ('p', 'c', 'f')") == 3
    assert asked(copy, "SELECT count(*) FROM pg_indexes WHERE indexname = 'name'") == 1


def dumped(connection):
    with Snapshot(connection) as snapshot, RowCounter(snapshot, Progress()) as counter:
        tool = client_tools.find_client_tool("pg_dump", snapshot.server_version)
        written = []
        dump(
            tool,
            connection,
            snapshot,
            lambda piece: written.append(bytes(piece)),
            Progress(),
            DumpOptions(),
        )
    return b"".join(written), counter


@pytest.mark.parametrize("sessions", [2, 3, 4])
def test_a_dump_needs_two_and_counts_the_rows_all_the_same(limited, sessions):
    owner = limited(-1)
    with contextlib.closing(owner.connect()) as session, session.cursor() as cr:
        cr.execute("CREATE TABLE three AS SELECT generate_series(1, 3) AS number")
        session.commit()
    for _time in range(3):  # pg_dump and the others begin at the same moment
        text, counter = dumped(limited(sessions))
        assert b"three" in text
        assert counter.counts == {'"public"."three"': 3}
        assert not counter.problem


def test_what_is_refused_names_the_limit(limited):
    with pytest.raises(TooManySessions) as caught:
        dumped(limited(1))
    reason = caught.value.message.values["reason"]
    assert limited(1).params["user"] in reason
    assert caught.value.hint


def test_a_session_that_was_closed_counts_for_a_moment(limited):
    connection = limited(1)
    for _time in range(50):
        connection.connect().close()
    with (
        contextlib.closing(connection.connect()),
        pytest.raises(TooManySessions),
    ):
        connection.connect(patience=0)


@pytest.mark.parametrize("kind", ["ROLE", "DATABASE"])
def test_what_a_backup_needs_is_known_before(limited, kind):
    connection = limited(-1)
    name = connection.database
    as_superuser("postgres", f"ALTER {kind} {name} CONNECTION LIMIT 3")
    with contextlib.closing(connection.connect()) as session, session.cursor() as cr:
        with pytest.raises(FewSessions) as caught:
            sessions.require_sessions(cr)
        values = caught.value.message.values
        assert (values["limit"], values["used"]) == (3, 0)
        as_superuser("postgres", caught.value.hint.values["statement"])
        assert sessions.require_sessions(cr)
        as_superuser("postgres", f"ALTER {kind} {name} CONNECTION LIMIT -1")
        assert sessions.require_sessions(cr) == ""


REFUSAL = "zu viele Verbindungen für Rolle »odoo«"


@contextlib.contextmanager
def refusing(sqlstate, words):
    """Yield the address of a server that refuses every session as PostgreSQL does, in
    its own language."""
    fields = {b"S": "FATAL", b"V": "FATAL", b"C": sqlstate, b"M": words}
    body = b"".join(name + text.encode() + b"\0" for name, text in fields.items())
    answer = b"E" + struct.pack("!I", len(body) + 5) + body + b"\0"

    class Session(socketserver.BaseRequestHandler):
        def handle(self):
            while True:
                size, code = struct.unpack("!II", self.request.recv(8))
                self.request.recv(size - 8)
                if code == 196608:  # a session of version 3.0, and no question before
                    break
                self.request.sendall(b"N")
            self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            host, port = server.server_address
            yield {"host": host, "port": port, "user": "odoo", "password": "x"}
        finally:
            server.shutdown()


def test_the_limit_is_known_in_every_language():
    with refusing("53300", REFUSAL) as params:
        with pytest.raises(TooManySessions) as caught:
            Connection("shop", params).connect(patience=0)
        assert caught.value.message.values["reason"] == REFUSAL
    with refusing("28000", "Rolle »odoo« existiert nicht") as params:
        with pytest.raises(ServerUnreachable) as caught:
            Connection("shop", params).connect(patience=0)
        assert not isinstance(caught.value, TooManySessions)


def test_a_refusal_is_understood_where_many_files_are_open():
    """A server of Odoo has more than the 1024 that select() takes."""
    files = [os.open(os.devnull, os.O_RDONLY) for _number in range(1100)]
    try:
        with (
            refusing("53300", "zu viele Verbindungen") as params,
            pytest.raises(TooManySessions),
        ):
            Connection("shop", params).connect(patience=0)
    finally:
        for file in files:
            os.close(file)


def test_a_server_that_lets_us_in_has_no_sqlstate(limited):
    connection = limited(2)
    arguments = {**connection.params, "dbname": connection.database}
    arguments["connect_timeout"] = 15
    assert postgres.sqlstate_of_refusal(arguments) == ""
    as_superuser("postgres", f"ALTER ROLE {connection.database} CONNECTION LIMIT 0")
    assert postgres.sqlstate_of_refusal(arguments) == "53300"


QUERY = "pg_dump: error: query failed: FEHLER:  keine Berechtigung für Tabelle three\n"
LOCK = "pg_dump: detail: Query was: LOCK TABLE public.three IN ACCESS SHARE MODE\n"


def test_what_pg_dump_says_is_understood_in_every_language(limited):
    owner = limited(-1)
    assert type(dump_errors.dump_error(1, QUERY + LOCK, owner)) is TableLocked
    as_superuser(owner.database, "CREATE TABLE three (id int)")
    error = dump_errors.dump_error(1, QUERY + LOCK, owner)
    assert isinstance(error, MayNotRead)
    assert error.message.values["objects"] == "public.three"
    with refusing("53300", REFUSAL) as params:
        said = "pg_dump: error: connection to server at x, port 5 failed: FEHLER:  "
        error = dump_errors.dump_error(1, said + REFUSAL, Connection("shop", params))
    assert isinstance(error, TooManySessions)
    assert error.message.values["reason"] == REFUSAL
    locked = dump_errors.dump_error(1, "Sperre", owner, "55P03")
    assert isinstance(locked, TableLocked)
