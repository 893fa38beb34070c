"""Runs of no plan that did not end well: as loud on the overview as a failed backup."""

from odoo import api, fields, models

BAD_STATES = ("failure", "partial")
SHOWN = 20


class BackupJob(models.Model):
    _inherit = "backup.job"

    dismissed = fields.Boolean(
        readonly=True,
        copy=False,
        help="Somebody has seen on the overview that this run did not end well.",
    )

    _bad_loose_idx = models.Index(
        "(id) WHERE plan_id IS NULL AND state IN ('failure', 'partial')"
    )

    @api.model
    def _bad_without_plan(self):
        """Return the runs of no plan that did not end well and that still matter: no
        later run was about the same, nobody has dismissed them, and what they were
        about was not deleted."""
        bad = self.search(
            [
                ("plan_id", "=", False),
                ("state", "in", BAD_STATES),
                ("dismissed", "=", False),
            ],
            limit=SHOWN,
        )
        return bad.filtered(lambda job: not job._is_past())

    def _is_past(self):
        steps = self.step_ids
        copies = steps.copy_id
        if copies and set(copies.mapped("state")) == {"deleted"}:
            return True
        ended = ("state", "in", ("success", *BAD_STATES))
        later = [("kind", "=", self.kind), ended, ("id", ">", self.id)]
        if copies:
            later.append(("step_ids.copy_id", "in", copies.ids))
        elif steps.storage_id:
            later.append(("step_ids.storage_id", "in", steps.storage_id.ids))
        return bool(self.search_count(later, limit=1))

    def _about(self):
        """Return what this run was about: its copies, else its storages or files."""
        steps = self.step_ids
        return ", ".join(
            steps.copy_id.mapped("key")
            or steps.storage_id.mapped("name")
            or [self.archive_name or self.name]
        )
