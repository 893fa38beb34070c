"""What a run tells whoever looks at it while it runs."""

import logging
import time

import psycopg2

from odoo import SUPERUSER_ID, api, fields, models
from odoo.sql_db import PoolError

from ...engine.policy.eta import StepTime, seconds_left
from ...runs.registry import step_kind

_logger = logging.getLogger(__name__)

MESSAGE = "dfr_backup.job"
TELL_EVERY = 1.0  # seconds between two messages that only say how far a run is
POSTCOMMIT_KEY = "dfr_backup.live"

_last_told = {"news": (), "at": 0.0}  # of this process


class BackupJob(models.Model):
    _inherit = "backup.job"

    seconds_left = fields.Float(
        compute="_compute_seconds_left", help="In seconds; 0: not known."
    )

    _recent_idx = models.Index("(plan_id, id) WHERE kind = 'backup'")

    @api.depends("state", "step_ids.state", "step_ids.bytes_done")
    def _compute_seconds_left(self):
        for job in self:
            job.seconds_left = job._seconds_left() if job.state == "running" else 0

    @api.model_create_multi
    def create(self, vals_list):
        jobs = super().create(vals_list)
        jobs._tell_after_commit()
        return jobs

    def write(self, vals):
        result = super().write(vals)
        if {"state", "cancel_requested"} & vals.keys():
            self._tell_after_commit()
        return result

    def _seconds_left(self):
        """Return how many seconds the rest of this run takes, 0 when that is not
        known."""
        before = self._seconds_before()
        times = [
            StepTime(
                before.get((step.kind, step.storage_id.id)),
                *(
                    (step.duration, step.bytes_done, step.bytes_total)
                    if running
                    else ()
                ),
            )
            for step in self.step_ids
            if (running := step.state == "running") or step.state == "pending"
        ]
        return seconds_left(times) or 0

    def _seconds_before(self):
        """Return what each step took in the last good run of the plan, by kind and
        storage."""
        same = [("plan_id", "=", self.plan_id.id), ("kind", "=", self.kind)]
        last = self.search(
            [*same, ("state", "=", "success"), ("id", "<", self.id)], limit=1
        )
        quick = {(step.kind, step.storage_id.id): 1 for step in self.step_ids._quick()}
        return quick | {(s.kind, s.storage_id.id): s.seconds for s in last.step_ids}

    def _live_values(self):
        """Return how far this run is, in numbers, ids and states: what a message may
        hold."""
        self.ensure_one()
        step = self.step_ids.filtered(lambda step: step.state == "running")[:1]
        return {
            "id": self.id,
            "plan_id": self.plan_id.id,
            "kind": self.kind,
            "state": self.state,
            "cancel_requested": self.cancel_requested,
            "progress": round(self.progress, 1),
            "seconds_left": round(self.seconds_left),
            "step_id": step.id,
            "step_kind": step.kind,
            "bytes_done": step.bytes_done,
            "bytes_total": step.bytes_total,
            "speed": round(step.speed),
        }

    # === TELLING === #

    def _tell_after_commit(self):
        """Send a message about these runs as soon as others can see what has
        changed."""
        waiting = self.env.cr.postcommit.data.setdefault(POSTCOMMIT_KEY, set())
        if not waiting:
            registry = self.env.registry
            self.env.cr.postcommit.add(lambda: _tell(registry, waiting))
        waiting.update(self.ids)

    def _tell(self):
        """Send the state of these runs to whoever may see them; progress alone once
        a second."""
        group = self.env.ref("dfr_backup.group_viewer")
        for job in self:
            values = job._live_values()
            news = (job.id, job.state, values["step_id"])
            if (
                news != _last_told["news"]
                or time.monotonic() - _last_told["at"] >= TELL_EVERY
            ):
                _last_told.update(news=news, at=time.monotonic())
                group._bus_send(MESSAGE, values)


class BackupStep(models.Model):
    _inherit = "backup.step"

    def write(self, vals):
        result = super().write(vals)
        if {"state", "bytes_done"} & vals.keys():
            self.job_id._tell_after_commit()
        return result

    def _quick(self):
        return self.filtered(lambda step: step_kind(step.kind).quick)


def _tell(registry, numbers):
    """Send what was committed, by a cursor of its own: a run never fails because of a
    message.

    Whoever does not get it looks again in a few seconds.
    """
    jobs = sorted(numbers)
    numbers.clear()
    try:
        with registry.cursor() as cr:
            env = api.Environment(cr, SUPERUSER_ID, {})
            env["backup.job"].browse(jobs).exists()._tell()
    except (psycopg2.Error, PoolError) as error:
        _logger.info("No live message about a backup: %s", error)
