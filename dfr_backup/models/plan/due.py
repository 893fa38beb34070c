"""What the scheduled action does for plans when their time has come, and what it sets
right after a clock was wrong."""

import logging
from datetime import timedelta

from odoo import fields

from ...compat import lock_free
from ...engine.errors import EngineError
from ...runs.drill import DrillRun
from ...runs.state import RunState
from ...runs.verify import VerifyRun
from ..server_alerts import tell_operator
from . import chats, mails, monitors
from .copies import backup_runs, newest_copies, newest_of_each_storage, untrusted_since
from .pausing import next_after

_logger = logging.getLogger(__name__)

CLOCK_TOLERANCE = timedelta(hours=3)
NEXT_FIELDS = ("next_run", "next_verification", "next_drill", "next_digest")


def days_from_now(plan, days):
    """Return when so many days (a number as text) are over; False for none, and for a
    plan that is archived."""
    if not plan.active or not int(days or 0):
        return False
    return fields.Datetime.now() + timedelta(days=int(days))


def create_due_runs(plans):
    """Create one run for each plan whose time has come, however often it was
    missed."""
    now = fields.Datetime.now()
    for plan in lock_free(plans.search([("next_run", "<=", now)])):
        moment = plan.next_run
        if moment > now:
            continue
        plan.next_run = next_after(plan, now)
        _create_due_run(plan, moment)


def _create_due_run(plan, moment):
    jobs = plan.env["backup.job"]
    if jobs.search_count([*backup_runs(plan), ("state", "=", "pending")], limit=1):
        _logger.info("Plan %s: a run is already waiting", plan.name)
        return
    # the clock may have been at this moment before, and was set back by more than a
    # run
    served = jobs.search_count(
        [*backup_runs(plan), ("scheduled_at", "=", moment)], limit=1
    )
    jobs._create_for(plan, "schedule", scheduled_at=not served and moment)


def create_due_verifications(plans):
    """Create one verification for each plan whose time has come."""
    now = fields.Datetime.now()
    for plan in lock_free(plans.search([("next_verification", "<=", now)])):
        plan.next_verification = days_from_now(plan, plan.verify_every)
        waiting = [("plan_id", "=", plan.id), ("kind", "=", VerifyRun.kind)]
        copies = newest_copies(plan)
        jobs = plans.env["backup.job"]
        if copies and not jobs.search_count(
            [*waiting, ("state", "=", "pending")], limit=1
        ):
            copies._request_verification("schedule", plan_id=plan.id)


def create_due_drills(plans):
    """Create one drill for each plan whose time has come."""
    now = fields.Datetime.now()
    jobs = plans.env["backup.job"]
    for plan in lock_free(plans.search([("next_drill", "<=", now)])):
        plan.next_drill = days_from_now(plan, plan.drill_every)
        waiting = [("plan_id", "=", plan.id), ("kind", "=", DrillRun.kind)]
        copies = newest_of_each_storage(plan).filtered("is_trusted")
        state = RunState(not_trusted=untrusted_since(plan, copies))
        if copies and not jobs.search_count(
            [*waiting, ("state", "=", "pending")], limit=1
        ):
            copies._request_drill("schedule", plan_id=plan.id, data=state.to_json())


def send_digests(plans):
    """Send each weekly digest whose time has come."""
    now = fields.Datetime.now()
    for plan in lock_free(plans.search([("next_digest", "<=", now)])):
        plan.next_digest = plan._after_digest()
        if plan._may_speak():
            with plan._harmless():
                mails.queue(plan.env, mails.make_mails(plan, mails.compose_digest))


def watch_promises(plans):
    """Tell once about each plan that has become overdue; forget it when it no
    longer is."""
    told = ["|", ("overdue_told_at", "!=", False), ("overdue_reported_at", "!=", False)]
    told_or_active = ["|", ("active", "=", True), *told]
    found = plans.sudo().with_context(active_test=False).search(told_or_active)
    changed = found.filtered(_has_news)
    for plan in changed.filtered(lambda plan: plan._may_speak()):
        with plan._harmless():
            if lock_free(plan):
                _tell_overdue(plan) if plan.is_overdue else _forget_overdue(plan)


def _has_news(plan):
    """Tell whether a plan has become overdue, which is reported at once and told to
    people after a snooze, or is no longer."""
    reported, told = plan.overdue_reported_at, plan.overdue_told_at
    if not plan.is_overdue:
        return bool(reported or told)
    return not reported or not (told or plan._is_snoozed())


def _tell_overdue(plan):
    """Write down that this plan is overdue, and tell everybody who is not told yet."""
    if not plan.overdue_reported_at:
        plan.overdue_reported_at = fields.Datetime.now()
        _logger.warning("Plan %s is overdue: %s", plan.name, plan.overdue_reason)
        tell_operator(plan, mails.compose_overdue)
        monitors.ping_overdue(plan)
    if not (plan.overdue_told_at or plan._is_snoozed()):
        plan.overdue_told_at = fields.Datetime.now()
        _tell_people(plan)


def _tell_people(plan):
    plan._ask_attention(
        "backup", lambda plan: plan.env._("Backup overdue: %s", plan.name)
    )
    if plan.alert_failure:
        mails.queue(plan.env, mails.make_mails(plan, mails.compose_overdue))
        with plan._harmless():
            _say_overdue(plan)


def _say_overdue(plan):
    try:
        messages = chats.chat_messages(plan, mails.compose_overdue)
    except EngineError as error:
        _logger.warning("Plan %s: %s", plan.name, error.message)
    else:
        chats.say_after_commit(plan, messages)


def _forget_overdue(plan):
    plan.write({"overdue_told_at": False, "overdue_reported_at": False})
    if "backup" not in (plan.alarm_kinds or []):
        plan._close_attention("backup", plan.env._("No longer overdue."))


def forget_wrong_clocks(plans, now):
    """Bring back plans that wait for a moment which a clock has set that was
    ahead."""
    for plan in plans.search([]):
        wrong = _wrong_moments(plan, now)
        if wrong and lock_free(plan):
            for name in wrong:
                _logger.warning("%s of plan %s was %s", name, plan.name, plan[name])
            plan.write(wrong)


def _wrong_moments(plan, now):
    """Return the right moments of this plan for those that only a wrong clock can
    have set, by their field."""
    following = next_after(plan, now)
    known = {
        "next_run": (
            following and _latest_next_run(plan, now, following),
            following,
        ),
        "next_verification": (days_from_now(plan, plan.verify_every),) * 2,
        "next_drill": (days_from_now(plan, plan.drill_every),) * 2,
        "next_digest": (plan._after_digest(),) * 2,
        "promised_since": (now + CLOCK_TOLERANCE, now),
    }
    return {
        name: right
        for name, (last, right) in known.items()
        if right and plan[name] and plan[name] > max(last, right)
    }


def _latest_next_run(plan, now, following):
    """Return the latest moment that a right clock can have set: a clock that is
    put back by less than three hours, or half of what lies between two runs,
    repeats none."""
    gap = next_after(plan, following) - following
    return now + gap + min(gap / 2, CLOCK_TOLERANCE)


def due_moments(plans):
    names = [f"{name}:min" for name in NEXT_FIELDS]
    ((*moments,),) = plans._read_group([("active", "=", True)], [], names)
    waiting = plans.search([("overdue_reported_at", "=", False)])
    deadlines = filter(None, waiting.mapped("promise_deadline"))
    snoozed = plans.search([("snoozed_until", ">", fields.Datetime.now())])
    ends = [*deadlines, *snoozed.mapped("snoozed_until")]
    return [*moments, *(moment + timedelta(seconds=1) for moment in ends)]
