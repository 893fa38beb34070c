from odoo import models


class IrHttp(models.AbstractModel):
    _inherit = "ir.http"

    def session_info(self):
        """Tell the web client of a manager what the systray shows, without another request."""
        info = super().session_info()
        if self.env.user.has_group("dfr_backup.group_manager"):
            info["dfr_backup"] = self.env["backup.overview"].get_status()
        return info
