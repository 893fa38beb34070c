"""Bind stored secrets to this database. One whose key is not there now stays as it is,
and is bound by Odoo's nightly maintenance when it is."""

from odoo import SUPERUSER_ID, api


def migrate(cr, version):
    if not version:
        return
    env = api.Environment(cr, SUPERUSER_ID, {})
    for model in env.values():
        if hasattr(model, "_bind_secrets"):
            model._bind_secrets()
