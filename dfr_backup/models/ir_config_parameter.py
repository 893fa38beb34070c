"""Settings of the whole database that take the password, and are written down. In
whatever way somebody changes them, they end up as parameters."""

import hashlib

from odoo import api, models

from .backup_monitor import MONITORS, monitor_param
from .ir_module_module import PARAMETER

FINGERPRINT = 8  # characters, by which a token is known from another


def _fingerprint(value):
    """Return what tells a token from another, and is of no use to anybody."""
    return hashlib.sha256(value.encode()).hexdigest()[:FINGERPRINT]


# of each parameter: what is noted, and how its value is told
AUDITED = {
    PARAMETER: ("settings", str),
    **{monitor_param(name): ("monitor", _fingerprint) for name in MONITORS},
}


class IrConfigParameter(models.Model):
    _inherit = "ir.config_parameter"

    @api.model_create_multi
    def create(self, vals_list):
        params = super().create(vals_list)
        for param in params:
            param._note_audited("", param._audited_value())
        return params

    def write(self, vals):
        before = [(param, param.key, param._audited_value()) for param in self]
        result = super().write(vals)
        for param, key, value in before:
            if param.key != key:
                param._note_audited(value, "", key)
                value = ""
            param._note_audited(value, param._audited_value())
        return result

    def unlink(self):
        for param in self:
            param._note_audited(param._audited_value(), "")
        return super().unlink()

    def _audited_value(self):
        """Return the value as the audit trail tells it, "" when there is none."""
        _action, told = AUDITED.get(self.key, (None, None))
        return told(self.value) if told and self.value else ""

    def _note_audited(self, old, new, key=None):
        """Want the password for a change of a parameter, and note it. Nobody but a
        user who has pressed a button makes one: also with all rights."""
        key = key or self.key
        if key not in AUDITED or old == new:
            return
        audit = self.env["backup.audit"].sudo(False)
        audit._require_password(self)
        audit._note(AUDITED[key][0], self, old, new)
