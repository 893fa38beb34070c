"""All databases of a server at a glance: in a word, and what is new."""

import contextlib
import os
import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import psycopg2.extensions
import pytest
from prometheus_client.parser import text_string_to_metric_families
from test_ownership_originals import VERSION, Databases

from dfr_backup.engine.errors.identity import AddonMissing, CodeTooOld, NotUpgraded
from dfr_backup.engine.errors.runs import ActionOff, SwitchedOff
from dfr_backup.engine.errors.server import (
    InvalidDatabase,
    ModuleWaits,
    NoAnswer,
    NoneLeft,
    NothingPlanned,
    NotOpened,
    NotSuccessful,
    Paused,
    PlanLate,
    TablesUnreadable,
)
from dfr_backup.engine.monitoring.metrics import exposition
from dfr_backup.engine.policy.overdue import PlanFacts
from dfr_backup.engine.policy.scheduler import Action
from dfr_backup.engine.postgres.connection import Connection
from dfr_backup.engine.postgres.sessions import LOCK_CLASS
from dfr_backup.engine.status import facts as facts_module
from dfr_backup.engine.status import look as look_module
from dfr_backup.engine.status import pausing
from dfr_backup.engine.status.changes import (
    Memory,
    news,
    read_memory,
    remember,
    write_memory,
)
from dfr_backup.engine.status.databases import Listed, list_databases
from dfr_backup.engine.status.facts import Facts, OpenRun, Plan, read_copies
from dfr_backup.engine.status.look import ask_each, look_at
from dfr_backup.engine.status.metrics import metrics_of
from dfr_backup.engine.status.pause import Pause, read_pause
from dfr_backup.engine.status.verdict import (
    CRITICAL,
    OK,
    STATES,
    UNKNOWN,
    WARNING,
    Status,
    status_of,
    status_of_shut,
    worst,
)

NOW = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
PROMISE = PlanFacts(30 * HOUR, NOW - 100 * HOUR, NOW - 10 * HOUR)
PLAN = Plan(1, "Every night", True, "daily", PROMISE, 5000, NOW + 14 * HOUR)
ACTION = Action(True, NOW + HOUR / 2, HOUR)
WELL = Facts((PLAN,), (), ACTION, NOW - HOUR / 2)
PAUSE = Pause(NOW - HOUR, "root@host", "move", NOW + HOUR)


def promising(**values):
    return (replace(PLAN, promise=replace(PROMISE, **values)),)


STATE_OF = {
    "ok": (WELL, None),
    "failing": (
        replace(WELL, plans=promising(last_state="partial", last_error="Full")),
        NotSuccessful,
    ),
    "overdue": (
        replace(WELL, plans=promising(last_good=NOW - 31 * HOUR)),
        PlanLate,
    ),
    "no_plan": (replace(WELL, plans=promising(promise=timedelta())), NothingPlanned),
    "paused": (
        replace(WELL, pause=PAUSE),
        Paused,
    ),
    "blocked": (replace(WELL, waiting_module="sale"), ModuleWaits),
    "scheduler": (replace(WELL, action=replace(ACTION, active=False)), ActionOff),
    "neutralized": (Facts((PLAN,), neutralized=True), None),
}


@pytest.mark.parametrize("state", STATE_OF)
def test_each_state_has_its_reason(state):
    facts, problem = STATE_OF[state]
    found = status_of("db", facts, NOW, True)
    assert found.state == state
    assert type(found.problem) is (problem or type(None))
    assert bool(found.level) == (state not in ("ok", "neutralized"))


def test_who_switches_the_action_of_a_copy_on_expects_backups():
    late = replace(WELL, plans=promising(last_good=NOW - 31 * HOUR), neutralized=True)
    assert status_of("db", late, NOW, True).state == "overdue"


def test_a_backup_that_is_gone_is_no_backup():
    facts = replace(WELL, plans=promising(gone=True, last_good=None))
    facts = replace(facts, plans=promising(gone=True, promised_since=NOW - HOUR))
    found = status_of("db", facts, NOW, True)
    assert (found.state, type(found.problem)) == ("failing", NoneLeft)


def test_the_code_of_a_run_is_the_code_of_its_database():
    plans = tuple(
        replace(plan, last_code="STORAGE-01")
        for plan in promising(last_state="failure", last_error="Full")
    )
    found = status_of("db", replace(WELL, plans=plans), NOW, True)
    assert found.problem.code == "STORAGE-01"
    assert "Full" in str(found.problem.message)


