from odoo import fields, models

from ..actions import form_action
from .setup import begin


class BackupStorageKind(models.Model):
    """A kind of storage as people know it: a provider, a NAS, a share. An addon that
    adds a kind of its own adds a record."""

    _name = "backup.storage.kind"
    _inherit = ["backup.record.mixin"]
    _description = "Kind of Storage"
    _order = "sequence, id"

    code = fields.Char(required=True, readonly=True)
    name = fields.Char(required=True, readonly=True, translate=True)
    hint = fields.Char(readonly=True, translate=True)
    sequence = fields.Integer(readonly=True)
    icon = fields.Char(readonly=True)
    provider = fields.Char(
        required=True, readonly=True, help="What the engine calls such a storage."
    )
    s3_preset = fields.Char(readonly=True)

    def action_choose(self):
        """Show the form of a new storage of this kind; in the guided set-up, where the
        context names one, as a page of it."""
        self.ensure_one()
        self.env["backup.job"]._check_manager()
        if self.env.context.get("backup_setup"):
            return begin(self)
        storages = self.env["backup.storage"]
        return form_action(storages, self.env._("New Storage"), **self._defaults())

    def _defaults(self):
        """Return the context of the form of a new storage."""
        return {
            "storage_kind": self.name,
            "default_name": self.name,
            "default_provider": self.provider,
            "default_s3_preset": self.s3_preset,
        }

    def _begun_storage(self):
        """Return the storage of this kind that somebody began with and that never
        worked."""
        storages = self.env["backup.storage"].search(
            [("provider", "=", self.provider), ("s3_preset", "=", self.s3_preset)]
        )
        plans = self.env["backup.plan"].with_context(active_test=False).search([])
        return (storages - plans.storage_ids).filtered(
            lambda s: not s.copy_count and (s.last_test_error or not s.last_test)
        )[:1]
