"""The page to print for the day on which the server is gone, and whether somebody
has it."""

from odoo import fields, models

# a page that was printed before one of these changed tells the wrong things
PRINTED = {"encryption", "age_recipients", "age_passphrase", "storage_ids"}


class BackupPlan(models.Model):
    _inherit = "backup.plan"

    kit_downloaded_at = fields.Datetime(
        "Recovery Kit Downloaded",
        readonly=True,
        copy=False,
        help="Empty also when keys or storages have changed since then.",
    )

    def write(self, vals):
        if not PRINTED & vals.keys():
            return super().write(vals)
        before = {plan: plan._printed() for plan in self}
        result = super().write(vals)
        changed = self.filtered(lambda plan: plan._printed() != before[plan])
        changed.filtered("kit_downloaded_at").sudo().kit_downloaded_at = False
        return result

    def _printed(self):
        return (
            self.encryption,
            self.age_recipients,
            self.sudo().sealed_secrets,
            self.storage_ids,
        )

    def _note_kit(self):
        self.sudo().kit_downloaded_at = fields.Datetime.now()
