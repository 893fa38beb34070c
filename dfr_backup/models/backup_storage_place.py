"""Where a storage is: on this server, on the very disk of the data, or in another
place."""

from odoo import api, fields, models

from .. import server
from ..engine.mounts import current_mounts, mount_of


class BackupStorage(models.Model):
    _inherit = "backup.storage"

    caution = fields.Text(
        compute="_compute_caution", help="What this storage cannot protect from."
    )

    def _is_off_site(self):
        """Tell whether the storage survives the loss of this server."""
        if self.provider != "local":
            return True
        mount = mount_of(self.local_path or "/", current_mounts())
        return bool(mount and mount.is_network)

    def _is_beside_the_data(self):
        """Tell whether it is on the disk of Odoo's data directory."""
        mounts = current_mounts()
        mine, data = (
            mount_of(path or "/", mounts)
            for path in (self.local_path, str(server.data_root()))
        )
        return bool(
            self.provider == "local" and mine and data and mine.device == data.device
        )

    @api.depends("provider", "local_path")
    def _compute_caution(self):
        for storage in self:
            storage.caution = storage._caution()

    def _caution(self):
        if self._is_off_site():
            return False
        if self._is_beside_the_data():
            return self.env._(
                "This directory is on the same disk as Odoo's data: when the disk "
                "breaks, both are gone. It helps against a mistake, and is quick to "
                "restore from. Add a storage in another place."
            )
        return self.env._(
            "This directory is on this server: it survives a broken disk, and neither "
            "fire, nor theft, nor an intruder. Add a storage in another place."
        )
