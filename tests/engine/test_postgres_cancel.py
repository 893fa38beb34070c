"""A cancel, and a signal, are heard while a statement of PostgreSQL takes long."""

import contextlib
import os
import signal
import socket
import time

import pytest
from differential import made_databases, query

from dfr_backup.engine.errors import Cancelled
from dfr_backup.engine.manifest.model import Manifest
from dfr_backup.engine.postgres.connection import Connection
from dfr_backup.engine.postgres.snapshot import RowCounter, Snapshot
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.restore.database_location import DatabaseLocation
from dfr_backup.engine.restore.finish import (
    FinishOptions,
    finish_database,
    installed_modules,
)
from dfr_backup.engine.restore.target import RestoreTarget
from dfr_backup.engine.restore.verify import verify_restored

FOR_EVER = "SELECT pg_sleep(60)"
HEARD_WITHIN = 2 + 2  # seconds: the second is this machine's, which may be busy
SLOW = """
    CREATE FUNCTION slow() RETURNS int LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_sleep(60); RETURN 1; END $$;
    CREATE VIEW ir_module_module AS SELECT 'a' AS name, 'installed' AS state
     WHERE slow() = 1;
    CREATE VIEW ir_attachment AS SELECT 'aa/bb' AS store_fname, '' AS checksum,
           1 AS file_size, 1 AS id, '' AS res_model, '' AS name
     WHERE slow() = 1;
"""


@pytest.fixture(autouse=True, scope="module")
def server():
    if "PGHOST" not in os.environ:
        pytest.skip('no PostgreSQL: eval "$(make -s env)"')


@pytest.fixture
def database():
    with made_databases() as make:
        name = make()
        query(name, SLOW)
        yield name


def cancelled():
    """Return a progress that somebody has cancelled."""

    def report(_progress):
        raise Cancelled

    return Progress(report)


@contextlib.contextmanager
def heard(error=Cancelled):
    begun = time.monotonic()
    with pytest.raises(error):
        yield
    assert time.monotonic() < begun + HEARD_WITHIN


def heard_by(database):
    return Connection(database).heard_by(cancelled())


def test_while_the_copy_is_made_safe(database):
    query(database, "CREATE TABLE ir_config_parameter (key text UNIQUE, value text)")
    options = FinishOptions(new_identity=False, statements=[FOR_EVER])
    with heard():
        finish_database(heard_by(database), options)
    with heard():
        installed_modules(heard_by(database))


def test_while_the_attachments_are_listed(database):
    with Snapshot(heard_by(database)) as snapshot, heard():
        snapshot.estimated_filestore_size()
    with Snapshot(heard_by(database)) as snapshot, heard():
        list(snapshot.attachments())


def test_the_list_of_attachments_is_whole(database):
    query(database, "DROP VIEW ir_attachment")
    query(
        database,
        "CREATE TABLE ir_attachment AS SELECT lpad(n::text, 6, '0') AS store_fname,"
        " '' AS checksum, 1 AS file_size, n AS id, '' AS res_model, '' AS name"
        " FROM generate_series(1, 12345) n",
    )
    with Snapshot(Connection(database).heard_by(Progress())) as snapshot:
        names = [found.store_fname for found in snapshot.attachments()]
    assert names == [f"{n:06}" for n in range(1, 12346)]


def test_while_the_rows_are_counted(database, tmp_path):
    """Somebody else holds the table."""
    query(database, "CREATE TABLE held (a int)")
    with contextlib.closing(Connection(database).connect()) as other:
        other.cursor().execute("LOCK TABLE held")
        with (
            Snapshot(Connection(database)) as snapshot,
            heard(),
            RowCounter(snapshot, cancelled()),
        ):
            pass  # the dump is through already
        manifest = Manifest({"dfr_backup": {"rows": {}, "contents": []}})
        query(database, "CREATE OR REPLACE FUNCTION slow() RETURNS int LANGUAGE sql"
              " AS 'SELECT 0'")  # fmt: skip
        with heard():
            verify_restored(Connection(database), manifest, tmp_path, cancelled())


def test_while_a_database_is_made(database, tmp_path):
    """PostgreSQL waits for who is in the template."""
    place = DatabaseLocation("dfr_cancelled", tmp_path / "filestore")
    target = RestoreTarget(Connection("postgres"), place, tmp_path / "markers")
    with contextlib.closing(Connection(database).connect()), target, heard():
        target.create(template=database, progress=cancelled())


def test_a_signal_is_heard():
    """As Ctrl-C in a command, whose progress asks nobody."""
    former = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        session = Connection("postgres").heard_by(Progress()).connect()
        with contextlib.closing(session), heard(KeyboardInterrupt):
            session.cursor().execute(FOR_EVER)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


@pytest.fixture
def silent_server():
    """Yield the port of a server that takes a connection and never answers, as a
    proxy does whose server is gone."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_while_a_connection_opens(silent_server):
    params = {"host": "127.0.0.1", "port": silent_server, "sslmode": "disable"}
    server = Connection("postgres", params).heard_by(cancelled())
    with heard():
        server.connect()


def test_a_session_that_opens_during_a_cancel_is_closed(monkeypatch):
    """It would count against the limit of sessions for as long as the run lasts."""
    opened, connect = [], Connection._connect

    def slowly(self, patience):
        time.sleep(1)  # the progress is asked meanwhile
        opened.append(connect(self, patience))
        return opened[0]

    def tick():
        until = time.monotonic() + 60
        while not opened and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.2)
        raise Cancelled

    progress = Progress()
    progress.tick = tick
    monkeypatch.setattr(Connection, "_connect", slowly)
    with pytest.raises(Cancelled):
        Connection("postgres").heard_by(progress).connect()
    assert opened[0].closed
