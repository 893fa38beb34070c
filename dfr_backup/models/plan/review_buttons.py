"""What the buttons beside “Please review” do."""

from odoo import models

from ..actions import form_action


class BackupPlan(models.Model):
    _inherit = "backup.plan"

    def action_resume(self):
        """Let the schedule start runs again."""
        self.env["backup.job"]._check_manager()
        self.paused_until = False
        return True

    def action_end_snooze(self):
        """Notify people again."""
        self.env["backup.job"]._check_manager()
        self.snoozed_until = False
        return True

    def action_view_own_storages(self):
        """Open the storages that this plan stores in: the form, where it is one."""
        self.ensure_one()
        self.check_access("read")
        if len(self.storage_ids) == 1:
            return form_action(self.storage_ids)
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_storage_action"
        )
        return {**action, "domain": [("id", "in", self.storage_ids.ids)]}
