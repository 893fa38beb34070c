from datetime import timedelta

from odoo import api, fields, models

from .. import odoo_config
from ..runs.registry import kinds_with
from .actions import form_action
from .job.afterwards import let_wait_for

PARAMETER = "dfr_backup.backup_before_upgrade"
FRESH = timedelta(
    minutes=30
)  # a backup that began then still counts as one from before


class IrModuleModule(models.Model):
    _inherit = "ir.module.module"

    def button_immediate_upgrade(self):
        return self._backup_first("upgrade") or super().button_immediate_upgrade()

    def button_immediate_uninstall(self):
        return self._backup_first("uninstall") or super().button_immediate_uninstall()

    def _backup_first(self, operation):
        """Start a backup that this operation waits for, and return the action that
        shows it; None when none is wanted, when there is a fresh one, or when nobody
        could make one."""
        if not self._wants_backup() or not self.env.user.has_group(
            "dfr_backup.group_manager"
        ):
            return None
        plan = self.env["backup.plan"].search(
            [("include_database", "=", True)], limit=1
        )
        if not plan or self._has_fresh_backup():
            return None
        job = plan.sudo()._request_run("upgrade")
        let_wait_for(job, operation, self.mapped("name"))
        return form_action(job)

    @api.model
    def _has_fresh_backup(self):
        """Tell whether there is a good backup of the database that has just begun."""
        backups = ("kind", "in", kinds_with("keeps_promise"))
        good = [backups, ("state", "=", "success")]
        fresh = ("date_start", ">=", fields.Datetime.now() - FRESH)
        whole = [*good, fresh, ("include_database", "=", True)]
        return bool(self.env["backup.job"].search_count(whole, limit=1))

    @api.model
    def _wants_backup(self):
        asked = self.env["ir.config_parameter"].sudo().get_param(PARAMETER)
        wanted = bool(asked) and odoo_config.is_enabled()
        if wanted and self.env["backup.version"]._mismatch():
            return False  # the upgrade that is asked for may be the one that is missing
        return wanted and not self.env.context.get("dfr_backup_no_backup")
