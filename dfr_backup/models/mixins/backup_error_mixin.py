from odoo import fields, models

from ..engine_messages import MessageText


class BackupErrorMixin(models.AbstractModel):
    """What went wrong, as ``error_columns`` gives it: English as it was rendered, and
    the values from which readers get it in their own language."""

    _name = "backup.error.mixin"
    _description = "Error of a Backup"

    error = MessageText(values_field="error_values")
    hint = MessageText(values_field="error_values")
    error_code = fields.Char(index="btree_not_null")
    error_values = fields.Json()
