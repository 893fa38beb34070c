"""Storages that somebody has to look at: scans, and prunes, once a day."""

from datetime import timedelta

from odoo import fields

from ...runs.scan import ScanRun
from ..copy.states import CLOCK_TOLERANCE, PRESENT_STATES
from . import pruning

# A daily backup lists its storages itself when it ends, a day and some minutes after
# the one before: after 24 hours, each of them would be listed twice. A copy counts for
# a week without being seen, so that two hours are no matter.
LOOK_AGAIN = timedelta(hours=26)


def create_due(env):
    """Create a scan of the storages of ours that nobody has listed for a day, and a run
    that deletes packs which no backup needs, once a day."""
    storages = env["backup.storage"]
    _create_due_scan(storages)
    pruning.create_due(storages)


def due_moments(storages):
    """Return when the next storages are to be looked at."""
    times = _looked_after(storages).mapped("listed_at")
    return [moment + LOOK_AGAIN for moment in times if moment]


def _create_due_scan(storages):
    jobs = storages.env["backup.job"]
    waiting = [("kind", "=", ScanRun.kind), ("state", "in", ("pending", "running"))]
    if jobs.search_count(waiting, limit=1):
        return
    now = fields.Datetime.now()
    due = _looked_after(storages).filtered(
        # what was listed in the future was so under a clock that was ahead
        lambda storage: (
            not storage.listed_at
            or not now - LOOK_AGAIN <= storage.listed_at <= now + CLOCK_TOLERANCE
        )
    )
    if due:
        due.listed_at = fields.Datetime.now()  # one that fails is not tried at once
        jobs._create_run("scan", ScanRun.planned(storages=due), "schedule")


def _looked_after(storages):
    """Return the storages of ours that hold something."""
    stored = [("state", "in", (*PRESENT_STATES, "unknown"))]
    holding = storages.env["backup.copy"]._read_group(stored, ["storage_id"])
    mine = storages.search([("id", "in", [storage.id for (storage,) in holding])])
    return mine.filtered(lambda storage: not storage.is_foreign)
