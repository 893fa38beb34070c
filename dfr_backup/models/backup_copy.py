from odoo import api, fields, models


class BackupCopy(models.Model):
    _name = "backup.copy"
    _description = "Backup Copy"
    _order = "date desc, id desc"
    _rec_name = "key"

    job_id = fields.Many2one("backup.job", string="Run", ondelete="restrict", index=True)
    plan_id = fields.Many2one(related="job_id.plan_id", store=True, index=True)
    storage_id = fields.Many2one(
        "backup.storage", required=True, ondelete="restrict", index=True, readonly=True
    )
    key = fields.Char(string="Name", required=True, readonly=True)
    location = fields.Char(compute="_compute_location", help="Where the archive is.")
    date = fields.Datetime(readonly=True, help="When the data was saved, not when it was stored.")
    size = fields.Float(digits=(20, 0), readonly=True, help="In bytes.")
    sha256 = fields.Char(string="SHA-256", readonly=True)
    contents = fields.Char(readonly=True)
    state = fields.Selection(
        [
            ("stored", "Stored"),
            ("verified", "Verified"),
            ("damaged", "Damaged"),
            ("missing", "Missing"),
            ("deleted", "Deleted"),
        ],
        required=True,
        default="stored",
        readonly=True,
        index=True,
    )
    verified_at = fields.Datetime(readonly=True)
    expires_at = fields.Datetime(readonly=True)
    protected = fields.Boolean(help="Never deleted by retention.")

    _storage_key_uniq = models.UniqueIndex(
        "(storage_id, key) WHERE state != 'deleted'", "A storage holds one archive of a name."
    )

    @api.depends("key", "storage_id")
    def _compute_location(self):
        for copy in self:
            copy.location = copy.storage_id.sudo()._get_storage().location(copy.key)
