from odoo import api, fields, models

from ..models.actions import form_action
from ..models.backup_audit import asks_password

LISTED = 20


class BackupRepairWizard(models.TransientModel):
    _name = "backup.repair.wizard"
    _inherit = ["backup.secret.mixin"]
    _description = "Repair the Filestore"

    issue_ids = fields.Many2many("backup.filestore.issue", required=True, readonly=True)
    file_count = fields.Integer("Files", compute="_compute_plan")
    plan = fields.Text("From", compute="_compute_plan")
    needs_key = fields.Boolean(compute="_compute_plan")
    key = fields.Text(
        "Private Key or Passphrase", compute="_compute_secrets", inverse="_inverse_key"
    )

    @api.depends("issue_ids")
    def _compute_plan(self):
        for wizard in self:
            issues = wizard.issue_ids
            wizard.file_count = len(set(issues.mapped("store_fname")))
            lines = [
                f"{issue.name or issue.store_fname}: {issue.good_copy}"
                for issue in issues
            ]
            more = len(lines) - LISTED
            if more > 0:
                lines = [*lines[:LISTED], self.env._("and %s more", more)]
            wizard.plan = "\n".join(lines)
            copies = issues.good_copy_id.sudo()
            wizard.needs_key = any(copy._needs_key() for copy in copies)

    def _inverse_key(self):
        self._encrypt_secret("key")

    @asks_password
    def action_repair(self):
        """Start the repair, and show its run."""
        self.ensure_one()
        job = self.env["backup.job"]._request_repair(self.issue_ids)
        self.env["backup.audit"]._note("repair", job, new=self.plan)
        job.restore_key = self.sudo()._read_secret("key")
        self.sudo().sealed_secrets = False
        return form_action(job._start())
