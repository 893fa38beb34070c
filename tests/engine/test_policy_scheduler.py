"""How the scheduled action is judged, and when it wakes up."""

from datetime import datetime, timedelta, timezone

import pytest

from dfr_backup.engine.errors.runs import (
    ActionFailing,
    ActionLate,
    ActionMissing,
    ActionOff,
    ActionSlow,
    ActionTooFar,
)
from dfr_backup.engine.policy.scheduler import (
    Action,
    is_too_far,
    judge_action,
    next_wake,
    retry_pause,
)

NOW = datetime(2026, 6, 15, 12, tzinfo=timezone.utc)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    "next_call, interval, gap, expected",
    [
        (HOUR, HOUR, DAY, None),
        (HOUR, HOUR, None, None),
        (2 * HOUR, HOUR, DAY, ActionTooFar),
        (5844 * DAY, HOUR, DAY, ActionTooFar),
        (5844 * DAY, HOUR, None, ActionTooFar),
        (30 * MINUTE, 10 * MINUTE, HOUR, None),  # somebody has moved it a little
        (2 * HOUR, 10 * MINUTE, HOUR, ActionTooFar),
        (23 * HOUR, DAY, DAY, None),
        (23 * HOUR, DAY, HOUR, ActionSlow),
        (2 * DAY, DAY, HOUR, ActionTooFar),
        (-10 * MINUTE, HOUR, DAY, None),
        (-2 * HOUR, HOUR, DAY, ActionLate),
    ],
)
def test_when_it_runs_next(next_call, interval, gap, expected):
    action = Action(active=True, next_call=NOW + next_call, interval=interval)
    assert type(judge_action(action, gap, NOW)) is (expected or type(None))
    assert is_too_far(action, NOW) == (expected is ActionTooFar)


def test_off_comes_before_all_else():
    action = Action(active=False, next_call=NOW + 9 * DAY, interval=HOUR, failures=9)
    assert isinstance(judge_action(action, DAY, NOW), ActionOff)
    assert isinstance(judge_action(None, DAY, NOW), ActionMissing)


@pytest.mark.parametrize("failures, expected", [(0, False), (1, False), (2, True)])
def test_one_failure_is_tried_again_at_once(failures, expected):
    action = Action(True, NOW, HOUR, failures, NOW - HOUR)
    found = judge_action(action, DAY, NOW)
    assert isinstance(found, ActionFailing) == expected
    if found:
        assert found.message.values["count"] == 2
        assert "11:00" in found.message.values["since"]


@pytest.mark.parametrize(
    "due, expected",
    [
        (None, HOUR),
        (2 * HOUR, HOUR),
        (20 * MINUTE, 20 * MINUTE),
        (timedelta(), MINUTE),
        (-DAY, MINUTE),
    ],
)
def test_it_sleeps_until_something_is_due(due, expected):
    moment = None if due is None else NOW + due
    assert next_wake(moment, NOW, MINUTE) == NOW + expected


def test_a_call_that_fails_again_and_again_comes_less_often():
    pauses = [retry_pause(failures) / MINUTE for failures in (0, 1, 2, 5, 6, 1000)]
    assert pauses == [1, 2, 4, 32, 60, 60]
