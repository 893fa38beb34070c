"""Signals, dead children, lost sessions, cancels, restarted machines: whatever ends
a process."""

import os
import signal
import time

import pytest
from lab import DRILL, REQUEST, SUPERVISE, Fault, kill

INSTANTS = [
    "step.initialize.begin",
    "postgres.dump.first_bytes",
    "step.archive_files.begin",
    "archive.checksums.written",
    "storage.put.written",
    "step.verify.begin",
    "step.cleanup.begin",
]
short = pytest.mark.short
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {}"


def busy():
    """Return how many times longer than alone everything takes here, at least 1."""
    return max(1, os.getloadavg()[0] / (os.cpu_count() or 1))


def some(names, *fast):
    return [pytest.param(n, marks=short) if n in fast else n for n in names]


@pytest.mark.parametrize("instant", some(INSTANTS, "postgres.dump.first_bytes"))
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_signal(lab, tmp_path, cell, name, instant):
    number = getattr(signal, name).value
    outcome = lab.run(Fault(tmp_path, "send", instant, argument=number))
    cell(name, instant, outcome)
    assert outcome.state == "success"
    assert outcome.attempt == (2 if name == "SIGTERM" else 1)
    lab.check(outcome, restore=False)


def test_pg_dump_is_killed(lab, tmp_path, cell):
    def end_pg_dump():
        (pid,) = [pid for pid, text in lab.processes().items() if "pg_dump" in text]
        kill(pid)

    outcome = lab.run(
        Fault(tmp_path, "wait", "postgres.dump.first_bytes"), meanwhile=end_pg_dump
    )
    cell("kill -9 of pg_dump", "dump_database", outcome)
    if outcome.state != "success":
        assert outcome.codes["dump_database"] == "DUMP-05", outcome.errors
    lab.check(outcome)


SESSIONS = {
    "pg_dump": "application_name LIKE 'dfr\\_backup ________' AND query LIKE 'COPY%%'",
    "snapshot": "application_name LIKE 'dfr\\_backup ________' AND state LIKE 'idle in "
    "tr%%'",
    "lock": "application_name = 'dfr_backup lock'",
    "runner": "application_name LIKE '%%runner'",
    "all": "application_name LIKE 'dfr\\_backup%%'",
}
WHEN = ["postgres.dump.first_bytes", "step.archive_files.begin", "storage.put.written"]


@pytest.mark.parametrize("instant", WHEN)
@pytest.mark.parametrize("session", some(SESSIONS, "lock"))
def test_session_is_terminated(lab, tmp_path, cell, session, instant):
    if session in ("pg_dump", "snapshot") and instant != "postgres.dump.first_bytes":
        pytest.skip("that session is not there any more")

    def end_it():
        mine = f"datname = '{lab.instance.database}' AND {SESSIONS[session]}"
        assert lab.sql(TERMINATE.format(mine)), "there is no such session"
        if session in ("lock", "all"):
            _supervise_in_the_worst_moment(lab)

    outcome = lab.run(Fault(tmp_path, "wait", instant), meanwhile=end_it)
    cell(f"session ended: {session}", instant, outcome)
    assert outcome.state in ("success", "partial"), outcome.error
    lab.check(outcome)


def _supervise_in_the_worst_moment(lab):
    """The lock is gone: the supervisor believes that the runner is dead, and starts
    another. There must never be two that work."""
    before = set(lab.processes())
    time.sleep(0.5)
    lab.driver.do(SUPERVISE)
    time.sleep(4)
    at_work = {pid for pid, text in lab.processes().items() if "runner" in text}
    assert not at_work & before or at_work <= before, "two runners work on the same run"


@pytest.mark.parametrize("kind", ["backup", "drill"])
@pytest.mark.parametrize(
    "instant",
    some([*INSTANTS, "filestore.large.begin", "restore.load.rows", "step.boot.begin"],
         "filestore.large.begin"),
)  # fmt: skip
def test_cancel(lab, tmp_path, cell, kind, instant):
    of_drill = instant in ("restore.load.rows", "step.boot.begin")
    if of_drill != (kind == "drill"):
        pytest.skip("not a step of this kind")
    if of_drill:
        lab.run()
    fault = Fault(tmp_path, "wait", instant)
    number = lab.start(DRILL.format(count=1) if of_drill else REQUEST, fault)
    fault.await_it()
    lab.driver.do(f'env["backup.job"].browse({number}).action_cancel()')
    fault.go_on()
    begun = time.monotonic()
    outcome = lab.settle(number)
    seconds = time.monotonic() - begun
    cell("cancel", instant, f"{outcome} in {seconds:.1f} s")
    # what is cancelled after the last look at the flag may end well
    late = instant in ("step.cleanup.begin",)
    assert outcome.state == "cancelled" or (late and outcome.state == "success")
    assert seconds < 5 * busy()
    lab.check(outcome)


