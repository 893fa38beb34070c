"""Odoo's limits of its workers, at their defaults, and a run that lasts longer than
them."""

import time

import pytest
from instances import made_instance
from lab import INJECT, Fault, Lab, Outcome

PAUSE = 150  # seconds; a cron worker may live 120 s, and use 60 s of the processor
DUE = "UPDATE backup_plan SET next_run = now() AT TIME ZONE 'UTC' - interval '1 minute'"
CALL = (
    "UPDATE ir_cron SET nextcall = now() AT TIME ZONE 'UTC' - interval '1 minute'"
    " WHERE id = %s"
)
CRON = 'result = env.ref("dfr_backup.ir_cron_supervise").id'


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_outlives_the_limits_of_cron_workers(template, tmp_path, cell, workers):
    with made_instance(template, tmp_path / "limits", f"limits{workers}") as instance:
        with Lab(instance) as lab:  # from here on it only looks: Odoo itself supervises
            number = lab.driver.do(CRON)
        instance.sql(DUE)
        instance.sql(CALL, number)
        fault = Fault(tmp_path, "pause", "step.archive_files.begin", argument=PAUSE)
        environ = instance.environ(**fault.environ)
        environ["PYTHONPATH"] = f"{INJECT}:{environ.get('PYTHONPATH', '')}"
        with instance.serve("--workers", str(workers), env=environ):
            found = []
            until = time.monotonic() + 600
            while not found and time.monotonic() < until:
                found = instance.sql("SELECT id FROM backup_job")
                time.sleep(1)
            state = instance.await_job(found[0][0], timeout=PAUSE + 900)
            outcome = Outcome(lab, found[0][0])
        cell(
            f"limits of cron workers, workers={workers}",
            f"{PAUSE} s in archive_files",
            outcome,
        )
        assert (state, outcome.attempt) == ("success", 1)
        lab.check(outcome)
