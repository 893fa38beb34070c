"""A PostgreSQL of the test's own, which can be stopped, starved and moved in time."""

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from instances import e2e

CONFIGURATION = """
fsync = off
full_page_writes = off
listen_addresses = '127.0.0.1'
max_connections = {connections}
superuser_reserved_connections = 3
autovacuum = off
jit = off
"""
PLACE = "\nport = {port}\nunix_socket_directories = '{folder}'\n"


def _bin():
    """Return the folder of the newest server that is installed."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    paths = [*sorted(found, reverse=True), Path(shutil.which("initdb") or "/nowhere")]
    return paths[0].parent


def _as_server(argv):
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return [str(part) for part in argv]
    return [
        "setpriv",
        "--reuid=postgres",
        "--regid=postgres",
        "--clear-groups",
        *map(str, argv),
    ]


def server_of(major):
    """Return the folder of another server's programs; skip where it cannot be had."""
    here = e2e.REPO / "setup/dev"
    if subprocess.run([here / "pg_server.sh", major], capture_output=True).returncode:
        pytest.skip(f"PostgreSQL {major} cannot be had here")
    script = f"source {here}/common.sh; PG_SERVER={major}; pg_bin"
    done = subprocess.run(["bash", "-c", script], check=True, capture_output=True)
    return Path(done.stdout.decode().strip())


class Cluster:
    """``bin`` is the folder of its programs."""

    def __init__(self, folder, environ, bin_folder=None):
        self.folder = folder
        self.port = e2e.free_port()
        self.bin = bin_folder or _bin()
        self._environ = [f"{name}={value}" for name, value in environ.items()]

    @property
    def data(self):
        return self.folder / "data"

    def initialize(self, connections=40):
        argv = [self.bin / "initdb", "-D", self.data, "-U", "postgres"]
        argv += ["-A", "trust", "-N", "-E", "UTF8", "--locale=C.UTF-8"]
        self.run(*argv)
        self._configure(CONFIGURATION.format(connections=connections))

    def copy(self, other):
        """Take over the disk of a cluster that stands still."""
        self.run("cp", "-a", other.data, self.data)
        self._configure()

    def upgrade(self, other):
        """Take over, by pg_upgrade, what a cluster that stands still holds."""
        self.initialize()
        argv = [self.bin / "pg_upgrade", "-U", "postgres", "-b", other.bin]
        argv += ["-B", self.bin, "-d", other.data, "-D", self.data]
        argv += ["--socketdir", self.folder, "-p", e2e.free_port(), "-P", self.port]
        self.run(*argv)

    def _configure(self, text=""):
        with open(self.data / "postgresql.conf", "a") as stream:
            stream.write(text + PLACE.format(port=self.port, folder=self.folder))

    def run(self, *argv):
        done = subprocess.run(
            _as_server(argv),
            env=_without_pg(),
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr

    def own(self, folder):
        """Give files to the user that the server runs as."""
        if os.getuid() == 0:
            subprocess.run(["chown", "-R", "postgres", folder], check=True)

    @contextmanager
    def stopped(self):
        self.stop("fast")
        try:
            yield
        finally:
            self.start()

    def start(self):
        self._control("start", "-l", self.folder / "log", "-w", "-t", "30")

    def stop(self, mode="immediate"):
        self._control("stop", "-m", mode, "-w", "-t", "30")

    def restart(self, pause=0.0, mode="fast"):
        self.stop(mode)
        time.sleep(pause)
        self.start()

    def sql(self, query, database="postgres"):
        argv = [
            "psql",
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            self.folder,
            "-p",
            self.port,
        ]
        argv += ["-U", "postgres", "-d", database, "-c", query]
        done = subprocess.run(
            _as_server(argv), env=_without_pg(), cwd="/", capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _control(self, *arguments):
        # set by the server's own user: a library that is preloaded may keep things of
        # its user
        argv = [
            "env",
            *self._environ,
            self.bin / "pg_ctl",
            "-D",
            self.data,
            *arguments,
        ]
        subprocess.run(
            _as_server(argv),
            env=_without_pg(),
            cwd="/",
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def _without_pg():
    return {
        name: value for name, value in os.environ.items() if not name.startswith("PG")
    }


@contextmanager
def _made(bin_folder=None, **environ):
    """Yield a cluster that has nothing yet; stop and delete it after."""
    folder = Path(tempfile.mkdtemp(prefix="dfr_faults_", dir="/var/tmp"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    made = Cluster(folder, environ, bin_folder)
    try:
        yield made
    finally:
        if (made.data / "postmaster.pid").exists():
            made.stop()
        shutil.rmtree(folder)


@contextmanager
def private_cluster(connections=40, **environ):
    """Yield a running cluster with the role “odoo”."""
    with _made(**environ) as made:
        made.initialize(connections)
        made.start()
        made.sql("CREATE ROLE odoo LOGIN CREATEDB")
        yield made


@contextmanager
def copy_of(cluster):
    """Yield a running copy of a cluster that stands still: one disk, twice."""
    with _made(cluster.bin) as made:
        made.copy(cluster)
        made.start()
        yield made


@contextmanager
def upgraded(cluster, major):
    """Yield, running, what pg_upgrade makes of a cluster that stands still."""
    with _made(server_of(major)) as made:
        made.upgrade(cluster)
        made.start()
        yield made


def move_in(cluster, template, instance, settled=True):
    """Copy the template's database into the cluster, and let ``instance`` use it
    there. ``settled``: its server knows it as the original."""
    options = template.options
    source = {
        **_without_pg(),
        "PGHOST": options["db_host"],
        "PGPORT": options["db_port"],
        "PGUSER": options["db_user"],
        "PGPASSWORD": options["db_password"],
    }
    dump = cluster.folder / "dump.sql"
    subprocess.run(
        ["pg_dump", "--no-owner", "-f", dump, template.database], env=source, check=True
    )
    instance.write_conf(
        db_host="127.0.0.1", db_port=str(cluster.port), db_password="none"
    )
    target = {
        **_without_pg(),
        "PGHOST": "127.0.0.1",
        "PGPORT": str(cluster.port),
        "PGUSER": "odoo",
    }
    subprocess.run(["createdb", instance.database], env=target, check=True)
    load = ["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", instance.database, "-f", dump]
    subprocess.run(load, env=target, check=True, stdout=subprocess.DEVNULL)
    dump.unlink()
    if settled:
        instance.be_original()
