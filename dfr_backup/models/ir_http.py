from odoo import models


class IrHttp(models.AbstractModel):
    _inherit = "ir.http"

    def session_info(self):
        """Tell the web client whether its user is somebody for the systray.

        It asks for the status itself, later: no page may fail because a status cannot
        be told, for example while the addon's tables still wait to be upgraded.
        """
        info = super().session_info()
        info["is_backup_manager"] = self.env.user.has_group("dfr_backup.group_manager")
        return info
