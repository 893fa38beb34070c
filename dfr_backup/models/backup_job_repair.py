"""What the runner does for the health of the filestore: note what is wrong, and
repair it."""

from odoo import fields, models

from ..runs.repair import RepairRun
from ..runs.state import RunState


class BackupJob(models.Model):
    _inherit = "backup.job"

    def _note_filestore(self, report, complete):
        """Keep what a backup has found wrong with the filestore."""
        self.env["backup.filestore.issue"]._record(
            self, report.troubles, complete and report.lists_all
        )

    def _request_repair(self, issues):
        """Return a new run that will put the files of these issues back."""
        self._check_manager()
        jobs = self.sudo()
        return jobs._create_run(
            "repair",
            RepairRun.planned(),
            "manual",
            data=RunState(issues=issues.ids).to_json(),
        )

    def _names_to_repair(self):
        """Return the ``store_fname`` of all that this run is about, repaired or not."""
        return self._all_issues().mapped("store_fname")

    def _all_issues(self):
        issues = self.env["backup.filestore.issue"].browse(self.run_state.issues)
        return issues.exists()

    def _issues(self):
        return self._all_issues().filtered(lambda issue: issue.state == "open")

    def _files_to_repair(self):
        """Return the bytes of each file that is still wanted, by ``store_fname``."""
        issues = self._issues()
        wanted = {
            row["store_fname"]
            for row in issues._attachments(issues.mapped("store_fname"))
        }
        unwanted = issues.filtered(lambda issue: issue.store_fname not in wanted)
        if unwanted:
            self._persist(unwanted, {"state": "resolved"})
        return {issue.store_fname: int(issue.size) for issue in issues - unwanted}

    def _repair_sources(self):
        """Return the backups to look through: first those that should hold a good
        file."""
        issues = self._issues()
        copies = issues._sources()
        expected = copies.browse().union(
            *(issue._expected_in(copies) for issue in issues)
        )
        return (copies & expected) + (copies - expected)

    def _note_repaired(self, store_fname, copy):
        """Note that a file was put back from ``copy``; None: a good one was there
        already."""
        issues = self._issues().filtered(lambda issue: issue.store_fname == store_fname)
        values = {"state": "resolved"}
        if copy:
            values = {
                "state": "repaired",
                "repaired_at": fields.Datetime.now(),
                "repaired_by_id": self.user_id.id,
                "repaired_from_id": copy.id,
            }
        self._persist(issues, values)
