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


def look(lab):
    """Let the scheduled action look, and what it starts end; return the backups'
    outcomes."""
    last = lab.sql("SELECT coalesce(max(id), 0) FROM backup_job")[0][0]
    lab.driver.do(CRON)
    new = lab.sql("SELECT id, kind FROM backup_job WHERE id > %s ORDER BY id", last)
    outcomes = [(kind, lab.settle(number)) for number, kind in new]
    return [outcome for kind, outcome in outcomes if kind == "backup"]
