"""What can be done with an archive that was uploaded."""

from odoo import models


class BackupJob(models.Model):
    _inherit = "backup.job"

    def action_restore_imported(self):
        """Ask what the imported archive is to become."""
        self.ensure_one()
        return self.copy_ids[:1].action_restore()
