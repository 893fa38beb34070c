"""The files of the filestore that a run repairs."""

from odoo import fields

from .part import Part


class Repairs(Part):
    def names(self):
        """Return the ``store_fname`` of all that this run is about, repaired or not."""
        return self._all_issues().mapped("store_fname")

    def _all_issues(self):
        issues = self.job.env["backup.filestore.issue"].browse(
            self.job.run_state.issues
        )
        return issues.exists()

    def issues(self):
        return self._all_issues().filtered(lambda issue: issue.state == "open")

    def files(self):
        """Return the bytes of each file that is still wanted, by ``store_fname``."""
        issues = self.issues()
        wanted = {
            row["store_fname"]
            for row in issues._attachments(issues.mapped("store_fname"))
        }
        unwanted = issues.filtered(lambda issue: issue.store_fname not in wanted)
        if unwanted:
            self.job._persist(unwanted, {"state": "resolved"})
        return {issue.store_fname: int(issue.size) for issue in issues - unwanted}

    def sources(self):
        """Return the backups to look through: first those that should hold a good
        file."""
        issues = self.issues()
        copies = issues._sources()
        expected = copies.browse().union(
            *(issue._expected_in(copies) for issue in issues)
        )
        return (copies & expected) + (copies - expected)

    def note_repaired(self, store_fname, copy):
        """Note that a file was put back from ``copy``; None: a good one was there
        already."""
        issues = self.issues().filtered(lambda issue: issue.store_fname == store_fname)
        values = {"state": "resolved"}
        if copy:
            values = {
                "state": "repaired",
                "repaired_at": fields.Datetime.now(),
                "repaired_by_id": self.job.user_id.id,
                "repaired_from_id": copy.id,
            }
        self.job._persist(issues, values)
