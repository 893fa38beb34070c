from odoo import api, models


class IrDefault(models.Model):
    _inherit = "ir.default"

    @api.model
    def _get_model_defaults(self, model_name, condition=False):
        """Leave out the defaults of fields that only our own methods write: every
        employee may choose defaults of his own, for any field."""
        found = super()._get_model_defaults(model_name, condition)
        model = self.env.get(model_name)
        own = model._own_fields() if hasattr(model, "_own_fields") else ()
        return {name: value for name, value in found.items() if name not in own}
