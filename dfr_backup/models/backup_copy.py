import logging

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError

from ..engine.errors import EngineError
from ..engine.manifest import sidecar_key

_logger = logging.getLogger(__name__)


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

    def action_delete(self):
        """Delete the stored archives: first the manifest, without which it is no backup."""
        if not self.env.user.has_group("dfr_backup.group_manager"):
            raise AccessError(self.env._("Only a backup manager may do that."))
        if self.filtered("protected"):
            raise UserError(self.env._("A protected backup cannot be deleted."))
        for copy in self.sudo():
            try:
                storage = copy.storage_id._get_storage()
                storage.delete(sidecar_key(copy.key))
                storage.delete(copy.key)
            except EngineError as error:
                # the engine's text: pylint: disable-next=translation-required
                raise UserError(f"{error.message}\n{error.hint}") from error
            copy.state = "deleted"
            _logger.info("User %s deleted %s in %s", self.env.uid, copy.key, copy.storage_id.name)
        return True

    @api.depends("key", "storage_id")
    def _compute_location(self):
        for copy in self:
            try:
                copy.location = copy.storage_id.sudo()._get_storage().location(copy.key)
            except EngineError as error:
                copy.location = error.message
