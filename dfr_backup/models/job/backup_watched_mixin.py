"""What people see of a run while it goes on, and where they go when it has failed."""

from odoo import api, fields, models

from ...engine.errors import Mismatch, error_class
from ..actions import form_action
from ..rights import MANAGER
from ..states import BAD_STATES
from . import in_words
from .estimate import estimate_seconds_left


class BackupWatchedMixin(models.AbstractModel):
    _name = "backup.watched.mixin"
    _description = "Watched Run"

    seconds_left = fields.Float(
        compute="_compute_seconds_left", help="In seconds; 0: not known."
    )
    # like the logs that it is from, it may quote what is in the database
    notice = fields.Text(
        compute="_compute_notice",
        groups=MANAGER,
        help="What a run has warned of so far, and what it tries again.",
    )
    failed_storage_id = fields.Many2one(
        "backup.storage",
        compute="_compute_failed_storage_id",
        help="The storage that did not do what the run asked of it.",
    )

    @api.depends("state", "step_ids.state", "step_ids.bytes_done", "step_ids.speed")
    def _compute_seconds_left(self):
        for job in self:
            running = job.state == "running"
            job.seconds_left = estimate_seconds_left(job) if running else 0

    @api.depends("state", "step_ids.state", "step_ids.speed", "step_ids.log_values")
    @api.depends_context("lang")
    def _compute_notice(self):
        for job in self:
            job.notice = job.state == "running" and in_words.notice(job)

    @api.depends("state", "step_ids.state", "step_ids.error_code")
    def _compute_failed_storage_id(self):
        for job in self:
            ended_badly = job.state in BAD_STATES
            failed = job.step_ids.filtered(lambda step: step.state == "failure")[:1]
            # a copy that is not what was stored says nothing of the storage's settings
            is_copy = issubclass(
                error_class(failed.error_code or "") or object, Mismatch
            )
            known = ended_badly and not is_copy
            job.failed_storage_id = failed.storage_id if known else False

    def action_open_storage(self):
        """Open the storage because of which this run did not end well."""
        self.ensure_one()
        return form_action(self.failed_storage_id)
