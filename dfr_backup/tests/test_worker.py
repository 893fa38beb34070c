"""Where odoo.conf leaves starting runs to a worker."""

from datetime import timedelta

from psycopg2 import OperationalError

from odoo import fields
from odoo.tests import tagged
from odoo.tools import config

from .. import odoo_config, runner
from ..console import worker
from ..engine.errors.identity import OtherServer
from ..engine.errors.runs import NotStarted, NoWorker
from ..engine.policy.supervision import MAX_SPAWNS, WORKER_PATIENCE
from .common import BackupCase, patch


@tagged("post_install", "-at_install")
class TestWorker(BackupCase):
    def setUp(self):
        super().setUp()
        before = config._runtime_options.copy()
        self.addCleanup(config._runtime_options.update, before)
        self.addCleanup(config._runtime_options.clear)
        config["dfr_backup_spawn"] = "False"

    def wait(self, job, minutes):
        """Let a run have waited for so long."""
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE backup_job SET create_date = create_date - %s * interval '1 minute'"
            " WHERE id = %s",
            [minutes, job.id],
        )
        self.env.cr.execute(
            "UPDATE backup_job SET date_end = date_end - interval '1 day'"
        )
        job.invalidate_recordset()

    def test_odoo_leaves_a_run_alone(self):
        job = self.run_now()
        self.assertTrue(job.waits_for_worker)
        self.assertFalse(job.spawn_count)
        job.spawn_count = MAX_SPAWNS  # a worker's; that one decides about it
        self.env["backup.job"]._supervise()
        self.assertEqual(job.state, "pending")
        self.assertFalse(self.cr_hooks())

    def cr_hooks(self):
        """Return what would be started after a commit."""
        self.env.cr.postcommit.run()
        return self.spawn.mock_calls

    def test_a_run_without_its_runner_is_left_too(self):
        job = self.run_now()
        job.state = "running"
        self.env["backup.job"]._supervise()
        self.assertEqual(job.state, "running")
        self.assertFalse(job.spawn_count)

    def test_a_worker_takes_it(self):
        job = self.run_now()
        odoo_config.be_worker()
        self.env["backup.job"]._supervise()
        self.assertEqual(job.spawn_count, 1)
        self.assertFalse(job.waits_for_worker)
        job.write({"spawn_count": MAX_SPAWNS, "spawned_at": False})
        self.env["backup.job"]._supervise()
        self.assertEqual(job.error_code, NotStarted.code)

    def test_nobody_takes_it_and_that_is_told(self):
        scheduler = self.env["backup.scheduler"]
        job = self.run_now()
        self.assertIsNone(scheduler._problem())
        self.wait(job, WORKER_PATIENCE.total_seconds() / 60 + 1)
        self.assertIsInstance(scheduler._problem(), NoWorker)
        job.not_before = fields.Datetime.now() + timedelta(minutes=9)
        self.assertIsNone(scheduler._problem())
        job.write({"not_before": False, "spawn_count": 1})
        job.spawned_at = fields.Datetime.now()  # a worker has just started a process
        self.assertIsNone(scheduler._problem())
        job.spawned_at = False
        self.assertTrue(scheduler._problem())
        odoo_config.be_worker()
        self.assertIsNone(scheduler._problem())

    def test_what_runs_waits_for_nobody(self):
        job = self.run_now()
        self.wait(job, 60)
        self.assertTrue(runner.untaken_since(self.env.cr))
        job.state = "running"
        self.env.flush_all()
        with odoo_config.connection(self.env.cr.dbname, "test").connect() as other:
            self.addCleanup(other.close)
            other.cursor().execute(
                "SELECT pg_advisory_lock(%s, %s)", [runner.LOCK_CLASS, job.id]
            )
            self.assertFalse(runner.untaken_since(self.env.cr))

    def test_a_postgresql_that_is_away_ends_no_worker(self):
        troubles = {}
        config["db_name"] = []
        with patch(f"{worker.__name__}.list_dbs", side_effect=OperationalError("away")):
            with self.assertLogs(worker.__name__, "WARNING") as logs:
                self.assertEqual(worker._databases(troubles), [])
                self.assertEqual(worker._databases(troubles), [])
            self.assertEqual(len(logs.output), 1)
        config["db_name"] = ["shop"]
        self.assertEqual(worker._databases(troubles), ["shop"])
        self.assertFalse(troubles)

    def test_a_database_that_is_left_is_named_once_without_a_traceback(self):
        other = OtherServer(folder="/files", found=0, named=15)
        troubles = {}
        with self.assertLogs(worker.__name__, "WARNING") as said:
            for _again in range(2):
                with worker._named_once(troubles, "shop"):
                    raise other
        self.assertEqual(len(said.records), 1)
        self.assertFalse(said.records[0].exc_info)
        self.assertIn(str(other.hint), said.output[0])
