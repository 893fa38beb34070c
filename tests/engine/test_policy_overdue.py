"""Whether a plan keeps its promise, and why not."""

from datetime import datetime, timedelta, timezone

import pytest

from dfr_backup.engine.policy.overdue import PlanFacts, Scheduler, judge, promised_hours
from dfr_backup.engine.policy.schedule import Schedule, next_time

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=timezone.utc)
DAY = timedelta(hours=30)
ALIVE = Scheduler(last_run=NOW - timedelta(minutes=10))


def hours_ago(hours):
    return NOW - timedelta(hours=hours)


def late(**facts):
    return PlanFacts(
        DAY, promised_since=hours_ago(900), last_good=hours_ago(40), **facts
    )


@pytest.mark.parametrize("frequency", ["hourly", "daily", "weekly", "monthly"])
def test_a_plan_that_runs_on_time_is_never_overdue(frequency):
    """A year of runs, with both changes of the clock, each an hour long."""
    schedule = Schedule(frequency, 150, tz="Europe/Paris", monthday=31)
    promise = timedelta(hours=promised_hours(frequency))
    last_good = moment = next_time(schedule, NOW)
    for _ in range(30 if frequency == "monthly" else 400):
        moment = next_time(schedule, moment)
        complete = moment + timedelta(hours=1)
        facts = PlanFacts(promise, promised_since=NOW, last_good=last_good)
        assert not judge(facts, Scheduler(last_run=complete), complete).overdue, (
            complete
        )
        last_good = complete


@pytest.mark.parametrize("frequency", ["hourly", "daily", "weekly", "monthly"])
def test_two_missed_runs_are_overdue(frequency):
    schedule = Schedule(frequency, 150, tz="Europe/Paris")
    last_good = next_time(schedule, NOW)
    second = next_time(schedule, next_time(schedule, last_good)) + timedelta(
        hours=1, minutes=1
    )
    facts = PlanFacts(timedelta(hours=promised_hours(frequency)), NOW, last_good)
    assert judge(facts, Scheduler(last_run=second), second).overdue


def test_the_border_is_exact():
    facts = PlanFacts(DAY, last_good=hours_ago(30))
    assert judge(facts, ALIVE, NOW) == judge(facts, ALIVE, NOW - timedelta(hours=9))
    assert judge(facts, ALIVE, NOW).deadline == NOW
    assert judge(facts, ALIVE, NOW + timedelta(seconds=1)).overdue


def test_no_promise_is_not_broken():
    manual = PlanFacts(
        timedelta(hours=promised_hours("manual")), promised_since=hours_ago(9999)
    )
    assert judge(manual, ALIVE, NOW).deadline is None
    assert judge(PlanFacts(DAY), ALIVE, NOW).deadline is None


def test_a_new_plan_has_its_time():
    assert not judge(PlanFacts(DAY, promised_since=hours_ago(29)), ALIVE, NOW).overdue
    assert judge(PlanFacts(DAY, promised_since=hours_ago(31)), ALIVE, NOW).overdue


def test_a_plan_that_was_switched_on_again_has_its_time():
    facts = PlanFacts(DAY, promised_since=hours_ago(2), last_good=hours_ago(900))
    assert not judge(facts, ALIVE, NOW).overdue


@pytest.mark.parametrize(
    "scheduler, reason, detail",
    [
        (Scheduler(active=False, last_run=hours_ago(50)), "switched_off", ""),
        (Scheduler(last_run=hours_ago(50), blocking_module="sale"), "blocked", "sale"),
        (Scheduler(last_run=hours_ago(50)), "silent", ""),
        (Scheduler(last_run=None), "silent", ""),
        (Scheduler(last_run=hours_ago(0), failing_since=hours_ago(50)), "failing", ""),
        (Scheduler(last_run=hours_ago(0), pause="by root"), "paused", "by root"),
    ],
)
def test_a_scheduled_action_that_does_not_work_is_the_reason(scheduler, reason, detail):
    verdict = judge(late(last_state="failure", open_state="pending"), scheduler, NOW)
    assert (verdict.overdue, verdict.reason, verdict.detail) == (True, reason, detail)


@pytest.mark.parametrize(
    "facts, reason",
    [
        ({}, "not_started"),
        ({"last_state": "failure", "last_error": "Full"}, "failure"),
        ({"last_state": "partial"}, "partial"),
        ({"last_state": "cancelled"}, "cancelled"),
        ({"open_state": "running", "last_state": "failure"}, "running"),
        ({"open_state": "pending"}, "waiting"),
        ({"paused_until": NOW + DAY, "last_state": "failure"}, "plan_paused"),
        ({"paused_until": NOW + DAY, "open_state": "running"}, "running"),
        ({"paused_until": NOW, "last_state": "partial"}, "partial"),
    ],
)
def test_otherwise_the_runs_are_the_reason(facts, reason):
    verdict = judge(late(**facts), ALIVE, NOW)
    assert (verdict.reason, verdict.detail) == (reason, facts.get("last_error", ""))


def test_nothing_is_said_about_a_scheduler_while_the_promise_is_kept():
    facts = PlanFacts(DAY, last_good=hours_ago(1))
    assert judge(facts, Scheduler(active=False), NOW).reason == ""
