"""Which stored copies count: those that exist, where this database keeps its backups.

Health, overview, metrics and overdue ask here, not the history of runs.
"""

from datetime import timedelta

from odoo import api, fields, models
from odoo.tools import SQL

from .backup_copy import PRESENT_STATES

SEEN_DAYS = 7  # after which nobody knows whether a copy still exists
LOOK_AGAIN = timedelta(hours=26)  # a daily backup looks itself
CLOCK_TOLERANCE = timedelta(days=1)


class BackupCopy(models.Model):
    _inherit = "backup.copy"

    seen_at = fields.Datetime(
        "Last Seen",
        readonly=True,
        default=fields.Datetime.now,
        help="When its storage last said that it is there. After seven days without, "
        "it does not count.",
    )

    @api.model
    def _countable(self, states=("verified",)):
        """Return the domain of the copies that count as a backup: verified, complete,
        seen in the last days, in an active storage that is ours."""
        storages = self.env["backup.storage"].sudo().search([])
        mine = storages.filtered(lambda storage: not storage.is_foreign)
        now = fields.Datetime.now()
        since = now - timedelta(days=SEEN_DAYS)
        return [
            ("state", "in", states),
            ("complete", "=", True),
            ("storage_id", "in", mine.ids),
            ("seen_at", ">=", since),
            # what was seen in the future was so under a clock that was ahead
            ("seen_at", "<=", now + CLOCK_TOLERANCE),
        ]

    @api.model
    def _last_good_by_plan(self, plans, latest):
        """Return when the last backup that still exists was complete, by the id of its
        plan. What a wrong clock has set after ``latest`` does not count. A copy that a
        rebuilt catalogue knows without its run counts from the moment of its data."""
        domain = [("plan_id", "in", plans.ids), *self._countable()]
        query = self.sudo()._search(domain)
        rows = self.env.execute_query(
            SQL(
                "SELECT c.plan_id, max(coalesce(j.date_end, c.date)) "
                "FROM backup_copy c LEFT JOIN backup_job j ON j.id = c.job_id "
                "WHERE c.id IN %s AND coalesce(j.date_end, c.date) <= %s "
                "AND (j.id IS NULL OR j.state = 'success' OR j.kind != 'backup') "
                "GROUP BY c.plan_id",
                query.subselect(),
                latest,
            )
        )
        return dict(rows)


class BackupStorage(models.Model):
    _inherit = "backup.storage"

    listed_at = fields.Datetime(readonly=True, copy=False)

    @api.model
    def _create_due_looks(self):
        """Create a scan of the storages of ours that nobody has listed for a day."""
        jobs = self.env["backup.job"]
        waiting = [("kind", "=", "scan"), ("state", "in", ("pending", "running"))]
        if jobs.search_count(waiting, limit=1):
            return
        now = fields.Datetime.now()
        due = self._looked_after().filtered(
            # what was listed in the future was so under a clock that was ahead
            lambda storage: (
                not storage.listed_at
                or not now - LOOK_AGAIN <= storage.listed_at <= now + CLOCK_TOLERANCE
            )
        )
        if due:
            due.listed_at = fields.Datetime.now()  # one that fails is not tried at once
            steps = [{"kind": "scan", "storage_id": storage.id} for storage in due]
            jobs._create_run("scan", steps, "schedule")

    @api.model
    def _looked_after(self):
        """Return the storages of ours that hold something."""
        stored = [("state", "in", (*PRESENT_STATES, "unknown"))]
        holding = self.env["backup.copy"]._read_group(stored, ["storage_id"])
        mine = self.search([("id", "in", [storage.id for (storage,) in holding])])
        return mine.filtered(lambda storage: not storage.is_foreign)

    @api.model
    def _due_moments(self):
        times = self._looked_after().mapped("listed_at")
        return [moment + LOOK_AGAIN for moment in times if moment]


class BackupJob(models.Model):
    _inherit = "backup.job"

    def _listing(self, storage, progress):
        """Ask a storage what it holds: the size of each object, by its name. Raise
        EngineError."""
        sizes = {}
        for found in storage._get_storage().list():
            sizes[found.key] = found.size
            progress.tick()
        return sizes

    def _note_listed(self, storage, progress, sizes):
        """Note which copies are there, given the listing of their storage. What is gone
        is noted as missing."""
        copies = self.env["backup.copy"].search(
            [("storage_id", "=", storage.id), ("state", "in", PRESENT_STATES)]
        )
        there = copies.filtered(lambda copy: copy.key in sizes)
        now = fields.Datetime.now()
        self._persist(there, {"seen_at": now})
        for copy in copies - there:
            self._record_lost(copy, False, progress)
        self._persist(storage, {"listed_at": now})
