"""PostgreSQL restarts, refuses, runs out of connections and ends what takes long.
Its own one."""

import contextlib
import shutil
import time

import psycopg2
import pytest
from cluster import move_in, private_cluster
from instances import e2e
from lab import DRILL, REQUEST, RESTORE, Fault, Lab, kill

INSTANTS = [
    "step.initialize.begin",
    "postgres.dump.first_bytes",
    "step.archive_files.begin",
    "storage.put.written",
    "step.verify.begin",
    "step.cleanup.end",
]


@pytest.fixture(scope="module")
def private(template, tmp_path_factory):
    """A lab on a PostgreSQL of its own."""
    with private_cluster() as cluster:
        instance = e2e.Instance(
            "dfr_faults_private", tmp_path_factory.mktemp("private")
        )
        shutil.copytree(template.filestore, instance.filestore)
        instance.storage.mkdir(parents=True, mode=0o700)
        move_in(cluster, template, instance)
        instance.sql(
            "UPDATE backup_storage SET local_path = %s, place_id = NULL",
            str(instance.storage),
        )
        instance.sql("UPDATE backup_plan SET retention = 'none'")
        with Lab(instance) as lab:
            lab.cluster = cluster
            yield lab


def judge(lab, outcome, instant):
    """A retry, or a failure that names PostgreSQL; the row is right, and the next
    run is good."""
    if outcome.state != "success":
        assert outcome.errors, outcome
        assert all(outcome.codes.values()), outcome.errors
    lab.check(outcome, restore=instant == "postgres.dump.first_bytes")
    again = lab.run()
    assert (again.state, again.attempt) == ("success", 1), again.errors


@pytest.mark.parametrize("instant", INSTANTS)
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_restart(private, tmp_path, cell, mode, instant):
    fault = Fault(tmp_path, "wait", instant)
    outcome = private.run(fault, meanwhile=lambda: private.cluster.restart(mode=mode))
    cell(f"PostgreSQL restarted ({mode})", instant, outcome)
    assert outcome.state in ("success", "partial"), outcome.error
    judge(private, outcome, instant)


@pytest.mark.parametrize(
    "kind, instant",
    [
        ("backup", "postgres.dump.first_bytes"),
        ("backup", "storage.rename.before"),
        ("drill", "restore.load.rows"),
        ("restore", "restore.load.rows"),
        ("restore", "restore.publish.before"),
    ],
)
def test_machine_is_restarted(private, tmp_path, cell, kind, instant):
    """Everything dies at once, PostgreSQL too; files, locks and sockets stay as they
    are."""
    copy = f"{private.instance.database}_copy"
    codes = {
        "backup": REQUEST,
        "drill": DRILL.format(count=1),
        "restore": RESTORE.format(count=1, name=copy),
    }
    if kind != "backup":
        private.run()
    try:
        fault = Fault(tmp_path, "wait", instant)
        outcome = private.run(
            fault, codes[kind], meanwhile=lambda: restart_machine(private)
        )
        cell(f"machine restarted: {kind}", instant, outcome)
        assert (outcome.state, outcome.attempt) == ("success", 2), outcome.errors
        private.check(outcome, restore=instant == "postgres.dump.first_bytes")
    finally:
        private.drop(copy)


def restart_machine(lab):
    for pid in lab.processes():
        kill(pid)
    lab.cluster.restart(mode="immediate")
    lab.driver.restart()


@pytest.mark.parametrize("instant", ["restore.load.rows", "restore.load.indexes"])
def test_restart_in_a_drill(private, tmp_path, cell, instant):
    private.run()
    fault = Fault(tmp_path, "wait", instant)
    code = DRILL.format(count=1)
    outcome = private.run(
        fault, code, lambda: private.cluster.restart(mode="immediate")
    )
    cell("PostgreSQL restarted (immediate), drill", instant, outcome)
    assert outcome.state == "success" or outcome.errors
    private.check(outcome)


@pytest.mark.parametrize(
    "instant", ["postgres.dump.first_bytes", "storage.put.written"]
)
def test_connection_refused(private, tmp_path, cell, instant):
    fault = Fault(tmp_path, "wait", instant)
    number = private.start(fault=fault)
    fault.await_it()
    private.cluster.stop()
    fault.go_on()
    time.sleep(30)
    private.cluster.start()
    outcome = private.settle(number)
    cell("connection refused for 30 s", instant, outcome)
    assert outcome.state in ("success", "partial"), outcome.error
    judge(private, outcome, instant)


@pytest.mark.parametrize(
    "instant", ["step.initialize.begin", "step.dump_database.begin"]
)
def test_no_connection_is_free(private, tmp_path, cell, instant):
    fault = Fault(tmp_path, "wait", instant)
    number = private.start(fault=fault)
    fault.await_it()
    with contextlib.ExitStack() as sessions:
        with contextlib.suppress(psycopg2.OperationalError):
            for _ in range(100):
                sessions.enter_context(contextlib.closing(private.instance.connect()))
        fault.go_on()
        time.sleep(6)
    outcome = private.settle(number)
    cell("max_connections reached for 6 s", instant, outcome)
    assert outcome.state == "success", outcome.errors
    judge(private, outcome, instant)


@pytest.mark.parametrize(
    "setting",
    ["statement_timeout", "idle_in_transaction_session_timeout", "lock_timeout"],
)
@pytest.mark.parametrize(
    "instant", ["postgres.snapshot.exported", "postgres.dump.first_bytes"]
)
def test_setting_of_the_role(private, tmp_path, cell, setting, instant):
    """An administrator limits what applications do; a backup takes longer than that."""
    private.cluster.sql(f"ALTER ROLE odoo SET {setting} = '1500ms'")
    try:
        fault = Fault(tmp_path, "pause", instant, argument=3)
        outcome = private.run(fault)
    finally:
        private.cluster.sql(f"ALTER ROLE odoo RESET {setting}")
    cell(f"{setting} of the role", instant, outcome)
    assert (outcome.state, outcome.attempt) == ("success", 1), outcome.errors
    judge(private, outcome, instant)
