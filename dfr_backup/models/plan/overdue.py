"""Whether plans keep their promise, and in words why one does not: the facts for the
engine's verdict, with a few queries for all plans."""

from datetime import timedelta

from odoo import fields

from ...engine.policy.overdue import PlanFacts, Scheduler, judge
from ...runs.registry import kinds_with
from ..engine_messages import stored_text, translate
from ..moments import from_odoo_datetime, to_odoo_datetime
from ..pause import pause_problem
from ..states import OPEN_STATES

NO_FACTS = PlanFacts(timedelta())
CLOCK_TOLERANCE = timedelta(minutes=5)


def verdicts(plans):
    """Return the engine's verdict for each of these plans, with a few queries
    for all."""
    now = from_odoo_datetime(fields.Datetime.now())
    facts = promise_facts(plans)
    scheduler = _scheduler(plans.env)
    return {
        plan: judge(facts.get(plan._origin.id, NO_FACTS), scheduler, now)
        for plan in plans
    }


def promise_facts(plans):
    """Return the facts about these plans, by their id."""
    plans = plans._origin.sudo()
    runs = {plan: {} for plan in plans}
    # what has ended in the future did so under a wrong clock, and would hide all
    # that fails
    latest = fields.Datetime.now() + CLOCK_TOLERANCE
    grouped = (
        plans.env["backup.job"]
        .sudo()
        ._read_group(
            [
                ("plan_id", "in", plans.ids),
                ("kind", "in", kinds_with("keeps_promise")),
                "|",
                ("date_end", "=", False),
                ("date_end", "<=", latest),
            ],
            ["plan_id", "state"],
            ["date_end:max", "id:max"],
        )
    )
    for plan, state, ended, number in grouped:
        runs[plan][state] = (ended, number)
    numbers = [number for *_group, number in grouped]
    jobs = {job.id: job for job in plans.env["backup.job"].sudo().browse(numbers)}
    goods = plans.env["backup.copy"]._last_good_by_plan(plans, latest)
    return {
        plan.id: _facts_from(plan, runs[plan], jobs, goods.get(plan.id))
        for plan in plans
    }


def _facts_from(plan, runs, jobs, good):
    """Return the facts about this plan, whose last backup that still exists was
    complete at ``good``.

    ``runs`` tells the last end and the highest id of its runs, by their state, and
    ``jobs`` has the records of these ids.
    """
    ended = {s: run for s, run in runs.items() if s not in OPEN_STATES and run[0]}
    newest = max(ended, key=ended.get, default="")
    last = newest if newest != "success" else ""
    return PlanFacts(
        promise=timedelta(hours=plan.promise_hours if plan.active else 0),
        promised_since=from_odoo_datetime(plan.promised_since),
        last_good=from_odoo_datetime(good),
        gone="success" in ended and not good,
        paused_until=from_odoo_datetime(plan.paused_until),
        last_state=last,
        last_error=stored_text(jobs[ended[last][1]], "error") if last else "",
        open_state=next(
            (state for state in ("running", "pending") if state in runs), ""
        ),
    )


def _scheduler(env):
    """Return how the scheduled action is that starts the runs."""
    cron = env["backup.scheduler"]._cron()
    if not cron:
        return Scheduler(active=False)
    waiting = [("state", "in", ("to install", "to upgrade", "to remove"))]
    module = env["ir.module.module"].sudo().search(waiting, limit=1)
    paused = pause_problem(env)
    return Scheduler(
        active=cron.active,
        last_run=from_odoo_datetime(cron.lastcall),
        failing_since=from_odoo_datetime(cron.first_failure_date),
        blocking_module=module.name or "",
        pause=paused.message if paused else "",
    )


def reason_in_words(plan, verdict):
    """Return why the plan is overdue, False when it is not."""
    if not verdict.overdue:
        return False
    moment = plan._in_words(to_odoo_datetime(verdict.moment))
    detail = translate(plan.env, verdict.detail)
    words = {
        "switched_off": plan.env._(
            "Odoo's scheduled action for backups is switched off."
        ),
        "blocked": plan.env._(
            "The module “%s” is waiting to be installed, upgraded or removed: "
            "until then Odoo runs no scheduled action.",
            detail,
        ),
        "silent": plan.env._("Odoo's scheduled action has not run since %s.", moment),
        "failing": plan.env._(
            "Odoo's scheduled action has been failing since %s.", moment
        ),
        "paused": detail,
        "plan_paused": plan.env._("The plan is paused until %s.", moment),
        "running": plan.env._("A run is still in progress."),
        "waiting": plan.env._("A run is waiting to start."),
        "failure": plan.env._("The last run failed: %s", detail),
        "partial": plan.env._("The last run only partially succeeded: %s", detail),
        "cancelled": plan.env._("The last run was cancelled."),
        "gone": gone_in_words(plan.env),
        "not_started": plan.env._("No run was started."),
    }
    if verdict.reason == "silent" and not verdict.moment:
        return plan.env._("Odoo's scheduled action for backups has never run.")
    return words[verdict.reason]


def gone_in_words(env):
    return env._(
        "No verified backup of this plan is left in its storages, or none was seen "
        "there for a week."
    )


def remedies(env):
    """Return what to do about the reasons that lie outside of a run."""
    return {
        "switched_off": env._(
            "Somebody has switched it off, or Odoo itself after a week of "
            "failures. Switch it on with the button on the overview."
        ),
        "blocked": env._(
            "Finish that under Apps, or cancel it there; then restart the server."
        ),
        "silent": env._(
            "The server was down, or its scheduled actions are stuck or not "
            "enabled (max_cron_threads). The server's log says which."
        ),
        "failing": env._("The server's log has the reason."),
        "paused": env._(
            "The command “odoo backup resume” ends the pause, on the server."
        ),
        "plan_paused": env._("Clear “Paused Until” in the plan to resume it."),
        "gone": env._("Check the storages of the plan, scan them, and run a backup."),
        "waiting": env._("Check the runs: another one may be blocking it."),
        "not_started": env._("Press “Run Backup Now”, and check the plan's schedule."),
    }
