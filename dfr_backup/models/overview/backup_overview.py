"""What the overview shows, in one answer: plans, their last runs, storages, what
runs now."""

from odoo import api, models

from ..neutralized import is_resting
from .advice import DISMISSED, POINTS, advice_for, dismissed, setup_state, verdict
from .cards import (
    has_restorable,
    last_ended,
    open_runs,
    plan_card,
    storage_cards,
    storage_healths,
)
from .forecast import forecasts, full_in
from .neutralized import neutralized_page
from .problems import (
    all_problems,
    loose_problems,
    plan_problems,
    scheduler_problems,
    space_problems,
)


class BackupOverview(models.AbstractModel):
    _name = "backup.overview"
    _description = "Backup Overview"

    @api.model
    def get_overview(self):
        """Return everything that the page shows, for whoever may see the backups.

        Dates are in UTC, sizes in bytes, durations in seconds; texts are in the user's
        language. The number of queries depends on the number of plans, not on that of
        runs.
        """
        self.env["backup.plan"].check_access("read")
        mismatch = self.env["backup.version"]._mismatch()
        if mismatch:
            return self.env["backup.version"]._overview(mismatch)
        manager = self.env.user.has_group("dfr_backup.group_manager")
        env = self.sudo().env
        if is_resting(env):
            return neutralized_page(env, manager)
        plans = self.env["backup.plan"].sudo().search([("active", "=", True)])
        lasts = {plan: last_ended(env, plan) for plan in plans}
        cards = [plan_card(env, plan, last) for plan, last in lasts.items()]
        healths = storage_healths(env)
        coming = forecasts(plans, healths)
        problems = all_problems(env, lasts, healths) + space_problems(env, coming)
        advice = advice_for(env, plans, cards)
        return {
            "manager": manager,
            "setup": setup_state(env),
            "verdict": verdict(env, plans, cards, problems, advice),
            "restorable": has_restorable(env),
            "plans": cards,
            "storages": storage_cards(env, healths, coming),
            "problems": problems,
            "advice": advice,
            "running": open_runs(env),
        }

    @api.model
    def get_status(self):
        """Return what a manager has to know at any moment: the run that goes on, and
        what is wrong. Cheap: the web client asks again and again."""
        self.env["backup.plan"].check_access("read")
        mismatch = self.env["backup.version"]._mismatch()
        if mismatch:
            alarm = self.env["backup.version"]._as_problem(mismatch)
            return {"running": False, "alarms": [alarm]}
        env = self.sudo().env
        if is_resting(env):
            return {"running": next(iter(open_runs(env)), False), "alarms": []}
        plans = self.env["backup.plan"].sudo().search([("active", "=", True)])
        problems = [
            problem
            for plan in plans
            for problem in plan_problems(env, plan, last_ended(env, plan))
        ]
        problems = scheduler_problems(env) + problems + loose_problems(env)
        alarms = [problem for problem in problems if problem["tone"] == "danger"]
        running = open_runs(env)
        return {"running": running[0] if running else False, "alarms": alarms}

    @api.model
    def _full_in(self, storages):
        """Return in how many days nothing fits into each of these any more."""
        return full_in(storages)

    # === BUTTONS === #

    @api.model
    def switch_scheduler_on(self):
        """Switch the scheduled action on again: the button of the overview."""
        self.env["backup.job"]._check_manager()
        self.env["backup.scheduler"]._switch_on()

    @api.model
    def dismiss_run(self, number):
        """Show a run that did not end well no longer on the overview."""
        jobs = self.env["backup.job"]
        jobs._check_manager()
        job = jobs.sudo().browse(number).exists()
        jobs._persist(job, {"dismissed": True})

    @api.model
    def dismiss_advice(self, key):
        """Show one point no more, and do not count it."""
        self._dismiss(dismissed(self.env) | {key})

    @api.model
    def restore_advice(self):
        """Show all of the points again."""
        self._dismiss(set())

    def _dismiss(self, keys):
        self.env["backup.job"]._check_manager()
        value = ",".join(sorted(keys & set(POINTS)))
        self.env["ir.config_parameter"].sudo().set_param(DISMISSED, value)
