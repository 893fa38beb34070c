"""A plan proves on a schedule that its backups restore."""

from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError

from ..runs.state import RunState


class BackupPlan(models.Model):
    _inherit = "backup.plan"

    drill_every = fields.Selection(
        [("0", "Never"), ("7", "Every week"), ("30", "Every month")],
        string="Restore Drill",
        required=True,
        default="0",
        help="The newest copy in each storage is restored into a scratch database, "
        "compared row "
        "by row count and file by file, booted, and dropped. It needs as much space as "
        "the "
        "database, for a while.",
    )
    next_drill = fields.Datetime(
        compute="_compute_next_drill", store=True, readonly=False, copy=False
    )
    last_proven = fields.Datetime("Last Proven Restorable", readonly=True, copy=False)
    last_proven_seconds = fields.Float("Restored in", readonly=True, copy=False)
    age_identity = fields.Text(
        "Private Key for Drills",
        compute="_compute_secrets",
        inverse="_inverse_age_identity",
        help="With it this server can read its own backups, which public keys "
        "otherwise prevent. "
        "Leave it empty, and drill on another machine, when that matters more.",
    )

    @api.depends("drill_every", "active")
    def _compute_next_drill(self):
        for plan in self:
            plan.next_drill = plan._after_drill()

    def _after_drill(self):
        days = int(self.drill_every or 0)
        return (
            fields.Datetime.now() + timedelta(days=days)
            if days and self.active
            else False
        )

    def _inverse_age_identity(self):
        self._seal_secret("age_identity")

    def action_drill(self):
        """Prove now that the newest copies restore, and show the run."""
        self.ensure_one()
        self.env["backup.job"]._check_manager()
        copies = self.sudo()._newest_of_each_storage()
        if not copies:
            raise UserError(self.env._("There is no stored backup of this plan yet."))
        return copies._request_drill("manual", plan_id=self.id)._action_open()

    @api.model
    def _create_due_drills(self):
        """Create one drill for each plan whose time has come."""
        now = fields.Datetime.now()
        jobs = self.env["backup.job"]
        for plan in self.search([("next_drill", "<=", now)]).try_lock_for_update():
            plan.next_drill = plan._after_drill()
            waiting = [("plan_id", "=", plan.id), ("kind", "=", "drill")]
            copies = plan._newest_of_each_storage().filtered("is_trusted")
            state = RunState(not_trusted=plan._untrusted_since(copies))
            if copies and not jobs.search_count(
                [*waiting, ("state", "=", "pending")], limit=1
            ):
                copies._request_drill("schedule", plan_id=plan.id, data=state.to_json())

    def _restorable_copies(self, storage):
        return self._stored(storage).filtered(
            lambda copy: "database" in (copy.contents or "")
        )

    def _newest_of_each_storage(self):
        """Return the newest trusted copy of each storage; where none is trusted, the
        newest."""
        copies = self.env["backup.copy"]
        for storage in self.storage_ids:
            found = self._restorable_copies(storage)
            copies |= (found.filtered("is_trusted") or found)[:1]
        return copies

    def _untrusted_since(self, copies):
        """Return the names of newer copies that nobody vouches for, by the identifier
        of their storage."""
        found = {}
        for storage in self.storage_ids:
            tested = copies.filtered(
                lambda copy, where=storage: copy.storage_id == where
            )
            newer = self._restorable_copies(storage).filtered(
                lambda copy, since=tested.date: not since or copy.date > since
            )
            keys = newer.filtered(lambda copy: not copy.is_trusted).mapped("key")
            if keys:
                found[str(storage.id)] = keys
        return found
