"""What becomes of a run that has no process."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from dfr_backup.engine.policy.supervision import (
    MAX_ATTEMPTS,
    MAX_SPAWNS,
    SPAWN_PATIENCE,
    Decision,
    RunFacts,
    after_loss,
    when_waiting,
)

NOW = datetime(2026, 3, 29, 3)  # noqa: DTZ001 -- as the database keeps it
RUN = RunFacts(
    attempt=1,
    spawn_count=0,
    spawned_at=None,
    cancel_requested=False,
    starts_runs=True,
)
TRIED = {"spawn_count": MAX_SPAWNS, "spawned_at": NOW - SPAWN_PATIENCE}
LAST = {"attempt": MAX_ATTEMPTS, "has_to_clean": True}


@pytest.mark.parametrize(
    "facts, decision",
    [
        ({}, Decision.START),
        ({"starts_runs": False}, Decision.LEAVE_TO_WORKER),
        ({"attempt": MAX_ATTEMPTS}, Decision.CLOSE_INTERRUPTED),
        ({"attempt": MAX_ATTEMPTS, "starts_runs": False}, Decision.CLOSE_INTERRUPTED),
        ({"cancel_requested": True}, Decision.CLOSE_CANCELLED),
        # one more process removes what a storage may hold
        (LAST, Decision.START),
        ({**LAST, "cancel_requested": True}, Decision.START),
        ({**LAST, "attempt": MAX_ATTEMPTS + 1}, Decision.CLOSE_INTERRUPTED),
        (TRIED, Decision.CLOSE_UNSTARTABLE),
        ({**TRIED, "spawned_at": NOW}, Decision.WAIT),
        ({**TRIED, "spawned_at": None}, Decision.CLOSE_UNSTARTABLE),
        # the process that is gone had taken the run up
        ({"spawned_at": NOW}, Decision.START),
    ],
)
def test_run_whose_process_is_gone(facts, decision):
    assert after_loss(replace(RUN, **facts), NOW) is decision


@pytest.mark.parametrize(
    "facts, decision",
    [
        ({"attempt": 0}, Decision.START),
        ({"starts_runs": False}, Decision.LEAVE_TO_WORKER),
        ({"spawn_count": 1, "spawned_at": NOW}, Decision.WAIT),
        ({"starts_runs": False, "spawned_at": NOW}, Decision.WAIT),
        # the clock was put back, or that of another server is ahead
        ({"spawned_at": NOW + SPAWN_PATIENCE / 2}, Decision.WAIT),
        ({"spawned_at": NOW + timedelta(days=9)}, Decision.START),
        (TRIED, Decision.CLOSE_UNSTARTABLE),
    ],
)
def test_run_whose_turn_it_is(facts, decision):
    assert when_waiting(replace(RUN, **facts), NOW) is decision
