"""Does the scheduled action that plans and supervises do its work? Pure functions: the
clock is an argument, times are all of one kind."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..errors import EngineError
from ..errors.runs import (
    ActionFailing,
    ActionLate,
    ActionMissing,
    ActionOff,
    ActionSlow,
    ActionTooFar,
)

NET = timedelta(hours=1)  # so often the action looks, whatever happens
SLACK = timedelta(minutes=5)
LATE = timedelta(hours=1)
FAILURES = 2  # in a row: a single one is tried again within a minute


@dataclass(frozen=True)
class Action:
    """Odoo's scheduled action. ``interval`` is its own. ``failures`` is how often it
    has failed in a row, the first time at ``failing_since``."""

    active: bool
    next_call: datetime
    interval: timedelta
    failures: int = 0
    failing_since: datetime | None = None


def judge_action(
    action: Action | None, gap: timedelta | None, now: datetime
) -> EngineError | None:
    """Return what is wrong with the action, None when nothing is. An ``action`` that
    is None was deleted.

    ``gap`` is the shortest time between two runs of a plan, None without plans.
    """
    if action is None:
        return ActionMissing()
    if not action.active:
        return ActionOff()
    if is_too_far(action, now):
        return ActionTooFar(next_call=_said(action.next_call))
    if gap is not None and action.next_call > now + max(gap, NET) + SLACK:
        return ActionSlow(next_call=_said(action.next_call))
    if action.next_call < now - LATE:
        return ActionLate(next_call=_said(action.next_call))
    if action.failures >= FAILURES:
        since = _said(action.failing_since or now)
        return ActionFailing(count=action.failures, since=since)
    return None


def is_too_far(action: Action, now: datetime) -> bool:
    """Tell whether the next call lies where only a wrong clock can have put it."""
    return action.next_call > now + max(action.interval, NET) + SLACK


def next_wake(due: datetime | None, now: datetime, soonest: timedelta) -> datetime:
    """Return when the action has to look again: when something is ``due``, in
    ``soonest`` at the earliest and in an hour at the latest."""
    latest = now + NET
    return max(min(due or latest, latest), now + soonest)


def retry_pause(failures: int) -> timedelta:
    """Return how long after a call that failed the next one comes, given how many have
    failed before it."""
    return min(timedelta(minutes=2 ** min(failures, 10)), NET)


def _said(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
