from odoo import fields, models


class BackupJob(models.Model):
    _inherit = "backup.job"

    kind = fields.Selection(
        selection_add=[("count", "Count")], ondelete={"count": "cascade"}
    )


class BackupStep(models.Model):
    _inherit = "backup.step"

    kind = fields.Selection(
        selection_add=[("count", "Count objects")], ondelete={"count": "cascade"}
    )
