"""What a restore was asked for, and where it has led."""

from odoo import api, fields, models

from ... import odoo_config
from ..addresses import address_of, is_served


class BackupRestoredMixin(models.AbstractModel):
    """What only a restore has of a run: nothing else reads it."""

    _name = "backup.restored.mixin"
    _inherit = ["backup.secret.mixin"]
    _description = "Restore Run"

    restore_database = fields.Char("New Database")
    restore_neutralize = fields.Boolean("Neutralize")
    restore_new_identity = fields.Boolean("Register as a Separate Database")
    restore_addons = fields.Boolean("Unpack Custom Addons")
    restore_accepted = fields.Json(
        help="What the preflight found and somebody accepted."
    )
    restore_plain = fields.Boolean(
        "Load in One Session", help="The dump is loaded in its own order, as by psql."
    )
    restore_key = fields.Text(
        "Key of the Archive", compute="_compute_secrets", inverse="_inverse_restore_key"
    )
    staging_id = fields.Many2one(
        "backup.staging", "Staging Copy", readonly=True, index="btree_not_null"
    )
    restored_url = fields.Char("Address", compute="_compute_restored")
    restored_is_served = fields.Boolean(compute="_compute_restored")
    restored_addons_line = fields.Char("odoo.conf", compute="_compute_restored")

    @api.depends("state", "step_ids.state", "restore_database", "restore_addons")
    def _compute_restored(self):
        for job in self:
            is_restore = bool(job.restore_database)
            done = is_restore and job._step("finish")._is_good()
            job.restored_url = done and address_of(job, job.restore_database)
            job.restored_is_served = done and is_served(job, job.restore_database)
            job.restored_addons_line = done and job._addons_of_restored()

    def _addons_of_restored(self):
        """Return the line of odoo.conf for the addons of the backup, if they were
        unpacked and are still there."""
        path = self.restore_addons and self._run_context().restores.addons_path()
        return bool(path and path.exists()) and odoo_config.addons_line(path)

    def _restore_defaults(self):
        """Return the context in which the form of a restore begins with what this
        one was asked for."""
        said = {
            "database": self.restore_database,
            "neutralize": self.restore_neutralize,
            "new_identity": self.restore_new_identity,
            "unpack_addons": self.restore_addons,
            "plain_load": self.restore_plain,
            "staging_id": self.staging_id.id,
            "keep_days": self.staging_id.keep_days,
            "purpose": "copy" if self.restore_new_identity else "successor",
        }
        return {f"default_{name}": value for name, value in said.items()}

    def _inverse_restore_key(self):
        self._encrypt_secret("restore_key")
