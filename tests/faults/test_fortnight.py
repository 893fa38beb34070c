"""Fourteen days in minutes: a clock that is moved, daily backups into two storages,
retention, drills, and a random fault on most days. At the end the invariants of
retention hold."""

import contextlib
import random

import pytest
from clock import moving_lab
from far import LARGE, add_bucket
from instances import e2e
from lab import DRILL, Fault, kill
from s3_servers import moto

DAYS = 14
CRON = 'env["backup.plan"]._cron_supervise()'
POLICY = {
    "retention": "custom",
    "keep_last": 1,
    "keep_hourly": 0,
    "keep_daily": 4,
    "keep_weekly": 1,
    "keep_monthly": 0,
    "keep_yearly": 0,
    "keep_within_days": 1,
    "keep_minimum": 2,
}
PRESENT = (
    "SELECT s.provider, c.key, c.size, c.sha256, c.date, c.state FROM backup_copy c"
    " JOIN backup_storage s ON s.id = c.storage_id WHERE c.state IN ('stored', "
    "'verified')"
    " ORDER BY 1, 2"
)
FAULTS = [
    ("kill", "postgres.dump.first_bytes"),
    ("kill", "archive.recorded"),
    ("kill", "storage.put.complete.before"),
    ("kill", "storage.delete"),
    ("kill", "storage.manifest.before"),
    ("kill_always", "storage.put.part"),
    ("kill_always", "step.archive_files.begin"),
    ("send", "step.verify.begin"),
    ("kill", "step.cleanup.begin"),
    None,
    None,
]


@pytest.fixture
def moving(template, tmp_path, monkeypatch):
    """A lab in which all clocks move together, with a bucket."""
    (tmp_path / "odoo").mkdir()
    (tmp_path / "server").mkdir()
    with (
        moving_lab(template, tmp_path / "odoo", "fortnight") as lab,
        contextlib.ExitStack() as stack,
    ):
        with monkeypatch.context() as patch:
            for name, value in lab.clock.environ.items():
                patch.setenv(name, value)
            server = stack.enter_context(moto(tmp_path / "server"))
        lab.driver.do(LARGE)
        add_bucket(lab, server.url)
        lab.write("backup.plan", POLICY)
        yield lab


def test_fourteen_days(moving, request, tmp_path, cell):
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(
        1 << 32
    )
    dice = random.Random(seed)
    print(f"seed {seed}")
    try:
        ends = [live_a_day(moving, dice, day, tmp_path) for day in range(1, DAYS + 1)]
        request.config.table.rounds += len(ends)
        hold_invariants(moving)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error
    good = sum(end == "success" for end in ends)
    cell(
        "14 days, random faults", "any", f"{good} days saved, seed {seed}: 0 violations"
    )


def live_a_day(lab, dice, day, folder):
    """Let the clock come to the next day, and the plan's moment with it."""
    lab.clock.set(24 * day)
    last = lab.sql("SELECT coalesce(max(id), 0) FROM backup_job")[0][0]
    what = dice.choice(FAULTS)
    fault = what and Fault(folder, *what, argument=15)
    lab.driver.do(CRON, DFR_FAULT=fault.environ["DFR_FAULT"] if fault else None)
    runs = lab.sql("SELECT kind, id FROM backup_job WHERE id > %s ORDER BY id", last)
    assert [kind for kind, _id in runs].count("backup") == 1, f"day {day}: {runs}"
    outcomes = {kind: lab.settle(number) for kind, number in runs}
    outcome = outcomes.pop("backup")
    assert all(other.state == "success" for other in outcomes.values()), (
        "a weekly verification"
    )
    lab.driver.do("", DFR_FAULT=None)
    print(f"day {day}: {what}: {outcome}", flush=True)
    lab.check(outcome, restore=day % 5 == 0)
    if day == 2:
        lab.driver.do(
            'env["backup.copy"].search([("state", "=", "verified")]).action_protect()'
        )
    if day % 6 == 0:
        proof = lab.run(code=DRILL.format(count=1))
        assert proof.state == "success", proof.errors
    if dice.random() < 0.2:  # somebody restarts the machine
        for pid in lab.processes():
            kill(pid)
        lab.driver.restart()
    return outcome.state


def hold_invariants(lab):
    rows = lab.sql(PRESENT)
    for provider in ("local", "s3"):
        verified = [row for row in rows if row[0] == provider and row[5] == "verified"]
        assert len(verified) >= 2, f"I1: {provider} has {len(verified)} verified copies"
        for _provider, key, *_facts in verified:
            assert lab.content(provider, key, lab.instance.storage), "I1"
    protected = lab.sql("SELECT state FROM backup_copy WHERE protected")
    assert {state for (state,) in protected} <= {"verified"}, (
        "I2: a protected copy was deleted"
    )
    logs = lab.sql("SELECT log_values FROM backup_step WHERE kind = 'cleanup'")
    reasons = {
        values.get("key")
        for (log,) in logs
        for line in log or []
        for values in e2e.message_values(line)
    }
    deleted = lab.sql(
        "SELECT key FROM backup_copy WHERE state = 'deleted' AND verified_at > "
        "'2000-1-1'"
    )
    assert deleted, "no rule has deleted anything in fourteen days"
    assert {key for (key,) in deleted} <= reasons, "I4: a deletion without a reason"
    stored = {path.name for path in lab.instance.storage.glob("*.zip")}
    known = {key for provider, key, *_facts in rows if provider == "local"}
    assert stored == known, "I5: the storage and the catalogue differ"
    lab.sql("DELETE FROM backup_copy")
    scan = lab.run(
        code='result = env["backup.storage"].search([]).action_scan()["res_id"]'
    )
    assert scan.state == "success", scan.errors
    facts = [row[:5] for row in rows]
    assert [row[:5] for row in lab.sql(PRESENT)] == facts, (
        "I6: another catalogue than before"
    )
