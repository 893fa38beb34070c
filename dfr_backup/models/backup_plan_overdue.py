"""Whether a plan keeps its promise: a good backup in the time that it says, whatever
happens."""

from datetime import timedelta, timezone

from odoo import api, fields, models
from odoo.tools import format_datetime

from ..engine.policy.overdue import PlanFacts, Scheduler, judge, promised_hours
from .backup_step import OPEN_STATES
from .engine_messages import stored_text, translate

NO_FACTS = PlanFacts(timedelta())
CLOCK_TOLERANCE = timedelta(minutes=5)


class BackupPlan(models.Model):
    _inherit = "backup.plan"

    promise_hours = fields.Integer(
        "Good Backup Within",
        compute="_compute_promise_hours",
        store=True,
        readonly=False,
        help="So many hours after its last good backup the plan is overdue when there "
        "is no new "
        "one, for whatever reason: also when Odoo has not run. 0: it promises nothing.",
    )
    promised_since = fields.Datetime(
        compute="_compute_promised_since", store=True, copy=False
    )
    promise_deadline = fields.Datetime("Due", compute="_compute_overdue")
    is_overdue = fields.Boolean(
        "Overdue", compute="_compute_overdue", search="_search_is_overdue"
    )
    overdue_reason = fields.Char(compute="_compute_overdue")
    overdue_remedy = fields.Char(compute="_compute_overdue")
    overdue_told_at = fields.Datetime(
        copy=False, readonly=True, help="Since then everybody knows: it is told once."
    )

    _promise_not_negative = models.Constraint(
        "CHECK (promise_hours >= 0)", "A promise cannot lie in the past."
    )

    @api.depends("frequency")
    def _compute_promise_hours(self):
        for plan in self:
            plan.promise_hours = promised_hours(plan.frequency)

    @api.depends("promise_hours", "active")
    def _compute_promised_since(self):
        for plan in self:
            begins = plan.promised_since or fields.Datetime.now()
            plan.promised_since = (
                begins if plan.active and plan.promise_hours > 0 else False
            )

    @api.depends("promise_hours", "promised_since", "active", "job_ids.state")
    @api.depends_context("lang", "tz")
    def _compute_overdue(self):
        verdicts = self._verdicts()
        for plan in self:
            verdict = verdicts[plan]
            plan.promise_deadline = _naive(verdict.deadline)
            plan.is_overdue = verdict.overdue
            plan.overdue_reason = plan._overdue_words(verdict)
            plan.overdue_remedy = plan._overdue_remedies().get(verdict.reason, False)

    def _search_is_overdue(self, operator, value):
        if operator != "in":
            return NotImplemented
        overdue = self.sudo().search([]).filtered("is_overdue")
        return [("id", "in" if True in value else "not in", overdue.ids)]

    # === FACTS === #

    def _verdicts(self):
        """Return the engine's verdict for each of these plans, with a few queries
        for all."""
        now = _aware(fields.Datetime.now())
        facts = self._promise_facts()
        scheduler = self._scheduler()
        return {
            plan: judge(facts.get(plan._origin.id, NO_FACTS), scheduler, now)
            for plan in self
        }

    def _promise_facts(self):
        """Return the facts about these plans, by their id."""
        plans = self._origin.sudo()
        runs = {plan: {} for plan in plans}
        # what has ended in the future did so under a wrong clock, and would hide all
        # that fails
        latest = fields.Datetime.now() + CLOCK_TOLERANCE
        grouped = (
            self.env["backup.job"]
            .sudo()
            ._read_group(
                [
                    ("plan_id", "in", plans.ids),
                    ("kind", "=", "backup"),
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
        jobs = {job.id: job for job in self.env["backup.job"].sudo().browse(numbers)}
        goods = self.env["backup.copy"]._last_good_by_plan(plans, latest)
        return {
            plan.id: plan._facts_from(runs[plan], jobs, goods.get(plan.id))
            for plan in plans
        }

    def _facts_from(self, runs, jobs, good):
        """Return the facts about this plan, whose last backup that still exists was
        complete at ``good``.

        ``runs`` tells the last end and the highest id of its runs, by their state, and
        ``jobs`` has the records of these ids.
        """
        ended = {s: run for s, run in runs.items() if s not in OPEN_STATES and run[0]}
        newest = max(ended, key=ended.get, default="")
        last = newest if newest != "success" else ""
        return PlanFacts(
            promise=timedelta(hours=self.promise_hours if self.active else 0),
            promised_since=_aware(self.promised_since),
            last_good=_aware(good),
            gone="success" in ended and not good,
            last_state=last,
            last_error=stored_text(jobs[ended[last][1]], "error") if last else "",
            open_state=next(
                (state for state in ("running", "pending") if state in runs), ""
            ),
        )

    @api.model
    def _scheduler(self):
        """Return how the scheduled action is that starts the runs."""
        cron = self.env["backup.scheduler"]._cron()
        if not cron:
            return Scheduler(active=False)
        waiting = [("state", "in", ("to install", "to upgrade", "to remove"))]
        module = self.env["ir.module.module"].sudo().search(waiting, limit=1)
        return Scheduler(
            active=cron.active,
            last_run=_aware(cron.lastcall),
            failing_since=_aware(cron.first_failure_date),
            blocking_module=module.name or "",
        )

    # === WORDS === #

    def _overdue_words(self, verdict):
        """Return why the plan is overdue, False when it is not."""
        if not verdict.overdue:
            return False
        moment = self._in_words(_naive(verdict.moment))
        detail = translate(self.env, verdict.detail)
        words = {
            "switched_off": self.env._(
                "Odoo's scheduled action for backups is switched off."
            ),
            "blocked": self.env._(
                "The module “%s” waits to be installed, upgraded or removed: until "
                "then Odoo runs no scheduled action.",
                detail,
            ),
            "silent": self.env._(
                "Odoo's scheduled action has not run since %s.", moment
            ),
            "failing": self.env._(
                "Odoo's scheduled action has been failing since %s.", moment
            ),
            "running": self.env._("A run is going on and has not ended."),
            "waiting": self.env._("A run is waiting and has not begun."),
            "failure": self.env._("The last run failed: %s", detail),
            "partial": self.env._("The last run was only partly good: %s", detail),
            "cancelled": self.env._("The last run was cancelled."),
            "gone": self._gone_words(),
            "not_started": self.env._("No run was started."),
        }
        if verdict.reason == "silent" and not verdict.moment:
            return self.env._("Odoo's scheduled action for backups has never run.")
        return words[verdict.reason]

    def _gone_words(self):
        return self.env._(
            "No verified backup of this plan is left in its storages, or none was seen "
            "there for a week."
        )

    def _overdue_remedies(self):
        """Return what to do about the reasons that lie outside of a run."""
        return {
            "switched_off": self.env._(
                "Somebody has switched it off, or Odoo itself after a week of "
                "failures. Switch it on with the button on the overview."
            ),
            "blocked": self.env._(
                "Finish that under Apps, or cancel it there; then restart the server."
            ),
            "silent": self.env._(
                "The server was down, or its scheduled actions are stuck or not "
                "enabled (max_cron_threads). The server's log says which."
            ),
            "failing": self.env._("The server's log has the reason."),
            "gone": self.env._(
                "Check the storages of the plan, scan them, and run a backup."
            ),
            "waiting": self.env._("Look at the runs: another one may be in its way."),
            "not_started": self.env._(
                "Press “Run Backup Now”, and look at the plan's times."
            ),
        }

    def _in_words(self, moment):
        """Return a moment (naive, in UTC) as text, in the reader's time zone and
        language."""
        if not moment:
            return self.env._("never")
        tz = self.env.context.get("tz") or self.tz
        return format_datetime(self.env, moment, tz=tz, dt_format="medium")


def _aware(moment):
    return moment.replace(tzinfo=timezone.utc) if moment else None


def _naive(moment):
    return moment.replace(tzinfo=None) if moment else False
