"""Odoo reaches PostgreSQL through PgBouncer in session mode, which keeps sessions when
nobody uses them any more: also those in a database that is to get another name."""

import contextlib
import shutil
import threading

import psycopg2
import pytest
from cluster import move_in, private_cluster
from instances import e2e
from lab import DRILL, RESTORE, Fault, Lab
from pooler import pooler

from dfr_backup.engine.postgres.connection import Connection
from dfr_backup.engine.postgres.keepalive import POOLED, SERVER, in_words

short = pytest.mark.short


@pytest.fixture(scope="module")
def pooled(template, tmp_path_factory):
    """A lab whose Odoo knows the pooler only."""
    with private_cluster(connections=100) as cluster, pooler(cluster) as made:
        instance = e2e.Instance("dfr_faults_pooled", tmp_path_factory.mktemp("pooled"))
        shutil.copytree(template.filestore, instance.filestore)
        instance.storage.mkdir(parents=True, mode=0o700)
        move_in(cluster, template, instance)
        instance.sql(
            "UPDATE backup_storage SET local_path = %s, place_id = NULL",
            str(instance.storage),
        )
        instance.sql("UPDATE backup_plan SET retention = 'none'")
        instance.write_conf(db_port=str(made.port))
        with Lab(instance) as lab:
            lab.cluster, lab.pooler = cluster, made
            yield lab


@pytest.fixture
def copy(pooled):
    name = f"{pooled.instance.database}_copy"
    yield name
    pooled.drop(name)


def kept_in_scratch(pooled):
    """Return the sessions that the pooler keeps in databases under construction."""
    return [
        row
        for row in pooled.pooler.show("SERVERS")
        if row["database"].startswith("dfr_restore_") and row["state"] == "idle"
    ]


@short
def test_backup_and_restore(pooled, copy, tmp_path, cell):
    """A session is kept in the scratch database until the last step."""
    backup = pooled.run()
    assert backup.state == "success", backup.errors
    pooled.check(backup)  # restores by the command line
    seen = []
    outcome = pooled.run(
        Fault(tmp_path, "wait", "restore.publish.before"),
        RESTORE.format(count=1, name=copy),
        meanwhile=lambda: seen.extend(kept_in_scratch(pooled)),
    )
    assert seen, "the pooler keeps nothing: this is not the case that is meant"
    assert outcome.state == "success", outcome.errors
    pooled.check(outcome)
    cell("PgBouncer, session mode", "backup, restore", outcome)


def test_drill(pooled, cell):
    pooled.run()
    outcome = pooled.run(code=DRILL.format(count=1))
    assert outcome.state == "success", outcome.errors
    pooled.check(outcome)
    cell("PgBouncer, session mode", "drill", outcome)


def test_two_restores_at_once(pooled, copy, cell):
    """One from the back office, one by the command line."""
    backup = pooled.run()
    archive = ("local", backup.archive, "", True, str(pooled.instance.storage))
    failures = []

    def restore():
        try:
            pooled.restore(*archive)
        except AssertionError as error:
            failures.append(error)

    beside = threading.Thread(target=restore)
    beside.start()
    outcome = pooled.run(code=RESTORE.format(count=1, name=copy))
    beside.join()
    assert not failures, failures
    assert outcome.state == "success", outcome.errors
    pooled.check(outcome)
    cell("PgBouncer, session mode", "two restores at once", outcome)


@pytest.mark.parametrize(
    "code, instant",
    [
        ("backup", "postgres.dump.first_bytes"),
        ("restore", "restore.load.rows"),
        ("restore", "restore.publish.files"),
    ],
)
def test_killed(pooled, copy, tmp_path, cell, code, instant):
    """The lock of a runner that is dead is not kept by the pooler."""
    if code == "restore":
        pooled.run()
    fault = Fault(tmp_path, "kill", instant)
    if code == "restore":
        outcome = pooled.run(fault, RESTORE.format(count=1, name=copy))
    else:
        outcome = pooled.run(fault)
    assert (outcome.state, outcome.attempt) == ("success", 2), outcome.errors
    pooled.check(outcome)
    cell("PgBouncer, kill -9", instant, outcome)


@short
def test_the_pooler_hides_how_soon_a_lost_host_is_noticed(cell):
    """What a session of ours asks of the server reaches the pooler's, goes with the
    session, and tells nothing about the host beyond the pooler."""
    with private_cluster() as cluster, pooler(cluster) as made:
        params = {"host": "127.0.0.1", "port": made.port, "user": "odoo"}
        with contextlib.closing(Connection("postgres", params).connect()) as session:
            assert in_words(session).template == POOLED
        session = psycopg2.connect(dbname="postgres", **params)
        with contextlib.closing(session), session.cursor() as cr:
            cr.execute("SELECT current_setting('tcp_keepalives_idle')::int")
            assert cr.fetchone()[0] != SERVER.idle
    cell("PgBouncer, session mode", "keepalives", "told")
