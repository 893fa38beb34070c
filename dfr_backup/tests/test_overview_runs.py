import importlib.util
from pathlib import Path

from odoo.exceptions import AccessError
from odoo.tests import tagged

from .test_backup_overview import OverviewCase


@tagged("post_install", "-at_install")
class TestOverviewRuns(OverviewCase):
    """A run that was started from a stored backup is of no plan, and as loud."""

    def setUp(self):
        super().setUp()
        self.back_up()
        self.copy = self.plan.job_ids.copy_ids
        self.copy.signature = "ours"
        self.env["backup.job"].search([("plan_id", "=", False)]).dismissed = True
        self.assertEqual(self.problems(), [])

    def requests(self):
        """Return a run of each kind that is started from a stored backup or a
        storage."""
        jobs = self.env["backup.job"]
        return {
            "drill": jobs.browse(self.copy.action_drill()["res_id"]),
            "verify": jobs.browse(self.copy.action_verify()["res_id"]),
            "restore": self.copy._request_restore(restore_database="restored"),
            "scan": jobs.browse(self.storage.action_scan()["res_id"]),
            "import": jobs._create_run("import", [{"kind": "check"}], "manual"),
            "repair": jobs._create_run("repair", [{"kind": "repair"}], "manual"),
        }

    def ended(self, job, state):
        job.write({"state": state, "error": "Broken.", "error_code": "DUMP-06"})
        return job

    def test_each_that_fails_is_told(self):
        for kind, job in self.requests().items():
            for state in ("failure", "partial"):
                with self.subTest(kind, state=state):
                    self.ended(job, state)
                    (problem,) = self.overview()["problems"]
                    self.assertEqual(problem["key"], f"{kind}:{job}")
                    self.assertEqual(problem["code"], "DUMP-06")
                    self.assertIn("Broken.", problem["text"])
                    self.assertEqual(problem["action"]["res_id"], job.id)
            job.state = "cancelled"
            self.assertEqual(self.problems(), [])

    def test_a_restore_and_a_drill_are_as_loud_as_a_backup(self):
        requests = self.requests()
        for kind in ("restore", "drill", "verify"):
            job = self.ended(requests[kind], "failure")
            self.assertEqual(self.overview()["verdict"]["tone"], "danger")
            self.assertEqual(self.overview()["verdict"]["state"], "alarm")
            status = self.env["backup.overview"].with_user(self.manager).get_status()
            self.assertEqual([a["kind"] for a in status["alarms"]], [kind])
            job.state = "cancelled"

    def test_until_a_later_one_of_the_same_backup_ends_well(self):
        first = self.ended(self.copy._request_drill("manual"), "failure")
        other = self.copy.copy({"key": "other.zip", "state": "verified"})
        self.ended(other._request_drill("manual"), "success")
        self.assertEqual(self.problems(), [("drill", str(first))])
        again = self.ended(self.copy._request_drill("manual"), "failure")
        self.assertEqual(self.problems(), [("drill", str(again))])
        self.ended(self.copy._request_drill("manual", plan_id=self.plan.id), "success")
        self.assertEqual(self.problems(), [])

    def test_not_when_its_backup_was_deleted(self):
        self.ended(self.copy._request_restore(restore_database="x"), "failure")
        self.copy.state = "deleted"
        self.assertNotIn("restore", [kind for kind, _about in self.problems()])

    def test_until_a_manager_has_seen_it(self):
        job = self.ended(self.copy._request_restore(restore_database="x"), "failure")
        (problem,) = self.overview()["problems"]
        page = self.env["backup.overview"]
        with self.assertRaises(AccessError):
            page.with_user(self.viewer).dismiss_run(problem["dismiss"])
        page.with_user(self.manager).dismiss_run(problem["dismiss"])
        self.assertEqual(self.problems(), [])
        self.assertEqual(job.state, "failure")

    def test_the_upgrade_tells_no_old_stories(self):
        path = Path(__file__).parents[1] / "migrations/19.0.1.1.0/post-dismissed.py"
        spec = importlib.util.spec_from_file_location("migration", path)
        migration = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(migration)
        self.ended(self.copy._request_restore(restore_database="x"), "failure")
        self.env.flush_all()
        migration.migrate(self.env.cr, "19.0.1.0.0")
        self.env.invalidate_all()
        self.assertEqual(self.problems(), [])
