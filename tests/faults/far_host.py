"""A host of its own on the network: it takes two locks of a PostgreSQL, and holds them.

    unshare -n python far_host.py NETWORK PORT DEVICE

Lock 1 is held by a session as libpq makes it, lock 2 by one of the engine's. It prints
"held", and "gone" as soon as the second has noticed that the server is gone.
"""

import select
import subprocess
import sys
import types
from pathlib import Path

import psycopg2

package = types.ModuleType("dfr_backup")
package.__path__ = [str(Path(__file__).resolve().parents[2] / "dfr_backup")]
sys.modules["dfr_backup"] = package

from dfr_backup.engine.postgres.connection import Connection  # noqa: E402
from dfr_backup.engine.postgres.keepalive import Keepalive  # noqa: E402

CLIENT = Keepalive(idle=1, interval=1, timeout=2)
SERVER = Keepalive(idle=2, interval=1, timeout=6)
SECONDS = 60


def hold(session, lock):
    session.autocommit = True
    with session.cursor() as cr:
        cr.execute("SELECT pg_advisory_lock(%s)", [lock])
    return session


def main(network, port, device):
    sys.stdin.readline()  # the device is here now
    for command in (f"addr add {network}.2/24 dev {device}", f"link set {device} up"):
        subprocess.run(["ip", *command.split()], check=True)
    params = {"host": f"{network}.1", "port": port, "user": "postgres"}
    plain = hold(psycopg2.connect(dbname="postgres", **params), 1)
    ours = Connection("postgres", params, client=CLIENT, server=SERVER).connect()
    hold(ours, 2)
    print("held", flush=True)
    if select.select([ours], [], [], SECONDS)[0]:
        print("gone", flush=True)
    sys.stdin.readline()
    assert not plain.closed


if __name__ == "__main__":
    main(*sys.argv[1:])