def test_what_is_worst_is_told():
    late = promising(last_good=NOW - 31 * HOUR)
    facts = replace(WELL, plans=late, waiting_module="sale")
    assert status_of("db", facts, NOW, True).state == "overdue"
    assert worst([OK, WARNING, UNKNOWN]) == UNKNOWN
    assert worst([UNKNOWN, CRITICAL, OK]) == CRITICAL
    assert worst([]) == OK


def test_an_overdue_plan_is_critical_whoever_has_paused_it():
    late = replace(WELL, plans=promising(last_good=NOW - 31 * HOUR), pause=PAUSE)
    found = status_of("db", late, NOW, True)
    assert (found.state, found.level) == ("overdue", CRITICAL)
    assert PAUSE.by in str(found.problem.hint), "and the pause is its reason"


def test_a_pause_is_noted_and_over():
    assert read_pause(PAUSE.to_text(), NOW) == PAUSE
    assert read_pause(PAUSE.to_text(), PAUSE.until) is None
    assert read_pause(replace(PAUSE, until=None).to_text(), NOW + 999 * HOUR)


@pytest.mark.parametrize(
    "text", [None, "", "True", "[]", "{}", '{"since": 5, "by": "", "reason": ""}']
)
def test_what_is_no_note_pauses_nothing(text):
    assert read_pause(text, NOW) is None


def test_a_server_that_is_switched_off_says_so_of_each():
    found = status_of("db", WELL, NOW, False)
    assert (found.state, type(found.problem)) == ("switched_off", SwitchedOff)


def test_an_archived_plan_promises_nothing():
    archived = replace(PLAN, id=2, active=False, promise=replace(PROMISE, gone=True))
    facts = replace(WELL, plans=(PLAN, archived))
    assert status_of("db", facts, NOW, True).state == "ok"


@pytest.mark.parametrize("shut", ["template", "closed", "invalid", "missing"])
def test_what_nobody_opens_is_named(shut):
    found = status_of_shut(Listed("db", shut))
    assert found.state in STATES
    assert found.is_ignored == (shut in ("template", "closed"))
    assert bool(found.problem) == (not found.is_ignored)
    if shut == "invalid":
        assert isinstance(found.problem, InvalidDatabase)


# === WHAT IS NEW === #


def look(memory, now, **states):
    statuses = [Status(name, state) for name, state in states.items()]
    return remember(memory, statuses, now)


def test_nothing_is_new_at_the_first_look():
    memory = look(Memory(), NOW, a="ok")
    assert news(memory, NOW) is None
    told = news(memory, NOW + HOUR)
    assert (told.databases, told.failing, told.well, told.gone) == ((), (), (), ())


def test_what_changed_since_yesterday_is_told():
    memory = look(Memory(), NOW - 48 * HOUR, a="ok", b="ok", c="overdue", d="failing")
    memory = look(memory, NOW - HOUR, a="ok", b="failing", c="ok", e="not_backed_up")
    told = news(memory, NOW)
    assert told.since == NOW - 24 * HOUR
    assert told.databases == ("e",)
    assert told.failing == ("b",)
    assert told.well == ("c",)
    assert told.gone == ("d",)
    later = news(memory, NOW + 24 * HOUR)
    assert not any((later.databases, later.failing, later.well, later.gone))


def test_what_is_gone_is_forgotten_and_new_when_it_is_back():
    memory = look(Memory(), NOW - 9 * 24 * HOUR, a="ok", b="ok")
    memory = look(memory, NOW - 8 * 24 * HOUR, a="ok")
    assert "b" not in look(memory, NOW, a="ok").seen
    back = look(memory, NOW - HOUR, a="ok", b="ok")
    assert news(back, NOW).databases == ("b",)


def test_the_memory_is_kept_in_a_file(tmp_path):
    memory = look(Memory(), NOW, a="ok", b="overdue")
    memory = look(memory, NOW + HOUR, a="ok")
    write_memory(tmp_path / "status.json", memory)
    assert read_memory(tmp_path / "status.json") == memory


@pytest.mark.parametrize("text", ["", "[]", '{"seen": []}', "{", '{"began": 5}'])
def test_a_damaged_memory_has_seen_nothing(tmp_path, text):
    (tmp_path / "status.json").write_text(text)
    assert read_memory(tmp_path / "status.json") == Memory()
    assert read_memory(tmp_path / "none.json") == Memory()


# === PROMETHEUS === #


