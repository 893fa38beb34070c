"""What needs no server; the dump itself is tested end to end, with a real one."""

import contextlib
import errno
import os
import secrets
import subprocess
import threading
import time

import psycopg2
import pytest

from dfr_backup.engine.errors.dump import (
    DumpFailed,
    DumpKilled,
    DumpLostServer,
    GaveWay,
    MayNotRead,
    ProgramMissing,
    ProgramTooOld,
    ProgramUnstartable,
    ServerUnreachable,
    TableLocked,
)
from dfr_backup.engine.postgres import client_tools, dump_errors
from dfr_backup.engine.postgres import connection as postgres
from dfr_backup.engine.postgres.dump import DumpOptions, dump
from dfr_backup.engine.postgres.snapshot import RowCounter, Snapshot
from dfr_backup.engine.progress import Progress


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with no PostgreSQL programs; return a function that installs one."""
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(client_tools, "DEBIAN_TOOLS", str(tmp_path / "debian/*/bin"))
    monkeypatch.setattr(client_tools, "RED_HAT_TOOLS", str(tmp_path / "redhat-*/bin"))

    def install(folder, version, mode=0o755):
        program = tmp_path / folder / "pg_dump"
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n")
        program.chmod(mode)
        return program

    return install


def test_same_major_version_is_best(machine):
    machine("path", "16.1")
    wanted = machine("debian/15/bin", "15.4")
    machine("debian/17/bin", "17.0")
    tool = client_tools.find_client_tool("pg_dump", 15)
    assert (tool.path, tool.version) == (wanted, (15, 4))


def test_next_newer_version_is_second_best(machine):
    machine("debian/18/bin", "18.0")
    wanted = machine("debian/17/bin", "17.0")
    machine("debian/14/bin", "14.0")
    assert client_tools.find_client_tool("pg_dump", 16).path == wanted


def test_pg_path_comes_first(machine, tmp_path):
    wanted = machine("mine", "15.2 (Debian 15.2-1)")
    machine("path", "15.4")
    assert (
        client_tools.find_client_tool("pg_dump", 15, str(tmp_path / "mine")).path
        == wanted
    )


def test_older_ones_are_refused_with_the_package_to_install(machine):
    machine("debian/13/bin", "13.9")
    with pytest.raises(ProgramTooOld) as caught:
        client_tools.find_client_tool("pg_dump", 15)
    assert caught.value.message.values["major"] == 15
    assert "postgresql-client-15" in str(caught.value.hint)


def test_none_at_all(machine):
    machine("path", "15.1", mode=0o644)
    with pytest.raises(ProgramMissing) as caught:
        client_tools.find_client_tool("pg_dump", 15)
    assert caught.value.message.values["program"] == "pg_dump"
    assert caught.value.hint.values["major"] == 15


@pytest.mark.parametrize(
    "content, mode, reason",
    [
        ("#!/bin/sh\necho 15.1\n", 0o644, os.strerror(errno.EACCES)),
        ("#!/no/interpreter\n", 0o755, os.strerror(errno.ENOENT)),
        ("\0 of another architecture", 0o755, os.strerror(errno.ENOEXEC)),
        ("#!/bin/sh\nexit 127\n", 0o755, client_tools.EXIT_STATUS),
        ("#!/bin/sh\n", 0o755, client_tools.NO_VERSION),
    ],
)
def test_one_that_cannot_be_started_is_named(machine, tmp_path, content, mode, reason):
    mine = machine("mine", "15.1")
    mine.write_text(content)
    mine.chmod(mode)
    with pytest.raises(ProgramUnstartable) as caught:
        client_tools.find_client_tool("pg_dump", 15, str(mine.parent))
    values = caught.value.message.values
    assert values["program"] == str(mine)
    assert getattr(values["reason"], "template", values["reason"]) == reason
    other = machine("path", "15.1")  # which fits all the same
    assert client_tools.find_client_tool("pg_dump", 15, str(mine.parent)).path == other


def test_one_that_is_gone_when_the_dump_begins_is_named(tmp_path):
    connection = postgres.Connection("nobody")
    tool = client_tools.ClientTool(tmp_path / "pg_dump", (15, 1))
    with pytest.raises(ProgramUnstartable) as caught:
        dump(tool, connection, NoSnapshot(), print, Progress())
    assert caught.value.message.values["program"] == str(tool.path)


class NoSnapshot:
    """One that pg_dump never gets to."""

    name = "none"

    def has_room(self, _sessions):
        return False


def test_password_is_in_the_environment_and_nowhere_else():
    params = {"host": "h", "port": 5, "user": "u", "password": "s3cret"}
    connection = postgres.Connection("db=x", params, "app")
    env = connection.environ()
    assert (env["PGPASSWORD"], env["PGDATABASE"], env["PGAPPNAME"]) == (
        "s3cret",
        "db=x",
        "app",
    )
    assert "s3cret" not in repr(connection)


def test_no_server_is_retryable(tmp_path):
    connection = postgres.Connection("x", {"host": str(tmp_path)})
    with pytest.raises(ServerUnreachable):
        connection.connect()


LOGIN = ("PGHOST", "PGPORT", "PGUSER")


@pytest.fixture
def nobody_names_a_server(monkeypatch):
    """Return what the environment named before."""
    if "PGHOST" not in os.environ:
        pytest.skip("needs a PostgreSQL")
    params = {name[2:].lower(): os.environ[name] for name in LOGIN}
    for name in [n for n in os.environ if n.startswith("PG")]:
        monkeypatch.delenv(name)
    return params


def remedy_of(**params):
    with pytest.raises(ServerUnreachable) as caught:
        postgres.Connection("postgres", params).connect()
    return caught.value.hint.template


def test_a_server_that_nobody_has_named(nobody_names_a_server, monkeypatch, tmp_path):
    """As in a container, whose entry point names it on the server's command line."""
    monkeypatch.setenv("PGPORT", "1")  # no server of this machine listens there
    assert remedy_of() == ServerUnreachable.remedy_no_host
    assert remedy_of(host=str(tmp_path)) == ServerUnreachable.remedy
    monkeypatch.setenv("PGHOST", str(tmp_path))
    assert remedy_of() == ServerUnreachable.remedy


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"passfile": "/dev/null"}])
def test_a_login_that_is_refused(nobody_names_a_server, wrong):
    remedy = remedy_of(**nobody_names_a_server, **wrong)
    assert remedy == ServerUnreachable.remedy_login


