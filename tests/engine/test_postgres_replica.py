"""A backup whose dump comes from a streaming standby, or from the primary when that
cannot be."""

import contextlib
from types import SimpleNamespace

import pytest
from memory_context import MemoryContext
from run_fixtures import ODOO
from standby import primary_and_standby, standby_of

from dfr_backup.engine import checkpoints
from dfr_backup.engine.errors.dump import (
    NotReplica,
    ReplicaConflict,
    ReplicaDiverged,
    ReplicaLags,
    ReplicaSilent,
    ReplicaUnlogged,
    ServerUnreachable,
)
from dfr_backup.runs import words

NAME = "dfr_replicated"
ROWS = 5000
acts = {}  # what to do at a checkpoint


@pytest.fixture(autouse=True)
def hears(monkeypatch):
    """Let what is in ``acts`` be done. No hook, which would stay: see test.sh."""

    def audit(_event, name):
        if act := acts.get(name):
            act()

    monkeypatch.setattr(checkpoints, "sys", SimpleNamespace(audit=audit))


@contextlib.contextmanager
def odoo_and_standby():
    with primary_and_standby() as (primary, standby):
        primary.sql(f"CREATE DATABASE {NAME} TEMPLATE template0")
        primary.sql(ODOO, NAME)
        yield primary, standby


@pytest.fixture(scope="module")
def servers():
    with odoo_and_standby() as servers:
        yield servers


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
    use(context, primary, standby)
    yield context
    acts.clear()


def use(backup, primary, standby):
    """Let the run be one of these servers."""
    primary.sql(f"INSERT INTO backup_job (uuid) VALUES ('{backup.job.uuid}')", NAME)
    backup.database.params = {**primary.params}
    backup.database.replica_params = {**standby.params}


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
    assert (line.values.get("code"), rows) == (None, ROWS + 1)
    assert line.template == words.FROM_REPLICA
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


@pytest.fixture
def impatient(standby):
    """It lets no query wait for the replay; any prune of the primary ends one."""
    standby.sql("ALTER SYSTEM SET max_standby_streaming_delay = 0")
    standby.sql("SELECT pg_reload_conf()")
    yield standby
    standby.sql("ALTER SYSTEM RESET max_standby_streaming_delay")
    standby.sql("SELECT pg_reload_conf()")


def test_a_standby_that_cancels_the_dump(backup, primary, impatient):
    """It replays at once what a vacuum of the primary has removed."""
    impatient.follow(primary)
    done = []

    def vacuum():
        if backup.job._step("dump_database").state == "running" and not done:
            done.append(1)
            primary.sql("UPDATE body SET text = text || '!'", NAME)
            primary.sql("VACUUM body", NAME)
            impatient.follow(primary)

    acts["postgres.snapshot.exported"] = vacuum
    assert assert_from_primary(backup, ReplicaConflict) == ROWS
    assert done


def test_what_is_no_replica(backup, primary):
    backup.database.replica_params = primary.params
    assert assert_from_primary(backup, NotReplica) == ROWS


def test_a_replica_that_is_down(backup, primary):
    backup.database.replica_params = {**primary.params, "port": 1}
    assert assert_from_primary(backup, ServerUnreachable) == ROWS


def test_what_was_committed_without_waiting_for_the_disk(backup, primary, standby):
    """It is not written yet when the run begins."""
    settings = {"synchronous_commit": "off", "wal_writer_delay": "10s"}
    for name, value in settings.items():
        primary.sql(f"ALTER SYSTEM SET {name} = '{value}'")
    primary.sql("SELECT pg_reload_conf()")
    try:
        standby.follow(primary)
        primary.sql(f"INSERT INTO body VALUES ({ROWS + 1}, 'new')", NAME)
        rows, line = dumped(backup)
    finally:
        for name in settings:
            primary.sql(f"ALTER SYSTEM RESET {name}")
        primary.sql("SELECT pg_reload_conf()")
        primary.sql(f"DELETE FROM body WHERE id > {ROWS}", NAME)
    assert (line.template, rows) == (words.FROM_REPLICA, ROWS + 1)


def test_rows_that_no_replica_has(backup, primary):
    """pg_dump leaves them out without a word."""
    primary.sql("CREATE UNLOGGED TABLE quick AS SELECT 1 AS one", NAME)
    try:
        assert_from_primary(backup, ReplicaUnlogged)
    finally:
        primary.sql("DROP TABLE quick", NAME)
    assert backup.job.run_state.rows['"public"."quick"'] == 1


@pytest.fixture
def ordinary(backup, primary, standby):
    """A role that is no superuser asks both."""
    primary.sql("CREATE ROLE ordinary LOGIN", NAME)
    primary.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO ordinary", NAME)
    standby.follow(primary)
    for params in (backup.database.params, backup.database.replica_params):
        params["user"] = "ordinary"
    yield backup
    primary.sql("DROP OWNED BY ordinary; DROP ROLE ordinary", NAME)


def test_an_ordinary_role(ordinary):
    assert dumped(ordinary)[1].template == words.FROM_REPLICA


def test_a_role_that_may_not_ask(ordinary, primary):
    function = "EXECUTE ON FUNCTION pg_last_wal_replay_lsn()"
    primary.sql(f"REVOKE {function} FROM PUBLIC", NAME)
    try:
        assert assert_from_primary(ordinary, ReplicaSilent) == ROWS
    finally:
        primary.sql(f"GRANT {function} TO PUBLIC", NAME)


def test_a_server_that_does_not_say_how_far_it_is(ordinary, primary):
    """Those of some clouds are replicas without a replay."""
    primary.sql("CREATE SCHEMA cloud; GRANT USAGE ON SCHEMA cloud TO PUBLIC", NAME)
    primary.sql(
        "CREATE FUNCTION cloud.pg_last_wal_replay_lsn() RETURNS pg_lsn LANGUAGE sql "
        "AS 'SELECT NULL::pg_lsn'",
        NAME,
    )
    path = "cloud, pg_catalog, public"
    primary.sql(f"ALTER ROLE ordinary SET search_path = {path}", NAME)
    try:
        assert assert_from_primary(ordinary, NotReplica) == ROWS
    finally:
        primary.sql("DROP SCHEMA cloud CASCADE", NAME)


def test_a_standby_that_becomes_a_server_of_its_own(backup):
    """Nobody can tell then whether what was dumped is its own."""
    with odoo_and_standby() as (primary, standby):
        standby.follow(primary)
        use(backup, primary, standby)
        promoted = []

        def promote():
            if backup.job._step("dump_database").state == "running" and not promoted:
                promoted.append(1)
                standby.promote()

        acts["postgres.snapshot.exported"] = promote
        assert_from_primary(backup, NotReplica)
        assert promoted


def test_a_standby_of_a_copy(backup):
    """The copy was a standby itself, so that it has the same numbers; it is ahead."""
    with odoo_and_standby() as (primary, copy):
        copy.follow(primary)
        copy.promote()
        copy.sql("INSERT INTO body SELECT 0, 'of the copy' FROM body", NAME)
        with standby_of(copy) as other:
            other.follow(copy)
            use(backup, primary, other)
            assert assert_from_primary(backup, ReplicaDiverged) == ROWS