def test_metrics_are_read_by_a_scraper():
    running = replace(WELL, open_runs=(OpenRun("B1", "backup", "running", NOW),))
    found = [
        status_of('sh"op', running, NOW, True),
        Status("new", "not_backed_up"),
        Status("template", "template"),
    ]
    samples = {
        (sample.name, sample.labels.get("database"), sample.labels.get("state")): sample
        for family in text_string_to_metric_families(exposition(metrics_of(found, NOW)))
        for sample in family.samples
    }
    last = samples["dfr_backup_last_successful_timestamp_seconds", 'sh"op', None]
    assert last.value == PROMISE.last_good.timestamp()
    assert last.labels["plan"] == "Every night"
    assert samples["dfr_backup_database_state", "new", "not_backed_up"].value == 1
    assert samples["dfr_backup_database_state", 'sh"op', "ok"].value == 1
    assert samples["dfr_backup_database_status", "new", None].value == WARNING
    assert not [key for key in samples if key[1] == "template"]


# === REAL DATABASES === #

TABLES = """
    CREATE TABLE backup_plan (id int, name text, active bool, frequency text,
        promise_hours int, promised_since timestamp, next_run timestamp,
        last_proven timestamp, sequence int);
    CREATE TABLE backup_job (id int, name text, kind text, state text, plan_id int,
        date_start timestamp, date_end timestamp, create_date timestamp, error text,
        error_code text, uuid text, hint text);
    CREATE TABLE backup_step (id int, job_id int, kind text, state text, sequence int);
    CREATE TABLE backup_storage (id int, active bool, owner_uuid text, name text);
    CREATE TABLE backup_copy (id int, plan_id int, job_id int, storage_id int,
        state text, complete bool, seen_at timestamp, date timestamp, size float,
        key text, sha256 text, packed_size float);
    CREATE TABLE ir_cron (id int, active bool, nextcall timestamp, lastcall timestamp,
        interval_number int, interval_type text, failure_count int,
        first_failure_date timestamp);
    CREATE TABLE ir_cron_trigger (cron_id int, call_at timestamp);
    CREATE TABLE ir_model_data (model text, module text, name text, res_id int);
    INSERT INTO ir_cron VALUES
        (1, true, now() at time zone 'UTC' + interval '10 min',
         now() at time zone 'UTC', 1, 'hours', 0, NULL);
    INSERT INTO ir_model_data VALUES ('ir.cron', 'dfr_backup', 'ir_cron_supervise', 1);
    INSERT INTO backup_plan VALUES
        (1, 'Every night', true, 'daily', 30, now() at time zone 'UTC',
         now() at time zone 'UTC' + interval '9 hours', NULL, 1);
"""


STATEMENTS = 12  # of a look at one database
NAME = f"dfr_stat_{os.getpid()}"  # two workers may have a part of these tests each


@pytest.fixture(scope="module")
def database():
    """One database for all: to create one takes longest."""
    if "PGHOST" not in os.environ:
        pytest.skip('no PostgreSQL: eval "$(make -s env)"')
    found = Databases()
    found.run(f"DROP DATABASE IF EXISTS {NAME}")
    found.make_odoo(NAME, "u")
    found.run(TABLES, NAME)
    yield found
    found.run(f"DROP DATABASE {NAME}")


def looked_at(listed, connect=Connection):
    def look(one):
        return look_at(one, connect, VERSION, True, lambda: datetime.now(timezone.utc))

    (found,) = ask_each(listed, look, lambda: None)
    return found


class Meter:
    """Counts the sessions that are made, how many there are at a time, and what they
    are asked."""

    def __init__(self):
        self.sessions = self.most = self.statements = self._now = 0
        self._lock = threading.Lock()

    def connect(self, name):
        counted = {"connection_factory": self._session, "cursor_factory": self._cursor}
        return Connection(name, counted)

    def _count(self, sessions=0, statements=0):
        with self._lock:
            self._now += sessions
            self.sessions += max(0, sessions)
            self.most = max(self.most, self._now)
            self.statements += statements

    @property
    def _session(meter):  # noqa: N805 - "self" is the session below
        class Session(psycopg2.extensions.connection):
            def __init__(self, *args, **options):
                meter._count(sessions=1)
                super().__init__(*args, **options)

            def close(self):
                super().close()
                meter._count(sessions=-1)

        return Session

    @property
    def _cursor(meter):  # noqa: N805 - "self" is the cursor below
        class Cursor(psycopg2.extensions.cursor):
            def execute(self, *args):
                meter._count(statements=1)
                return super().execute(*args)

        return Cursor