TOO_LONG = """\
pg_dump: error: Dumping the contents of table "notes" failed: PQgetResult() failed.
pg_dump: detail: Error message from server: ERROR:  invalid memory alloc request size 1
pg_dump: detail: Command was: COPY public.notes (id, body) TO stdout;"""
POLICY = """\
pg_dump: error: query failed: ERROR:  query would be affected by row-level security
HINT:  To disable the policy for the table's owner, use ALTER TABLE NO FORCE"""


@pytest.mark.parametrize(
    "status, stderr, kind, values",
    [
        (
            1,
            "pg_dump: error: query failed: ERROR:  permission denied for table a b",
            MayNotRead,
            {"objects": "a b"},
        ),
        (
            1,
            "pg_dump: error: query failed: ERROR:  permission denied for schema M",
            MayNotRead,
            {"objects": "schema M"},
        ),
        (
            1,
            "pg_dump: error: query failed: ERROR:  permission denied for function f",
            DumpFailed,
            {"reason": "query failed: ERROR:  permission denied for function f"},
        ),
        (1, "ERROR:  canceling statement due to lock timeout", TableLocked, {}),
        (
            1,
            "pg_dump: error: server closed the connection",
            DumpLostServer,
            {"reason": "server closed the connection"},
        ),
        (-9, "", DumpKilled, {"signal": 9}),
        (
            1,
            "pg_dump: error: invalid page in block",
            DumpFailed,
            {"reason": "invalid page in block"},
        ),
        (
            1,
            TOO_LONG,
            DumpFailed,
            {
                "reason": 'Dumping the contents of table "notes" failed: PQgetResult() '
                "failed. invalid memory alloc request size 1"
            },
        ),
        (4, "", DumpFailed, {"reason": "exit status 4"}),
    ],
)
def test_every_failure_says_what_to_do(status, stderr, kind, values):
    error = dump_errors.dump_error(status, stderr)
    assert type(error) is kind
    assert error.message.values == values
    assert error.hint
    assert stderr in error.log


def test_what_postgresql_advises_is_the_remedy():
    error = dump_errors.dump_error(1, POLICY)
    advice = "To disable the policy for the table's owner, use ALTER TABLE NO FORCE"
    assert error.hint.values["advice"] == advice


# === RIGHTS, WITH THE POSTGRESQL THAT THE ENVIRONMENT NAMES === #

