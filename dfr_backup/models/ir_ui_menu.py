from odoo import api, models

from .. import odoo_config


class IrUiMenu(models.Model):
    _inherit = "ir.ui.menu"

    @api.model
    def _load_menus_blacklist(self):
        """Hide the watched servers where odoo.conf names none."""
        hidden = super()._load_menus_blacklist()
        menu = self.env.ref("dfr_backup.menu_server", raise_if_not_found=False)
        if menu and not odoo_config.watch_rules():
            hidden.append(menu.id)
        return hidden
