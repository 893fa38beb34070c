"""Runs of no plan that did not end well: as loud on the overview as a failed backup."""

from odoo import api, fields, models

BAD_STATES = ("failure", "partial")
SHOWN = 20


class BackupJob(models.Model):
    _inherit = "backup.job"

    dismissed = fields.Boolean(
        readonly=True,
        copy=False,
        help="Somebody has seen on the overview that this run did not end well.",
    )

    _bad_loose_idx = models.Index(
        "(id) WHERE plan_id IS NULL AND state IN ('failure', 'partial')"
    )

    @api.model
    def _bad_without_plan(self):
        """Return the runs of no plan that did not end well and that still matter: no
        later run was about the same, nobody has dismissed them, and what they were
        about was not deleted."""
        bad = self.search(
            [
                ("plan_id", "=", False),
                ("state", "in", BAD_STATES),
                ("dismissed", "=", False),
            ],
            limit=SHOWN,
        )
        return bad.filtered(lambda job: not job._is_past())

    def _is_past(self):
        steps = self.step_ids
        copies = steps.copy_id
        if copies and set(copies.mapped("state")) == {"deleted"}:
            return True
        ended = ("state", "in", ("success", *BAD_STATES))
        later = [("kind", "=", self.kind), ended, ("id", ">", self.id)]
        if copies:
            later.append(("step_ids.copy_id", "in", copies.ids))
        elif steps.storage_id:
            later.append(("step_ids.storage_id", "in", steps.storage_id.ids))
        return bool(self.search_count(later, limit=1))

    def _about(self):
        """Return what this run was about: its copies, else its storages or files."""
        steps = self.step_ids
        return ", ".join(
            steps.copy_id.mapped("key")
            or steps.storage_id.mapped("name")
            or [self.archive_name or self.name]
        )


class BackupOverview(models.AbstractModel):
    _inherit = "backup.overview"

    def _loose_problems(self):
        """Return what became of runs of no plan, for example of a restore that was
        started from a stored backup."""
        return [
            self._loose_problem(job)
            for job in self.env["backup.job"]._bad_without_plan()
        ]

    def _loose_problem(self, job):
        kind = job._kind_in_words(self.env)
        about = {"kind": kind, "run": job.name, "what": job._about()}
        if job.state == "partial":
            title = self.env._("%(kind)s %(run)s was partial: %(what)s", **about)
        else:
            title = self.env._("%(kind)s %(run)s failed: %(what)s", **about)
        tone = "danger" if job._run().loud else "warning"
        problem = self._job_problem(job.kind, tone, title, job)
        return {**problem, "dismiss": job.id}

    @api.model
    def dismiss_run(self, number):
        """Show a run that did not end well no longer on the overview."""
        jobs = self.env["backup.job"]
        jobs._check_manager()
        job = jobs.sudo().browse(number).exists()
        jobs._persist(job, {"dismissed": True})
