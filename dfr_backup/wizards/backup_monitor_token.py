from odoo import api, fields, models


class BackupMonitorToken(models.TransientModel):
    _name = "backup.monitor.token"
    _description = "Token of a Monitor's Address"

    url = fields.Char("Address", readonly=True)
    # shown once and stored nowhere: the database has its hash
    token = fields.Char(store=False, readonly=True)

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            vals.pop("token", None)
        return super().create(vals_list)

    def action_done(self):
        """Back to the settings, which show now that the address is on."""
        self.check_access("read")
        return {"type": "ir.actions.client", "tag": "reload"}
