"""Sizes of runs. A backup that is much smaller than the ones before it is good, and
perhaps of too little."""

from odoo import fields

from ...engine.policy.size_drop import LOOK_BACK
from ..plan.copies import backup_runs

CONTENTS = (
    "include_database",
    "include_filestore",
    "include_addons",
    "incremental",
)


class KnownFloat(fields.Float):
    """A number that is not known when it is 0: averages leave it out."""

    def convert_to_column(self, value, record, values=None, validate=True):
        return super().convert_to_column(value, record, values, validate) or None


def backups_alike(job):
    """Return the last good backups of the same plan that saved the same things."""
    same = [(name, "=", job[name]) for name in CONTENTS]
    good = [("state", "=", "success"), ("archive_size", ">", 0), ("id", "!=", job.id)]
    return job.search([*backup_runs(job.plan_id), *same, *good], limit=LOOK_BACK)


def is_shrinking_news(job):
    """Tell whether this good run, and not already the one before it, was much
    smaller."""
    if job.state != "success" or not job.size_drop:
        return False
    return not backups_alike(job)[:1].size_drop
