"""How long the space of a storage lasts."""

from datetime import timedelta

from odoo import fields

from ..copy.states import PRESENT_STATES

PACE_DAYS = 30  # of which the backups say how quickly a storage fills up


def days_until_full(storage):
    """Return for how many days its free space lasts while nothing is deleted;
    None when nobody knows."""
    since = fields.Datetime.now() - timedelta(days=PACE_DAYS)
    mine = [("storage_id", "=", storage.id), ("state", "in", PRESENT_STATES)]
    copies = storage.env["backup.copy"].search([*mine, ("date", ">=", since)])
    if not (storage.free_space and copies):
        return None
    days = max((fields.Datetime.now() - min(copies.mapped("date"))).days, 1)
    stored = sum(copies.mapped("size")) + sum(copies.mapped("new_size"))
    return int(storage.free_space * days // max(stored, 1))
