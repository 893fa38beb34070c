"""A staging copy: the newest good backup, as a harmless database beside this one."""

from odoo import models
from odoo.exceptions import UserError


class BackupPlan(models.Model):
    _inherit = "backup.plan"

    def action_staging(self):
        """Ask whether the newest good backup is to become a staging copy."""
        self.ensure_one()
        self.env["backup.job"]._check_manager()
        copy = self.sudo()._newest_whole_copy()
        if not copy:
            raise UserError(
                self.env._(
                    "There is no verified backup of the database yet. Run a backup "
                    "first."
                )
            )
        return copy.with_env(self.env).action_staging()

    def _newest_whole_copy(self):
        """Return the newest verified copy with a database that lacks nothing; of
        those of one run the one on this server."""
        verified = self.env["backup.copy"].search(
            [
                ("plan_id", "=", self.id),
                ("state", "=", "verified"),
                ("complete", "=", True),
                ("contents", "like", "database"),
            ]
        )
        same = verified.filtered(lambda copy: copy.key == verified[0].key)
        return same.sorted(lambda copy: not copy.storage_id._is_near())[:1]
