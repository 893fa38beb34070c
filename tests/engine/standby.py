"""A PostgreSQL of the test's own, and a standby that follows it."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg2

PRIMARY = """
listen_addresses = '127.0.0.1'
fsync = off
autovacuum = off
jit = off
shared_buffers = 16MB
"""
STANDBY = """
hot_standby_feedback = off
log_connections = on
log_line_prefix = '%a '
"""
PATIENCE = 60.0  # seconds


def _programs():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_basebackup"))
    wanted = os.environ.get("PG_SERVER")
    paths = [path for path in found if path.parts[4] == wanted] or found
    return (paths or [Path(shutil.which("pg_basebackup") or "/nowhere")])[-1].parent


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A cluster in a folder; ``params`` lead to it."""

    def __init__(self, folder):
        self.folder, self.bin, self.port = folder, _programs(), _free_port()
        self.data, self.log = folder / "data", folder / "log"
        self.params = {"host": "127.0.0.1", "port": self.port, "user": "postgres"}

    def run(self, program, *arguments):
        argv = [str(self.bin / program), *map(str, arguments)]
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"]
            argv = ["setpriv", *user, *argv]
        env = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        subprocess.run(
            argv,
            env=env,
            cwd="/",
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def start(self, settings):
        place = f"port = {self.port}\nunix_socket_directories = '{self.folder}'\n"
        with open(self.data / "postgresql.conf", "a") as stream:
            stream.write(settings + place)
        self.run("pg_ctl", "-D", self.data, "-l", self.log, "-w", "start")

    def stop(self):
        if (self.data / "postmaster.pid").exists():
            self.run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")

    def sql(self, query, database="postgres"):
        session = psycopg2.connect(dbname=database, **self.params)
        with contextlib.closing(session):
            session.autocommit = True
            with session.cursor() as cr:
                cr.execute(query)
                return cr.fetchall() if cr.description else []


class Standby(Server):
    def promote(self):
        self.run("pg_ctl", "-D", self.data, "-w", "promote")

    def is_behind(self, primary):
        ((position,),) = primary.sql("SELECT pg_current_wal_lsn()::text")
        query = f"SELECT pg_last_wal_replay_lsn() < '{position}'"
        return self.sql(query)[0][0]

    def await_sessions(self):
        """pg_ctl waits for a standby that replays, not for one that is consistent and
        lets anybody in."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return self.sql("SELECT 1")
            except psycopg2.OperationalError:
                assert time.monotonic() < until, "the standby lets nobody in"
                time.sleep(0.05)

    def follow(self, primary):
        until = time.monotonic() + PATIENCE
        while self.is_behind(primary):
            assert time.monotonic() < until, "the standby does not follow"
            time.sleep(0.05)


@contextlib.contextmanager
def _folder():
    folder = Path(tempfile.mkdtemp(prefix="dfr_standby_", dir="/var/tmp"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def standby_of(primary):
    with contextlib.ExitStack() as stack:
        standby = Standby(stack.enter_context(_folder()))
        standby.run(
            "pg_basebackup", "-D", standby.data, "-R", "-X", "stream", "-c", "fast",
            "-h", "127.0.0.1", "-p", primary.port, "-U", "postgres",
        )  # fmt: skip
        stack.callback(standby.stop)
        standby.start(STANDBY)
        standby.await_sessions()
        yield standby


@contextlib.contextmanager
def primary_and_standby():
    with contextlib.ExitStack() as stack:
        primary = Server(stack.enter_context(_folder()))
        primary.run(
            "initdb", "-D", primary.data, "-U", "postgres", "-A", "trust", "-N",
            "-E", "UTF8", "--locale=C.UTF-8",
        )  # fmt: skip
        stack.callback(primary.stop)
        primary.start(PRIMARY)
        yield primary, stack.enter_context(standby_of(primary))
