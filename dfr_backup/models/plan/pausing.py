"""A pause of one plan, until a date; skipping a run is a short one."""

from odoo import fields

from ...engine.policy.schedule import next_time
from ..moments import from_odoo_datetime, to_odoo_datetime

# until when what is not paused is paused, for who compares
NOT = fields.Datetime.to_datetime("1970-01-01 00:00:00")


def next_after(plan, moment):
    """Return the next time of the schedule after ``moment`` (naive, in UTC) and after a
    pause; False for none."""
    return slot_after(plan, max(moment, plan.paused_until or moment))


def slot_after(plan, moment):
    """Return the next time of the schedule after ``moment`` (naive, in UTC), as if
    there was no pause; False for none."""
    schedule = plan._schedule()
    if not schedule:
        return False
    return to_odoo_datetime(next_time(schedule, from_odoo_datetime(moment)))


def long_pause(plan):
    """Return until when a plan is paused. A pause that leaves out a single run counts
    as none: skipping one is noted, and asks for no password."""
    first = slot_after(plan, fields.Datetime.now())
    second = first and slot_after(plan, first)
    until = plan.paused_until
    return until if until and second and until >= second else NOT
