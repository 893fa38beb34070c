"""The clock is moved, forward and back, in the middle of a run and between two. What
a run measures is of a clock that nobody sets (its steps' seconds); the schedule goes
on as it was."""

import pytest
from clock import moving_lab
from lab import Fault

CRON = 'env["backup.plan"]._cron_supervise()'
HOUR, DAY, YEARS = 1, 24, 24 * 3652
JUMPS = {
    "1 hour": HOUR,
    "1 day": DAY,
    "10 years": YEARS,
    "-1 hour": -HOUR,
    "-1 day": -DAY,
    "-10 years": -YEARS,
}
INSTANTS = ["postgres.dump.first_bytes", "step.upload.begin", "step.cleanup.begin"]


@pytest.fixture(scope="module")
def moving(template, tmp_path_factory):
    with moving_lab(template, tmp_path_factory.mktemp("clock"), "clock") as lab:
        yield lab


@pytest.fixture
def right(moving):
    """The lab at the right time, with a plan that waits for its next moment."""
    moving.clock.set(0)
    moving.sql("DELETE FROM backup_copy")
    moving.forget()
    for path in moving.instance.stored(moving.instance.storage):
        path.unlink()
    moving.write("backup.plan", {"frequency": "manual"})
    moving.write("backup.plan", {"frequency": "daily", "retention": "none"})
    yield moving
    moving.clock.set(0)


@pytest.mark.parametrize("instant", INSTANTS)
@pytest.mark.parametrize("name", JUMPS)
def test_in_the_middle_of_a_run(right, tmp_path, cell, name, instant):
    fault = Fault(tmp_path, "wait", instant)
    outcome = right.run(fault, meanwhile=lambda: right.clock.set(JUMPS[name]))
    cell(f"clock moved by {name}", instant, outcome)
    assert (outcome.state, outcome.attempt) == ("success", 1), outcome.errors
    right.check(outcome, restore=instant == "postgres.dump.first_bytes")
    ((seconds,),) = right.sql(
        "SELECT duration FROM backup_job WHERE id = %s", outcome.number
    )
    assert seconds >= 0
    again = right.run()
    assert (again.state, again.attempt) == ("success", 1), again.errors


@pytest.mark.parametrize("name", JUMPS)
def test_the_schedule(right, cell, name):
    """The scheduled action looks once under the wrong clock. When that is right
    again, each day has one backup."""
    right.clock.set(JUMPS[name])
    look(right)
    right.clock.set(0)
    look(right)
    found = []
    for day in (1, 2, 3):
        right.clock.set(DAY * day)
        outcomes = look(right)
        assert all(outcome.state == "success" for outcome in outcomes)
        found.append(len(outcomes))
    cell(
        f"clock wrong by {name}, then right",
        "schedule",
        f"{found} backups in three days",
    )
    assert found == [1, 1, 1]


# as a worker of Odoo looks for what is ready, of our action alone
ODOOS_CRON = """
from odoo.addons.base.models.ir_cron import IrCron
env.cr.execute("UPDATE ir_cron SET active = (id = %s)",
               [env.ref("dfr_backup.ir_cron_supervise").id])
env.cr.commit()
IrCron._process_jobs(env.cr.dbname)
"""
WAITS = """
    SELECT nextcall > now() AT TIME ZONE 'UTC' + interval '9 years' FROM ir_cron
     WHERE active
"""


@pytest.mark.parametrize(
    "heal",
    [
        'env["backup.overview"].get_overview()',
        'env["backup.monitor"]._health()',
        'env["backup.plan"].search([], limit=1)._request_run("manual")',
    ],
)
def test_the_action_that_waits_for_years(right, cell, heal):
    """Odoo calls it under a clock that is ahead, and then for years no more. Whoever
    looks at the backups wakes it up."""
    right.clock.set(YEARS)
    look(right, ODOOS_CRON)
    right.clock.set(0)
    assert look(right, ODOOS_CRON) == []
    assert right.sql(WAITS) == [(True,)]
    healed = look(right, heal)
    assert all(outcome.state == "success" for outcome in healed)
    assert right.sql(WAITS) == [(False,)]
    found = []
    for day in (1, 2):
        right.clock.set(DAY * day)
        found.append([outcome.state for outcome in look(right, ODOOS_CRON)])
    cell("clock ahead by 10 years, then right", "scheduled action", f"{found}")
    assert found == [["success"], ["success"]]


def look(lab, code=CRON):
    """Let the scheduled action look, and what it starts end; return the backups'
    outcomes."""
    last = lab.sql("SELECT coalesce(max(id), 0) FROM backup_job")[0][0]
    lab.driver.do(code)
    new = lab.sql("SELECT id, kind FROM backup_job WHERE id > %s ORDER BY id", last)
    outcomes = [(kind, lab.settle(number)) for number, kind in new]
    return [outcome for kind, outcome in outcomes if kind == "backup"]
