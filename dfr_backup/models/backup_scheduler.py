"""The scheduled action that plans and supervises: when it sleeps, how it is, and what
heals it from outside.

A clock that was ahead leaves it waiting for years, and then it cannot heal itself. So
whoever looks at the backups (overview, health, metrics, commands, the end of a run)
judges it, and sets right what only a wrong clock can have done. An administrator who
has switched it off is told, and not overruled.
"""

import logging
from datetime import timedelta

from dateutil.relativedelta import relativedelta

from odoo import api, fields, models

from .. import odoo_config
from ..engine.policy.schedule import SHORTEST_GAP
from ..engine.policy.scheduler import (
    Action,
    is_too_far,
    judge_action,
    next_wake,
    retry_pause,
)
from . import server_alerts
from .job import right_server
from .job.supervision import worker_problem
from .locks import try_lock
from .moments import from_odoo_datetime
from .neutralized import is_resting
from .pause import current_pause
from .plan import due
from .server_profile import follow
from .staging import due as due_copies
from .storage import looking

_logger = logging.getLogger(__name__)

CRON = "dfr_backup.ir_cron_supervise"
FAR_TRIGGER = timedelta(days=70)  # no plan waits for longer
BEAT = timedelta(minutes=1)  # while a run is open
AGAIN = timedelta(minutes=10)  # for what was due and could not be done


class BackupScheduler(models.AbstractModel):
    _name = "backup.scheduler"
    _description = "Scheduled Action of the Backups"

    @api.model
    def _cron(self):
        """Return the scheduled action; empty when somebody has deleted it."""
        found = self.env.ref(CRON, raise_if_not_found=False)
        return (found or self.env["ir.cron"]).sudo()

    @api.model
    def _do_what_is_due(self):
        """Create the runs that are due, look after those that run, start the next one,
        and tell whom it concerns."""
        plans, jobs = self.env["backup.plan"], self.env["backup.job"]
        follow(self.env)
        if not current_pause(self.env):  # what is due waits until then
            due.create_due_runs(plans)
            due.create_due_verifications(plans)
            due.create_due_drills(plans)
            looking.create_due(self.env)
        jobs._supervise()
        jobs._announce_forgotten()
        due.watch_promises(plans)
        due.send_digests(plans)
        server_alerts.send_due(self.env)
        due_copies.do_due(self.env)

    @api.autovacuum
    def _gc_watch_promises(self):
        """Odoo's nightly maintenance notices when our own scheduled action is
        switched off, and heals it when it waits for years."""
        self._heal()
        due.watch_promises(self.env["backup.plan"])

    # === HOW IT IS === #

    @api.model
    def _look(self):
        """Return what is wrong with the action, an EngineError or None, and set right
        what a wrong clock has left. What was set right is told this once."""
        problem = self._problem()
        self._heal()
        return problem

    @api.model
    def _problem(self):
        """Return what is wrong with the action: an EngineError, or None."""
        if not odoo_config.is_enabled() or is_resting(self.env):
            return None
        now = from_odoo_datetime(fields.Datetime.now())
        problem = judge_action(self._action(), self._shortest_gap(), now)
        problem = problem or worker_problem(self.env)
        return problem or right_server.other_server(self.env)

    @api.model
    def _action(self):
        """Return the action as the engine sees it, None when it was deleted."""
        cron = self._cron()
        if not cron:
            return None
        now = fields.Datetime.now()
        later = now + relativedelta(**{cron.interval_type: cron.interval_number})
        return Action(
            active=cron.active,
            next_call=from_odoo_datetime(cron.nextcall),
            interval=later - now,
            failures=cron.failure_count,
            failing_since=from_odoo_datetime(cron.first_failure_date),
        )

    @api.model
    def _shortest_gap(self):
        plans = self.env["backup.plan"].sudo().search([("next_run", "!=", False)])
        return min((SHORTEST_GAP[plan.frequency] for plan in plans), default=None)

    # === WHAT HEALS IT === #

    @api.model
    def _heal(self):
        """Set right what a clock that was ahead has left: plans, triggers, and the
        next call. In the action itself the last is done by whoever looks next."""
        if not odoo_config.is_enabled():
            return
        now = fields.Datetime.now()
        due.forget_wrong_clocks(self.env["backup.plan"].sudo(), now)
        cron = self._cron()
        far = [("cron_id", "=", cron.id), ("call_at", ">", now + FAR_TRIGGER)]
        self.env["ir.cron.trigger"].sudo().search(far).unlink()
        action = self._action()
        if (
            not action
            or not action.active
            or not is_too_far(action, from_odoo_datetime(now))
        ):
            return
        if try_lock(cron, allow_referencing=True):
            _logger.warning("The scheduled action was to run at %s", cron.nextcall)
            cron.nextcall = now

    @api.model
    def _switch_on(self):
        """Switch the action on, and let it run now."""
        cron = self._cron()
        if cron and not cron.active:
            cron.write({"active": True, "nextcall": fields.Datetime.now()})
            _logger.info("%s has switched the action on", self.env.user.login)

    # === WHEN IT SLEEPS === #

    @api.model
    def _wake_at(self, moment):
        """Let the action run by then; what wakes it before is enough."""
        cron = self._cron()
        mine = [("cron_id", "=", cron.id), ("call_at", "<=", moment)]
        before = [*mine, ("call_at", ">", fields.Datetime.now())]
        if cron and not self.env["ir.cron.trigger"].sudo().search(before, limit=1):
            cron._trigger(moment)

    @api.model
    def _sleep(self):
        """Let the action run again when the next thing is due. The hourly call is its
        net; while that is lost to a wrong clock, a trigger stands for it."""
        cron, now = self._cron(), fields.Datetime.now()
        wake = next_wake(min(self._due_moments(now), default=None), now, BEAT)
        call = cron.nextcall
        if call <= now:  # Odoo adds the interval when this call has ended
            call = now + self._action().interval
        if call > wake:
            self._wake_at(wake)

    @api.model
    def _due_moments(self, now):
        """Return when the action has something to do that no run of another kind
        brings with it. What is due and could not be done is tried again in a while."""
        moments = [
            *due.due_moments(self.env["backup.plan"]),
            *looking.due_moments(self.env["backup.storage"]),
            *self.env["backup.job"]._due_moments(),
            *server_alerts.due_moments(),
        ]
        return [m if m > now else now + AGAIN for m in moments if m]

    @api.model
    def _retry_soon(self):
        """Let the action run again soon after a call that failed, whose transaction is
        lost: Odoo itself would wait for an hour."""
        with self.env.registry.cursor() as cr:
            cron = self.with_env(self.env(cr=cr))._cron()
            if cron:
                pause = retry_pause(cron.failure_count)
                cron._trigger(fields.Datetime.now() + pause)
