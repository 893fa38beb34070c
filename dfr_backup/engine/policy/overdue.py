"""Does a plan keep its promise? Pure functions: the clock is an argument, times are
aware."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..messages import Text

# the longest interval of the schedule (a day has 25 hours once a year), and time for
# the run
PROMISES = {"hourly": 3, "daily": 30, "weekly": 180, "monthly": 768}
SILENCE = timedelta(hours=2)  # the scheduled action runs every hour at least


def promised_hours(frequency: str) -> int:
    """Return within how many hours of its last good backup a plan has a new one; 0:
    never."""
    return PROMISES.get(frequency, 0)


@dataclass(frozen=True)
class Scheduler:
    """How Odoo's scheduled action is. ``blocking_module`` is one that waits to be
    installed, upgraded or removed, during which no scheduled action of the database
    runs; ``pause`` says who has paused the backups, "" when nobody has."""

    active: bool = True
    last_run: datetime | None = None
    failing_since: datetime | None = None
    blocking_module: str = ""
    pause: Text = ""


@dataclass(frozen=True)
class PlanFacts:
    """What is known about a plan. A ``promise`` of zero means that there is none.

    ``promised_since`` is when it began to promise, ``last_good`` when its last good
    backup was complete. ``last_state`` and ``last_error`` tell how its last run ended,
    "" when none did after the last good one; ``open_state`` is the state of a run that
    has not ended, else "". ``gone`` tells that good backups were made, and that none of
    them exists any more. ``paused_until`` is when a pause of this plan ends.
    """

    promise: timedelta
    promised_since: datetime | None = None
    last_good: datetime | None = None
    last_state: str = ""
    last_error: Text = ""
    open_state: str = ""
    gone: bool = False
    paused_until: datetime | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether a plan is overdue. ``deadline`` is when it has to have a new good backup,
    None for never.

    ``reason`` is "" when it is not overdue, else why it has none: "switched_off",
    "blocked", "failing" or "silent" for a scheduled action that does not do its work,
    "paused" for one that starts no run, "running" or "waiting" for a run that comes
    late, "failure", "partial" or "cancelled" for one that did not end well,
    "plan_paused" when the plan itself is paused, "gone" when no good backup is left,
    "not_started". ``moment`` and ``detail`` belong to the reason.
    """

    deadline: datetime | None
    overdue: bool = False
    reason: str = ""
    moment: datetime | None = None
    detail: Text = ""


def judge(plan: PlanFacts, scheduler: Scheduler, now: datetime) -> Verdict:
    """Return whether ``plan`` has broken its promise, and why."""
    starts = [moment for moment in (plan.promised_since, plan.last_good) if moment]
    if not plan.promise or not starts:
        return Verdict(None)
    deadline = max(starts) + plan.promise
    if now <= deadline:
        return Verdict(deadline)
    return Verdict(deadline, True, *(_broken(scheduler, now) or _late(plan, now)))


def _broken(
    scheduler: Scheduler, now: datetime
) -> tuple[str, datetime | None, Text] | None:
    """Return why nothing can be started, None when the scheduled action does its
    work."""
    if not scheduler.active:
        return "switched_off", scheduler.last_run, ""
    if scheduler.blocking_module:
        return "blocked", scheduler.last_run, scheduler.blocking_module
    if scheduler.last_run is None or abs(now - scheduler.last_run) > SILENCE:
        return "silent", scheduler.last_run, ""
    if scheduler.failing_since:
        return "failing", scheduler.failing_since, ""
    if scheduler.pause:
        return "paused", None, scheduler.pause
    return None


def _late(plan: PlanFacts, now: datetime) -> tuple[str, datetime | None, Text]:
    if plan.open_state:
        return "running" if plan.open_state == "running" else "waiting", None, ""
    if plan.paused_until and now < plan.paused_until:
        return "plan_paused", plan.paused_until, ""
    if plan.last_state:
        return plan.last_state, None, plan.last_error
    return "gone" if plan.gone else "not_started", None, ""