# an owner without a right is refused like anybody else, and can grant it
DENIED = """
CREATE SCHEMA "Metrics"; CREATE SCHEMA open;
CREATE TABLE "Metrics"."odd ""name" (id serial PRIMARY KEY); CREATE SEQUENCE open.count;
CREATE TABLE open.parted (id int) PARTITION BY LIST (id); CREATE TABLE open.shown ();
CREATE VIEW open.seen AS SELECT 1 AS one; CREATE EXTENSION pg_trgm;
SELECT lo_from_bytea(4711, 'one'), lo_from_bytea(4712, 'two'), lo_from_bytea(4713, '');
REVOKE SELECT ON ALL TABLES IN SCHEMA "Metrics", open FROM CURRENT_USER;
REVOKE SELECT ON ALL SEQUENCES IN SCHEMA open FROM CURRENT_USER;
REVOKE SELECT ON LARGE OBJECT 4711, 4712 FROM CURRENT_USER;
GRANT SELECT ON open.shown TO PUBLIC; GRANT SELECT ON LARGE OBJECT 4712 TO PUBLIC;
REVOKE USAGE ON SCHEMA "Metrics" FROM CURRENT_USER
"""


class Denied:
    """A database of which its user may not read all."""

    def __init__(self, name):
        self.connection = postgres.Connection(name)

    def run(self, statements):
        with contextlib.closing(self.connection.connect()) as session:
            session.autocommit = True
            session.cursor().execute(statements)

    def dump(self):
        """Return the error of pg_dump, None when there is none."""
        env = self.connection.environ()
        done = subprocess.run(["pg_dump"], env=env, capture_output=True, text=True)
        if done.returncode == 0:
            return None
        return dump_errors.dump_error(done.returncode, done.stderr, self.connection)


@pytest.fixture
def denied():
    if "PGHOST" not in os.environ:
        pytest.skip('no PostgreSQL: eval "$(make -s env)"')
    server, name = Denied("postgres"), f"dfr_test_rights_{secrets.token_hex(4)}"
    server.run(f"CREATE DATABASE {name} TEMPLATE template0")
    denied = Denied(name)
    try:
        denied.run(DENIED)
        yield denied
    finally:
        server.run(f"DROP DATABASE {name}")


def test_a_missing_right_comes_with_what_grants_it(denied):
    error = denied.dump()
    assert isinstance(error, MayNotRead)
    named = error.message.values["objects"]
    for name in (
        'schema "Metrics"',
        '"Metrics"."odd ""name"',
        "open.count",
        "open.parted",
    ):
        assert name in named
    denied.run(error.hint.values["grants"])
    assert denied.dump() is None


def test_what_may_be_read_is_not_granted_again(denied):
    names, statements = dump_errors.missing_rights(denied.connection)
    assert "large object 4711" in names
    readable = {"large object 4712", "large object 4713", "open.shown", "open.seen"}
    assert not readable & set(names)
    denied.run(" ".join(statements))
    assert dump_errors.missing_rights(denied.connection) == ([], [])


def test_many_statements_stand_in_the_log(denied, monkeypatch):
    monkeypatch.setattr(dump_errors, "SHOWN", 10)
    error = denied.dump()
    assert error.hint.template is MayNotRead.remedy_log
    denied.run(error.log[error.log.index("GRANT") :])
    assert denied.dump() is None


# === A DUMP === #


def dumped(connection, write=lambda _piece: None, progress=None, **options):
    """Dump a database and count its rows, and return the latter."""
    with Snapshot(connection) as snapshot, RowCounter(snapshot, Progress()) as counter:
        tool = client_tools.find_client_tool("pg_dump", snapshot.server_version)
        progress = progress or Progress()
        dump(tool, connection, snapshot, write, progress, DumpOptions(**options))
    return counter


def test_a_dump_that_is_refused_says_what_to_grant(denied):
    with pytest.raises(MayNotRead) as caught:
        dumped(denied.connection)
    denied.run(caught.value.hint.values["grants"])
    counts = dumped(denied.connection).counts
    assert counts == {'"Metrics"."odd ""name"': 0, '"open"."shown"': 0}


def test_rows_that_cannot_be_counted_are_a_problem_and_no_error(denied):
    with (
        Snapshot(denied.connection) as snapshot,
        RowCounter(snapshot, Progress()) as counter,
    ):
        pass
    assert counter.counts is None
    assert "Metrics" in str(counter.problem)


def test_a_dump_gives_way_to_who_waits_for_a_table(denied):
    denied.run(" ".join(dump_errors.missing_rights(denied.connection)[1]))
    waiter = denied.connection.named("an upgrade").connect()

    def alter():
        with contextlib.suppress(psycopg2.Error), waiter.cursor() as cr:
            cr.execute("ALTER TABLE open.shown ADD late int")

    thread = threading.Thread(target=alter)

    def wait(_piece):
        if not thread.ident:
            thread.start()
            time.sleep(3)

    with pytest.raises(GaveWay) as caught:
        dumped(denied.connection, wait, patience=1)
    thread.join(30)
    waiter.close()
    who = caught.value.message.values["session"].values
    assert (who["name"], who["table"]) == ("an upgrade", "open.shown")