def ours(names=()):
    listed = list_databases(Connection("postgres"), names, {"postgres"})
    return [one for one in listed if one.name == NAME]


MODULE = "UPDATE ir_module_module SET {} WHERE name = 'dfr_backup'"
INSTALLED = MODULE.format(f"state = 'installed', latest_version = '{VERSION}'")
WHAT_IS_WRONG = {
    "nothing": ("SELECT 1", "SELECT 1", "ok", type(None)),
    "older": (
        MODULE.format("latest_version = '19.0.0.1'"),
        INSTALLED,
        "version",
        NotUpgraded,
    ),
    "newer": (
        MODULE.format("latest_version = '19.0.99.0'"),
        INSTALLED,
        "version",
        CodeTooOld,
    ),
    "not installed": (
        MODULE.format("state = 'uninstalled'"),
        INSTALLED,
        "not_backed_up",
        AddonMissing,
    ),
    "upgrading": (
        MODULE.format("state = 'to upgrade'"),
        INSTALLED,
        "blocked",
        ModuleWaits,
    ),
    "broken": (
        "ALTER TABLE backup_plan RENAME TO other",
        "ALTER TABLE other RENAME TO backup_plan",
        "unreachable",
        TablesUnreadable,
    ),
}


def test_a_database_is_paused_and_resumed(database):
    connection, now = Connection(NAME), datetime.now(timezone.utc)
    wanted = Pause(now.replace(microsecond=0), "root@host", "move")
    another = replace(wanted, reason="other")
    columns = "INSERT INTO backup_job (id, name, kind, state)"
    database.run(f"{columns} VALUES (1, 'B1', 'backup', 'running')", NAME)
    try:
        change = pausing.pause(connection, VERSION, wanted)
        assert change.before is None
        assert [run.name for run in change.open_runs] == ["B1"]
        assert looked_at(ours()).facts.pause == wanted
        assert pausing.pause(connection, VERSION, another).before == wanted
        assert pausing.resume(connection, VERSION, now).before == another
        assert pausing.resume(connection, VERSION, now).before is None
        assert looked_at(ours()).state == "ok"
        with facts_module.asking(connection, VERSION) as cr:
            cr.execute("SELECT count(*) FROM ir_cron_trigger")
            assert cr.fetchone() == (1,), "what was due is begun once"
    finally:
        database.run("DELETE FROM backup_job", NAME)


OF_THE_SERVER = {
    "template": ("IS_TEMPLATE true", "IS_TEMPLATE false"),
    "closed": ("ALLOW_CONNECTIONS false", "ALLOW_CONNECTIONS true"),
}


@pytest.mark.parametrize("case", WHAT_IS_WRONG)
def test_what_is_wrong_is_told(database, case):
    do, undo, state, problem = WHAT_IS_WRONG[case]
    database.run(do, NAME)
    try:
        found = looked_at(ours())
    finally:
        database.run(undo, NAME)
    assert (found.state, type(found.problem)) == (state, problem)


@pytest.mark.parametrize("state", OF_THE_SERVER)
def test_what_is_not_to_be_opened_is_not(database, state):
    do, undo = OF_THE_SERVER[state]
    database.run(f"ALTER DATABASE {NAME} {do}")
    try:
        assert looked_at(ours()).state == state
    finally:
        database.run(f"ALTER DATABASE {NAME} {undo}")


def test_fifty_databases_are_asked_little_and_a_few_at_a_time(database):
    """How long that takes, bench/status.py measures on a quiet machine."""
    meter, begun = Meter(), time.monotonic()

    def look(one):
        return look_at(one, meter.connect, VERSION, True, lambda: NOW)

    found = list(ask_each([Listed(NAME)] * 50, look, lambda: None))
    print(f"50 databases in {time.monotonic() - begun:.2f} s")
    assert [status.facts is not None for status in found] == [True] * 50
    assert meter.sessions == 50
    assert 1 < meter.most <= look_module.AT_ONCE
    assert meter.statements <= 50 * STATEMENTS


def test_a_database_that_is_refused_is_told(database):
    refused = Connection(NAME, {"user": "dfr_nobody", "password": "x"})
    found = looked_at([Listed(NAME)], lambda _name: refused)
    assert (found.state, type(found.problem)) == ("unreachable", NotOpened)


def test_a_database_of_others_is_none_of_ours(database):
    assert looked_at([Listed("postgres")]).state == "not_odoo"


def test_named_databases_are_listed_also_when_there_is_none(database):
    listed = list_databases(Connection("postgres"), [NAME, "dfr_none"], ())
    assert listed == [Listed(NAME), Listed("dfr_none", "missing")]


