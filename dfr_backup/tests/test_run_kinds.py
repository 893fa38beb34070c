"""Kinds of run: what the models know of one they have never heard of."""

from odoo.tests import tagged
from odoo.tools import mute_logger

from ..engine.errors.runs import UnknownKind
from ..models.job import supervision
from ..runs.base import Run
from ..runs.registry import KINDS, register, run_kind, step_kind
from ..runs.steps import Step
from .common import BackupCase

GONE = "of_an_addon_that_is_gone"


@tagged("post_install", "-at_install")
class TestRunKinds(BackupCase):
    def of_a_kind_that_is_gone(self, **values):
        job = self.run_now()
        job.write(values)
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE backup_job SET kind = %s WHERE id = %s", [GONE, job.id]
        )
        self.env.cr.execute(
            "UPDATE backup_step SET kind = %s WHERE job_id = %s", [GONE, job.id]
        )
        self.env.invalidate_all()
        return job

    def test_every_kind_has_a_class_and_every_step_a_declaration(self):
        for kind, _label in self.env["backup.job"]._fields["kind"].selection:
            self.assertTrue(run_kind(kind).STEPS, kind)
        for key, name in self.env["backup.step"]._fields["kind"].selection:
            self.assertEqual(step_kind(key).name, name)

    def test_run_of_an_unknown_kind_fails_and_says_why(self):
        job = self.of_a_kind_that_is_gone(state="running", attempt=1)
        job._perform()
        self.assertEqual((job.state, job.error_code), ("failure", UnknownKind.code))
        self.assertIn(GONE, job.error)
        self.assertNotIn("pending", job.step_ids.mapped("state"))

    def test_run_of_an_unknown_kind_is_shown_and_deleted_and_not_run_again(self):
        job = self.of_a_kind_that_is_gone(state="failure")
        for name in job.step_ids.mapped("display_name"):
            self.assertIn(GONE, name)
        job.read(["progress", "seconds_left", "can_retry_upload", "runner_log"])
        with self.assertRefuses(UnknownKind):
            job.action_retry()
        job.unlink()
        self.assertFalse(job.exists())

    @mute_logger("odoo.addons.dfr_backup.models.job.supervision")
    def test_lost_runner_of_an_unknown_kind_is_closed(self):
        job = self.of_a_kind_that_is_gone(state="running", attempt=3)
        supervision.resume_or_close(job)
        self.assertEqual(job.state, "failure")

    def test_names_are_taken_once(self):
        with self.assertRaises(ValueError):
            register("backup")(type("Other", (Run,), {"STEPS": ()}))
        other = Step("upload", "Another upload")
        with self.assertRaises(ValueError):
            register("another")(type("Other", (Run,), {"STEPS": (other,)}))
        self.assertNotIn("another", KINDS)
