from pathlib import Path

from odoo import fields, models

from .. import odoo_config

LONGEST = 40  # characters of the original's name: PostgreSQL takes 63 in all


class BackupStagingWizard(models.TransientModel):
    """A restore with everything chosen as a staging copy wants it."""

    _name = "backup.staging.wizard"
    _inherit = ["backup.restore.wizard"]
    _description = "Make a Staging Copy"

    def _proposed_name(self, copy):
        return self._free_name(copy.database or self.env.cr.dbname)

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