def test_a_locked_table_keeps_nobody_waiting(database, monkeypatch):
    monkeypatch.setattr(facts_module, "LOCK_SECONDS", 0.2)
    with contextlib.closing(Connection(NAME).connect()) as session:
        session.cursor().execute("LOCK TABLE backup_plan")
        found = looked_at([Listed(NAME)])
    assert (found.state, type(found.problem)) == ("unreachable", NoAnswer)


EMPTY = "TRUNCATE backup_storage, backup_job, backup_step, backup_copy"
LOCK = "SELECT pg_advisory_lock(%s, %s)"
RUNS = """
    INSERT INTO backup_storage VALUES
        (1, true, 'u', 'Disk'), (2, true, 'of another', 'Other');
    INSERT INTO backup_job VALUES
        (1, 'B1', 'backup', 'success', 1, NULL,
         now() at time zone 'UTC' - interval '5 hours', NULL, NULL, NULL),
        (2, 'B2', 'backup', 'running', 1, now() at time zone 'UTC', NULL, NULL,
         NULL, NULL);
    INSERT INTO backup_step VALUES (1, 2, 'upload', 'running', 1);
    INSERT INTO backup_copy VALUES
        (1, 1, 1, 1, 'verified', true, now() at time zone 'UTC',
         now() at time zone 'UTC' - interval '5 hours', 5000,
         'a.zip', '', 300),
        (2, 1, NULL, 2, 'verified', true, now() at time zone 'UTC',
         now() at time zone 'UTC', 7000, 'b.zip', '', NULL);
"""


def test_a_backup_and_what_runs_are_read(database):
    database.run(RUNS, NAME)
    try:
        found = looked_at([Listed(NAME)])
    finally:
        database.run(EMPTY, NAME)
    assert found.state == "ok"
    whole = 5000 + 300  # that of another database is not ours
    assert found.last_good.size == whole, "what it has in packs belongs to it"
    (run,) = found.facts.open_runs
    assert (run.name, run.state, run.step) == ("B2", "interrupted", "upload")
    assert found.plans[0].plan.promise.open_state == "running"


def test_a_run_goes_on_while_a_process_of_its_database_has_its_lock(database):
    database.run(RUNS, NAME)
    try:
        with (
            contextlib.closing(Connection(NAME).connect()) as session,
            contextlib.closing(Connection("postgres").connect()) as elsewhere,
        ):
            session.cursor().execute(LOCK, [LOCK_CLASS, 1])
            elsewhere.cursor().execute(LOCK, [LOCK_CLASS, 2])
            (run,) = looked_at([Listed(NAME)]).facts.open_runs
            assert run.state == "interrupted", "the lock of another run or database"
            session.cursor().execute(LOCK, [LOCK_CLASS, 2])
            (run,) = looked_at([Listed(NAME)]).facts.open_runs
            assert run.state == "running"
    finally:
        database.run(EMPTY, NAME)


def test_what_failed_says_what_to_do(database):
    failed = """
        INSERT INTO backup_job (id, name, kind, state, plan_id, date_end, error,
                                error_code, hint)
        VALUES (3, 'B3', 'backup', 'failure', 1, now() at time zone 'UTC', 'Gone.',
                'LOCAL-07', 'Is the share mounted?')
    """
    database.run(failed, NAME)
    try:
        found = looked_at([Listed(NAME)])
    finally:
        database.run(EMPTY, NAME)
    assert (found.state, found.problem.code) == ("failing", "LOCAL-07")
    assert str(found.problem.hint).startswith("Is the share mounted?")


def test_what_waits_says_why(database):
    waiting = """
        INSERT INTO backup_job (id, name, kind, state, error, error_code, uuid)
        VALUES (3, 'B3', 'backup', 'pending', 'Waiting for B2', 'RUN-25', 'u3')
    """
    database.run(waiting, NAME)
    try:
        (run,) = looked_at([Listed(NAME)]).facts.open_runs
    finally:
        database.run(EMPTY, NAME)
    assert (run.uuid, run.reason, run.code) == ("u3", "Waiting for B2", "RUN-25")


def test_what_is_stored_is_listed(database):
    database.run(RUNS, NAME)
    try:
        rows = read_copies(Connection(NAME), VERSION)
    finally:
        database.run(EMPTY, NAME)
    assert [(row["storage"], int(row["size"])) for row in rows] == [
        ("Other", 7000),
        ("Disk", 5000),
    ]
