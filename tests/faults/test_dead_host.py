"""A host that loses its power, or its network: nobody says goodbye to PostgreSQL."""

import contextlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
import pytest
from cluster import private_cluster

short = pytest.mark.short
pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="networks are root's to make")

SECONDS = 30  # more than enough for what lets go within ten


def ip(command):
    subprocess.run(["ip", *command.split()], check=True)


@contextlib.contextmanager
def far_host(cluster):
    """Yield a host that holds two locks, and the device that leads to it."""
    network = f"198.18.{random.randrange(256)}"
    here, there = (f"dfr{side}{random.randrange(10**6)}" for side in "ab")
    ip(f"link add {here} type veth peer name {there}")
    try:
        ip(f"addr add {network}.1/24 dev {here}")
        ip(f"link set {here} up")
        with open(cluster.data / "pg_hba.conf", "a") as stream:
            stream.write(f"host all all {network}.0/24 trust\n")
        with open(cluster.data / "postgresql.conf", "a") as stream:
            stream.write(f"listen_addresses = '127.0.0.1,{network}.1'\n")
        cluster.restart()
        script = Path(__file__).with_name("far_host.py")
        argv = ["unshare", "-n", sys.executable, script, network, cluster.port, there]
        with subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as host:
            try:
                until_own_network(host.pid)
                ip(f"link set {there} netns {host.pid}")
                print(file=host.stdin, flush=True)
                yield host, here
            finally:
                host.kill()
    finally:
        ip(f"link del {here}")


def until_own_network(process):
    ours, until = os.readlink("/proc/self/ns/net"), time.monotonic() + SECONDS
    while os.readlink(f"/proc/{process}/ns/net") == ours:
        assert time.monotonic() < until
        time.sleep(0.01)


def held(cluster):
    """Return which of the two locks are held."""
    with (
        contextlib.closing(
            psycopg2.connect(
                host="127.0.0.1", port=cluster.port, user="postgres", dbname="postgres"
            )
        ) as session,
        session.cursor() as cr,
    ):
        cr.execute("SELECT objid FROM pg_locks WHERE locktype = 'advisory' ORDER BY 1")
        return [number for (number,) in cr.fetchall()]


@short
def test_the_lock_of_a_lost_host_is_let_go(cell):
    """As libpq makes a session, its lock stays: two hours by default."""
    with private_cluster() as cluster, far_host(cluster) as (host, device):
        assert host.stdout.readline() == "held\n"
        assert held(cluster) == [1, 2]
        ip(f"link set {device} down")  # from here on each packet is lost
        assert host.stdout.readline() == "gone\n"
        # whoever holds a lock has noticed before the server lets go of it
        assert held(cluster) == [1, 2]
        until = time.monotonic() + SECONDS
        while 2 in held(cluster):
            assert time.monotonic() < until, "the lock stays"
            time.sleep(0.2)
        assert held(cluster) == [1]
        cell("network cut", "lock", "let go")