def test_cancel_of_a_runner_that_hangs(lab, tmp_path, cell):
    """It does not hear that it is to stop: after two minutes the supervisor ends it."""
    fault = Fault(tmp_path, "wait", "step.archive_files.begin")
    number = lab.start(REQUEST, fault)
    fault.await_it()
    lab.driver.do(f'env["backup.job"].browse({number}).action_cancel()')
    lab.driver.do(SUPERVISE)
    assert lab.runner(number) in lab.processes(), "it was given no time"
    lab.sql("UPDATE backup_job SET write_date = write_date - interval '3 minutes' "
            "WHERE id = %s",
            number)  # fmt: skip
    lab.driver.do(SUPERVISE)
    outcome = lab.settle(number)
    cell("cancel of a runner that hangs", "step.archive_files.begin", outcome)
    assert outcome.state == "cancelled"
    lab.check(outcome)


def test_a_runner_that_hangs(lab, tmp_path, cell):
    """Nobody cancels it: it ends itself after a while, and the run is resumed."""
    lab.instance.write_conf(dfr_backup_hang_minutes="0.1")
    try:
        number = lab.start(
            REQUEST, fault := Fault(tmp_path, "wait", "step.archive_files.begin")
        )
        fault.await_it()
        outcome = lab.settle(number)
    finally:
        lab.instance.write_conf(dfr_backup_hang_minutes=None)
    cell("hangs", "step.archive_files.begin", outcome)
    assert outcome.state == "success"
    assert outcome.attempt == 2
    lab.check(outcome)


def test_runner_is_killed_while_odoo_boots_the_copy(lab, cell):
    lab.run()
    number = lab.start(DRILL.format(count=1))
    until = time.monotonic() + 300
    while not any("backup boot" in text for text in lab.processes().values()):
        assert time.monotonic() < until, "nothing is booted"
        time.sleep(0.05)
    runner = lab.runner(number)
    kill(runner)
    time.sleep(1)
    boots = [text for text in lab.processes().values() if "backup boot" in text]
    outcome = lab.settle(number)
    cell("kill -9 of a drill", "while it boots", outcome)
    assert outcome.state == "success", outcome.errors
    assert not boots, "what the dead runner had started goes on"
    lab.check(outcome)


@pytest.mark.parametrize("instant", some(WHEN, "postgres.dump.first_bytes"))
def test_machine_is_restarted(lab, tmp_path, cell, instant):
    """Everything dies at once; its files stay."""
    fault = Fault(tmp_path, "wait", instant)
    number = lab.start(REQUEST, fault)
    fault.await_it()
    for pid in lab.processes():
        kill(pid)
    lab.driver.restart()
    outcome = lab.settle(number)
    cell("machine restarted", instant, outcome)
    assert outcome.state == "success"
    assert outcome.attempt == 2
    lab.check(outcome)


def test_odoo_is_killed_and_the_runner_goes_on(lab, tmp_path, cell):
    fault = Fault(tmp_path, "wait", "step.archive_files.begin")
    number = lab.start(REQUEST, fault)
    fault.await_it()
    kill(lab.driver.pid)
    lab.driver.restart()
    fault.go_on()
    lab.driver.do(SUPERVISE)
    outcome = lab.settle(number)
    cell("kill -9 of Odoo", "step.archive_files.begin", outcome)
    assert outcome.state == "success"
    assert outcome.attempt == 1
    lab.check(outcome)


def test_two_schedulers_on_one_database(lab, cell):
    """Two servers look at the same plans at the same moment; one run comes of it."""
    from lab import Driver

    lab.sql(
        "UPDATE backup_plan SET next_run = now() AT TIME ZONE 'UTC' - interval '1 "
        "minute'"
    )
    last = lab.sql("SELECT max(id) FROM backup_job")[0][0] or 0
    cron = 'env["backup.plan"]._cron_supervise()'
    with Driver(lab.instance) as other:
        other.do("")  # loads its registry
        import threading

        threads = [
            threading.Thread(target=d.do, args=(cron,)) for d in (other, lab.driver)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
        new = lab.sql("SELECT id FROM backup_job WHERE id > %s", last)
        assert len(new) == 1, f"{len(new)} runs of one moment"
        outcome = lab.settle(new[0][0])
    cell("two schedulers", "plan", outcome)
    assert outcome.state == "success"
    assert outcome.attempt == 1
    lab.check(outcome, restore=False)
