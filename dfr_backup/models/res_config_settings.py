from odoo import api, fields, models

from .backup_audit import asks_password
from .backup_monitor import MONITORS


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    dfr_backup_before_upgrade = fields.Boolean(
        "Backup before Upgrades", config_parameter="dfr_backup.backup_before_upgrade"
    )
    dfr_backup_health = fields.Boolean(compute="_compute_dfr_backup_monitors")
    dfr_backup_metrics = fields.Boolean(compute="_compute_dfr_backup_monitors")

    @api.depends_context("uid")
    def _compute_dfr_backup_monitors(self):
        monitors = self.env["backup.monitor"]
        for settings in self:
            for monitor in MONITORS:
                settings[f"dfr_backup_{monitor}"] = monitors._is_on(monitor)

    @asks_password
    def action_dfr_backup_monitor_on(self):
        """Make a token for the monitor that the context names, and show it, once."""
        monitor = self._dfr_backup_monitor()
        token = self.env["backup.monitor"]._new_token(monitor)
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("New Token"),
            "res_model": "backup.monitor.token",
            "views": [(False, "form")],
            "target": "new",
            "context": {
                "default_url": f"{self.get_base_url()}/dfr_backup/{monitor}",
                "default_token": token,
            },
        }

    @asks_password
    def action_dfr_backup_monitor_off(self):
        self.env["backup.monitor"]._switch_off(self._dfr_backup_monitor())
        return {"type": "ir.actions.client", "tag": "reload"}

    def _dfr_backup_monitor(self):
        self.check_access("create")
        return self.env.context.get("monitor")
