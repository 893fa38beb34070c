"""Several starters on one database at the same moment: a run is ever taken up by
one."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from lab import REQUEST, SUPERVISE, Driver

STARTERS = 4  # two processes each on two servers
TAKE = """
from odoo.addons.dfr_backup import odoo_config, runner
runner.held = odoo_config.connection({database!r}, "dfr_backup lock").connect()
runner.held.autocommit = True
result = bool(runner._lock(runner.held, {job}) and runner._claim(runner.held, {job}))
"""
LET_GO = """
from odoo.addons.dfr_backup import runner
# a session that is closed holds its locks for a moment yet
with runner.held.cursor() as cr:
    cr.execute("SELECT pg_advisory_unlock_all()")
runner.held.close()
"""
AGAIN = "UPDATE backup_job SET state = 'pending', attempt = 0 WHERE id = %s"


@pytest.fixture(scope="module")
def starters(lab):
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(STARTERS) as pool:
        drivers = [stack.enter_context(Driver(lab.instance)) for _ in range(STARTERS)]

        def at_once(code):
            return list(pool.map(lambda driver: driver.do(code), drivers))

        at_once("")  # loads their registries
        yield at_once


def test_one_of_them_takes_the_run(lab, starters, request, cell):
    """Lock and claim, as each runner begins; so often as the matrix is long."""
    races = max(20, request.config.getoption("--rounds") * 10)
    outcome = lab.run(code=REQUEST)
    assert not lab.still_at_work()  # its runner has let go of the lock
    take = TAKE.format(database=lab.instance.database, job=outcome.number)
    for _ in range(races):
        request.config.table.rounds += 1
        lab.sql(AGAIN, outcome.number)
        taken = starters(take)
        starters(LET_GO)
        assert sum(taken) == 1, f"{sum(taken)} runners of one run"
    lab.sql("UPDATE backup_job SET state = 'success' WHERE id = %s", outcome.number)
    cell(f"{STARTERS} runners at once", "claim", f"one takes it, {races} times")


def test_all_of_them_supervise(lab, starters, cell):
    """A run waits and each of them looks: whoever starts a runner, one performs it."""
    number = lab.start(REQUEST)
    with contextlib.suppress(
        RuntimeError
    ):  # two that write the same row: one is refused
        starters(SUPERVISE)
    outcome = lab.settle(number)
    assert (outcome.state, outcome.attempt) == ("success", 1), outcome
    cell(f"{STARTERS} supervisors at once", "start", outcome)
    lab.check(outcome, restore=False)
