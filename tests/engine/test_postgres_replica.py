"""A backup whose dump comes from a streaming standby, or from the primary when that
cannot be."""

import contextlib
import sys

import pytest
from memory_context import MemoryContext
from run_fixtures import ODOO
from standby import primary_and_standby

from dfr_backup.engine import checkpoints
from dfr_backup.engine.errors.dump import (
    NotReplica,
    ReplicaConflict,
    ReplicaLags,
    ServerUnreachable,
)
from dfr_backup.runs import words

NAME = "dfr_replicated"
ROWS = 5000
acts = {}  # what to do at a checkpoint


def hook(event, arguments):
    if event == checkpoints.EVENT and (act := acts.get(arguments[0])):
        act()


sys.addaudithook(hook)


@pytest.fixture(scope="module")
def servers():
    with primary_and_standby() as (primary, standby):
        primary.sql(f"CREATE DATABASE {NAME} TEMPLATE template0")
        primary.sql(ODOO, NAME)
        yield primary, standby


@pytest.fixture
def primary(servers):
    servers[0].sql("DELETE FROM ir_attachment", NAME)
    return servers[0]


@pytest.fixture
def standby(servers):
    return servers[1]


@pytest.fixture
def backup(tmp_path, storages, primary, standby):
    (tmp_path / "filestore" / NAME).mkdir(parents=True)
    context = MemoryContext("backup", tmp_path, NAME)
    context.job.plan(storages)
    context.database.params = primary.params
    context.database.replica_params = standby.params
    yield context
    acts.clear()


def dumped(backup):
    """Let the backup be made; return its rows and the message about the replica."""
    assert backup.job.perform() == "success", backup.job.states
    step = backup.job._step("dump_database")
    told = {words.FROM_REPLICA, words.NOT_FROM_REPLICA}
    lines = [getattr(line, "values", {}).get("line", line) for line in step.log]
    (line,) = [line for line in lines if getattr(line, "template", "") in told]
    return backup.job.run_state.rows['"public"."body"'], line


def assert_from_primary(backup, error):
    rows, line = dumped(backup)
    assert line.template == words.NOT_FROM_REPLICA
    assert line.values["code"] == error.code
    assert backup.job._step("dump_database").state == "warning"
    return rows


def test_the_dump_comes_from_the_standby(backup, primary, standby):
    """What the primary has written when the run begins is in it."""
    primary.sql(f"INSERT INTO body VALUES ({ROWS + 1}, 'new')", NAME)
    before = standby.log.read_text().count("pg_dump")
    rows, line = dumped(backup)
    primary.sql(f"DELETE FROM body WHERE id > {ROWS}", NAME)
    assert (line.template, rows) == (words.FROM_REPLICA, ROWS + 1)
    assert backup.job._step("dump_database").state == "success"
    assert standby.log.read_text().count("application_name=dfr_backup") > before


def test_the_standby_is_awaited(backup, primary, standby):
    """Its replay is paused when it is asked, and goes on a little later."""
    standby.sql("SELECT pg_wal_replay_pause()")
    asked = []

    def resume():
        if backup.job._step("dump_database").state == "running":
            asked.append(1)
        if len(asked) == 2:
            standby.sql("SELECT pg_wal_replay_resume()")

    backup.at["dump_database"] = resume
    try:
        primary.sql("UPDATE ir_module_module SET state = 'installed'", NAME)
        rows, line = dumped(backup)
    finally:
        with contextlib.suppress(Exception):
            standby.sql("SELECT pg_wal_replay_resume()")
    assert (line.template, rows) == (words.FROM_REPLICA, ROWS)


def test_a_standby_that_stays_behind_is_not_waited_for(backup, primary, standby):
    standby.sql("SELECT pg_wal_replay_pause()")
    backup.database.patience = 0.5
    primary.sql(f"INSERT INTO body VALUES ({ROWS + 1}, 'new')", NAME)
    try:
        rows = assert_from_primary(backup, ReplicaLags)
    finally:
        standby.sql("SELECT pg_wal_replay_resume()")
        primary.sql(f"DELETE FROM body WHERE id > {ROWS}", NAME)
    assert rows == ROWS + 1


def test_a_standby_that_cancels_the_dump(backup, primary, standby):
    """It replays at once what a vacuum of the primary has removed."""
    standby.follow(primary)
    done = []

    def vacuum():
        if backup.job._step("dump_database").state == "running" and not done:
            done.append(1)
            primary.sql("UPDATE body SET text = text || '!'", NAME)
            primary.sql("VACUUM body", NAME)
            standby.follow(primary)

    acts["postgres.snapshot.exported"] = vacuum
    assert assert_from_primary(backup, ReplicaConflict) == ROWS
    assert done


def test_what_is_no_replica(backup, primary):
    backup.database.replica_params = primary.params
    assert assert_from_primary(backup, NotReplica) == ROWS


def test_a_replica_that_is_down(backup, primary):
    backup.database.replica_params = {**primary.params, "port": 1}
    assert assert_from_primary(backup, ServerUnreachable) == ROWS
