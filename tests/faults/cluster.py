"""A PostgreSQL of the test's own, which can be stopped, starved and moved in time."""

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from instances import e2e

CONFIGURATION = """
fsync = off
full_page_writes = off
listen_addresses = '127.0.0.1'
unix_socket_directories = '{folder}'
max_connections = {connections}
superuser_reserved_connections = 3
autovacuum = off
"""


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


class Cluster:
    def __init__(self, folder, port, environ):
        self.folder = folder
        self.port = port
        self._environ = [f"{name}={value}" for name, value in environ.items()]

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
            _bin() / "pg_ctl",
            "-D",
            self.folder / "data",
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
def private_cluster(connections=40, **environ):
    """Yield a running cluster with the role “odoo”; stop and delete it after."""
    folder = Path(tempfile.mkdtemp(prefix="dfr_faults_", dir="/var/tmp"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    made = Cluster(folder, e2e.free_port(), environ)
    try:
        argv = [
            _bin() / "initdb",
            "-D",
            folder / "data",
            "-U",
            "postgres",
            "-A",
            "trust",
            "-N",
        ]
        argv += ["-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run(
            _as_server(argv),
            env=_without_pg(),
            cwd="/",
            check=True,
            stdout=subprocess.DEVNULL,
        )
        text = CONFIGURATION.format(folder=folder, connections=connections)
        with open(folder / "data/postgresql.conf", "a") as stream:
            stream.write(f"{text}port = {made.port}\n")
        made.start()
        made.sql("CREATE ROLE odoo LOGIN CREATEDB")
        yield made
    finally:
        if (folder / "data/postmaster.pid").exists():
            made.stop()
        shutil.rmtree(folder)


def move_in(cluster, template, instance):
    """Copy the template's database into the cluster, and let ``instance`` use it
    there."""
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
    instance.be_original()
