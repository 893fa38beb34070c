import socket
from contextlib import suppress
from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import AccessError
from odoo.tests import tagged

from ..console.every import STORAGES
from ..engine.errors import Cancelled
from ..engine.errors.storage import CopyMissing
from ..engine.messages import Message
from ..engine.progress import WARNING
from ..engine.retry import AGAIN
from ..models.job.backup_job import BackupJob
from .test_backup_overview import OverviewCase

FAILED = ("test_failed", "upload_failed", "verify_failed")


@tagged("post_install", "-at_install")
class TestWatchedRuns(OverviewCase):
    """What people see of a run while it goes on, and where they go from one that has
    failed."""

    def setUp(self):
        super().setUp()
        self.job = self.run_now()
        self.upload = self.job._step("upload")

    def server_that_is_down(self):
        """Let the storage be a server that refuses connections."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        return self.env["backup.storage"].create(
            {
                "name": "Off-site",
                "provider": "s3",
                "s3_endpoint": f"http://127.0.0.1:{port}",
                "s3_region": "eu-central-1",
                "s3_bucket": "b",
                "s3_access_key": "a",
                "s3_secret_key": "b",
            }
        )

    def test_what_is_tried_again_is_shown_while_the_step_runs(self):
        self.end(self.job)
        self.job.step_ids.seconds = 100
        self.record_copy(self.job)
        self.job.copy_ids.storage_id = self.server_that_is_down()
        action = self.job.copy_ids.action_verify()
        again = self.env["backup.job"].browse(action["res_id"])
        again.state = "running"
        step, seen, looks = again.step_ids, [], iter(range(20))

        def look(job):
            """Stands for whoever looks at the run, then cancels it."""
            if step.log:
                seen.append((step.log, job.seconds_left, job.notice, step.speed))
            if step.log or next(looks, None) is None:
                raise Cancelled()

        with patch.object(BackupJob, "_check_cancel", look), suppress(Cancelled):
            again._run()._do(step)
        ((log, left, notice, speed),) = seen
        self.assertIn("127.0.0.1", log)
        self.assertIn(log, notice)
        self.assertEqual((left, speed), (0, 0))
        self.assertEqual({value["text"] for value in step.log_values}, {AGAIN})
        self.assertEqual(step.log.count(log), 1, "a line is kept once")

    def test_no_time_is_left_while_nothing_moves(self):
        self.end(self.job)
        self.job.step_ids.seconds = 100
        job = self.run_now()
        job.state = "running"
        upload = job._step("upload")
        (job.step_ids - upload).state = "success"
        line = Message(AGAIN, attempt=1, seconds=2, problem="x")
        upload.write({"state": "running", **upload._logged([line])})
        self.assertEqual(job.seconds_left, 0)
        upload.speed = 1
        self.assertGreater(job.seconds_left, 0)

    def test_the_headline_has_what_a_step_has_warned_of(self):
        first = self.job._step("initialize")
        lines = ["Plain", Message(WARNING, line=Message("It is down."))]
        first.write({"state": "warning", **first._logged(lines)})
        self.assertFalse(self.job.notice, "it does not run")
        self.job.state = "running"
        self.assertIn("It is down.", self.job.notice)
        self.assertNotIn("Plain", self.job.notice)
        with self.assertRaises(AccessError):
            self.job.with_user(self.viewer).read(["notice"])
        self.end(self.job)
        self.assertFalse(self.job.notice)

    def test_a_use_that_began_before_a_failed_test_does_not_hide_it(self):
        for moment, error, health in (
            (timedelta(minutes=-1), False, "used"),
            (timedelta(minutes=-1), "Wrong.", "test_failed"),
            (timedelta(minutes=-9), "Wrong.", "used"),
        ):
            with self.subTest(moment=moment, error=error):
                now = fields.Datetime.now()
                begun = now - timedelta(minutes=5)
                self.upload.write(
                    {"state": "success", "date_start": begun, "date_end": now}
                )
                self.storage.write(
                    {"last_test": now + moment, "last_test_error": error}
                )
                self.storage.invalidate_recordset()
                self.assertEqual(self.storage.health, health)
                # the filter, and the command that asks in SQL, say the same
                self.assertEqual(self.found(("test_failed",)), health == "test_failed")
                self.env.flush_all()
                self.env.cr.execute(STORAGES)
                told = [row[1] for row in self.env.cr.fetchall()]
                self.assertEqual("Wrong." in told, health == "test_failed")

    def test_a_storage_is_found_by_what_it_did_last(self):
        self.assertTrue(self.found(("never",)))
        self.storage.write(
            {
                "last_test": fields.Datetime.now() - timedelta(hours=1),
                "last_test_error": "Wrong.",
            }
        )
        self.assertTrue(self.found(FAILED))
        now = fields.Datetime.now()
        used = {"date_start": now - timedelta(minutes=1), "date_end": now}
        self.upload.write({"state": "success", **used})
        self.assertFalse(self.found(FAILED), "it has worked since")
        self.assertFalse(self.found(("never",)))
        self.upload.state = "failure"
        self.assertTrue(self.found(FAILED))

    def found(self, states):
        """Tell whether the storage is found by one of these states."""
        self.env.invalidate_all()
        domain = [("health", "in", states)]
        return self.storage in self.env["backup.storage"].search(domain)

    def test_a_storage_that_failed_is_one_press_away(self):
        for kind, storage in (
            ("dump_database", self.env["backup.storage"]),
            ("upload", self.storage),
            ("verify", self.storage),
        ):
            with self.subTest(kind):
                self.end(self.job, **{"verify": "skipped", kind: "failure"})
                self.assertEqual(self.job.failed_storage_id, storage)
                (problem,) = self.overview(self.viewer)["problems"]
                if not storage:
                    self.assertFalse(problem["storage"])
                    continue
                for action in (problem["storage"], self.job.action_open_storage()):
                    self.assertEqual(action["res_model"], "backup.storage")
                    self.assertEqual(action["res_id"], storage.id)
        self.end(self.job)
        self.assertFalse(self.job.failed_storage_id)

    def test_a_copy_that_is_gone_is_named_once_and_no_fault_of_the_storage(self):
        self.end(self.job)
        self.record_copy(self.job)
        copy = self.job.copy_ids
        verify = self.env["backup.job"].browse(copy.action_verify()["res_id"])
        with verify.step_ids._running():
            raise CopyMissing(key=copy.key)
        verify._run_context().ending.finish()
        self.assertEqual(verify.state, "failure")
        self.assertEqual(verify.error.count(copy.key), 1)
        self.assertIn(self.storage.name, verify.error)
        self.assertFalse(verify.failed_storage_id)

    def test_the_title_says_in_which_storage_a_backup_is_read(self):
        self.end(self.job)
        self.record_copy(self.job)
        copy = self.job.copy_ids
        verify = self.env["backup.job"].browse(copy.action_verify()["res_id"])
        for part in (copy._moment(), self.storage.name):
            self.assertIn(part, verify.title)
