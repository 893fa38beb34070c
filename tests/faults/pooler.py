"""PgBouncer in session mode before a PostgreSQL of the test's own."""

import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
from cluster import _as_server, _without_pg
from instances import e2e
from s3_servers import wait_for_port

CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server}

[pgbouncer]
pool_mode = session
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
admin_users = odoo
logfile = {folder}/pooler.log
default_pool_size = 20
"""


def program():
    """Return the path of PgBouncer; skip where it cannot be had."""
    script = e2e.REPO / "setup/dev/pgbouncer.sh"
    done = subprocess.run([script], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no PgBouncer: {done.stderr.strip().splitlines()[-1]}")
    return Path(done.stdout.strip())


class Pooler:
    def __init__(self, port):
        self.port = port

    def show(self, what):
        """Return what the pooler says of its own, as dicts."""
        session = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="odoo", dbname="pgbouncer"
        )
        session.autocommit = True
        try:
            with session.cursor() as cr:
                cr.execute(f"SHOW {what}")
                names = [column.name for column in cr.description]
                return [dict(zip(names, row, strict=True)) for row in cr.fetchall()]
        finally:
            session.close()


@contextmanager
def pooler(cluster):
    """Yield a pooler before a cluster; end it after."""
    # where the user that it runs as may come
    folder = cluster.folder / "pooler"
    shutil.copytree(program().parents[2], folder)
    port = e2e.free_port()
    text = CONFIGURATION.format(server=cluster.port, port=port, folder=folder)
    (folder / "pgbouncer.ini").write_text(text)
    (folder / "users").write_text('"odoo" ""\n')
    cluster.own(folder)
    argv = [folder / "usr/sbin/pgbouncer", folder / "pgbouncer.ini"]
    process = subprocess.Popen(
        _as_server(argv),
        env=_without_pg(),
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port, process, 90)
        yield Pooler(port)
    finally:
        process.kill()
        process.wait()
