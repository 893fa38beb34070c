from odoo import api, fields, models

from ... import odoo_config
from ...engine.errors import EngineError
from ...engine.storages.rclone.storage import list_remotes
from .form import propose_name


class BackupStorage(models.Model):
    _inherit = "backup.storage"

    provider = fields.Selection(
        selection_add=[("rclone", "rclone remote")], ondelete={"rclone": "cascade"}
    )
    rclone_remote = fields.Selection(
        selection="_selection_rclone_remotes",
        string="Remote",
        help="The remotes that the server's administrator has configured with “rclone "
        "config”, "
        "as the system user that runs Odoo.",
    )
    rclone_directory = fields.Char(string="Folder in the Remote")

    @api.onchange("rclone_remote")
    def _onchange_rclone_remote(self):
        propose_name(self, self.rclone_remote)

    @api.model
    def _selection_rclone_remotes(self):
        try:
            return [(name, name) for name in list_remotes(odoo_config.rclone_config())]
        except EngineError:
            return []  # the form says why, when the kind is chosen
