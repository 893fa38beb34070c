from pathlib import Path

from odoo import api, fields, models
from odoo.exceptions import UserError

from .. import odoo_config

LONGEST = 40  # characters of the original's name: PostgreSQL takes 63 in all


class BackupStagingWizard(models.TransientModel):
    """A restore with everything chosen as a staging copy wants it."""

    _name = "backup.staging.wizard"
    _inherit = ["backup.restore.wizard"]
    _description = "Make a Staging Copy"

    needs_key = fields.Boolean(compute="_compute_needs_key")

    @api.model
    def default_get(self, names):
        values = super().default_get(names)
        copy = self.env["backup.copy"].browse(values.get("copy_id"))
        if copy and "database" in names:
            values["database"] = self._free_name(copy.database or self.env.cr.dbname)
        return values

    def _free_name(self, original):
        """Return a name that no database and no filestore of this server has."""
        today = fields.Date.context_today(self)
        name = f"{original[:LONGEST]}_staging_{today:%Y%m%d}"
        self.env.cr.execute("SELECT datname FROM pg_database")
        taken = {row[0] for row in self.env.cr.fetchall()}
        number, free = 1, name
        while free in taken or Path(odoo_config.filestore_path(free)).exists():
            number += 1
            free = f"{name}_{number}"
        return free

    @api.depends("copy_id")
    def _compute_needs_key(self):
        for wizard in self:
            wizard.needs_key = wizard.copy_id.sudo()._needs_key()

    def action_make(self):
        """Start the restore, unless it is known already that it would fail: said while
        the form is there, before somebody is asked for his password."""
        self.ensure_one()
        self.copy_id._check_manager()
        found = self._findings()
        acceptable = self._acceptable(found)
        if self._has_unseen(acceptable):
            return self._ask_again(acceptable)
        refused = self._obstacles(found, acceptable)
        if not self.accept_findings:
            refused = refused or "\n".join(acceptable.values())
        if refused:
            raise UserError(refused)
        if self.env["backup.audit"]._is_confirmed():
            return self._restore(acceptable)
        return self.action_restore()  # asks, and looks again then
