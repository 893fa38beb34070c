"""A staging server beside production: both reach one database, one has its files."""

import random
from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.tests import freeze_time, tagged
from odoo.tools import config

from .. import odoo_config, runner
from ..console import doctor, every, runs, several
from ..engine.errors.identity import OtherServer
from ..engine.status.facts import status_facts
from ..engine.status.verdict import Status
from ..models.job.supervision import LEAVE_TO_OTHERS
from .common import BackupCase

NOW = "2026-06-15 00:10:00"


@tagged("post_install", "-at_install")
class TestRightServer(BackupCase):
    def setUp(self):
        super().setUp()
        self.startPatcher(freeze_time(NOW))
        self.start = fields.Datetime.now()
        self.plan.write({"tz": "UTC", "time": 0.0, "verify_every": "1"})
        self.production = odoo_config.filestore_path(self.env.cr.dbname)
        self.staging = self.root / "staging"
        self.here = self.production
        self.startPatcher(
            patch.object(odoo_config, "filestore_path", lambda _database: self.here)
        )
        self.storage.listed_at = self.start
        self.cron.nextcall = self.start + timedelta(minutes=50)
        self.env["ir.attachment"].create({"name": "x", "raw": b"the newest file"})
        self.triggers().unlink()

    def triggers(self):
        return self.env["ir.cron.trigger"].search([("cron_id", "=", self.cron.id)])

    def act(self):
        """Let the server run the scheduled action; return what it has started."""
        before = {job: job.spawn_count for job in self.env["backup.job"].search([])}
        now = [("call_at", "<=", fields.Datetime.now())]
        self.triggers().filtered_domain(now).unlink()
        self.env["backup.plan"]._cron_supervise()
        found = self.env["backup.job"].search([])
        return found.filtered(lambda job: job.spawn_count > before.get(job, 0))

    def test_a_day_of_staging_beside_production(self):
        """Every few minutes one of both asks for what is due, production seldom."""
        self.plan.frequency = "hourly"
        chance, by_staging, by_production = random.Random(7), 0, []
        for minutes in range(5, 24 * 60, 5):
            with freeze_time(self.start + timedelta(minutes=minutes)):
                is_staging = chance.random() < 0.8
                self.here = self.staging if is_staging else self.production
                started = self.act()
                if is_staging:
                    by_staging += len(started)
                    continue
                for job in started:
                    by_production.append((job.kind, job.scheduled_at))
                    self.record_copy(job)
                    self.end(job)
        self.assertEqual(by_staging, 0)
        backups = [at for kind, at in by_production if kind == "backup"]
        self.assertGreater(len(backups), 15)
        self.assertEqual(len(set(backups)), len(backups))
        states = self.plan.job_ids.filtered(lambda j: j.state != "pending")
        self.assertEqual(set(states.mapped("state")), {"success"})

    def test_what_is_left_is_as_it_was(self):
        self.here = self.staging
        job = self.run_now()
        self.triggers().unlink()
        before = job.read()
        self.env["backup.job"]._supervise()
        self.env.flush_all()
        job.invalidate_recordset()
        self.assertEqual(job.read(), before)
        self.assertEqual((job.state, job.spawn_count), ("pending", 0))
        self.assertTrue(job.waits_for_server)
        # this server asks again in a minute: another one must have asked before
        soon = fields.Datetime.now() + LEAVE_TO_OTHERS
        self.assertEqual(min(self.triggers().mapped("call_at")), soon)
        self.here = self.production
        self.env["backup.job"]._supervise()
        self.assertEqual(job.spawn_count, 1)
        job.invalidate_recordset()
        self.assertFalse(job.waits_for_server)

    def test_the_run_of_a_dead_host_is_left_to_its_server(self):
        job = self.run_now()
        job.write({"state": "running", "attempt": 3, "spawn_count": 0})
        self.here = self.staging
        self.env["backup.job"]._supervise()
        self.assertEqual((job.state, job.spawn_count), ("running", 0))
        self.assertFalse(job.error_code)

    def test_nobody_has_the_files_and_it_is_overdue(self):
        self.here = self.staging
        self.plan.promised_since = self.start
        with freeze_time(self.start + timedelta(days=1)):
            self.act()
        with freeze_time(self.start + timedelta(days=3)):
            self.assertFalse(self.act())
            self.plan.invalidate_recordset()
            self.assertTrue(self.plan.is_overdue)
            job = self.plan.job_ids.filtered(lambda job: job.kind == "backup")
            self.assertEqual((job.state, job.attempt), ("pending", 0))

    def test_it_is_said_everywhere(self):
        self.here = self.staging
        page = self.env["backup.overview"].get_overview()
        codes = {problem.get("code") for problem in page["problems"]}
        self.assertIn(OtherServer.code, codes)
        row = doctor._looked("cron", doctor._cron, self.env)
        self.assertEqual(row["error_code"], OtherServer.code)
        health = self.env["backup.monitor"]._health()
        self.assertEqual(health["scheduler_code"], OtherServer.code)
        self.here = self.production
        self.assertFalse(self.env["backup.scheduler"]._problem())

    def test_what_brings_files_back_is_taken_where_they_are_lost(self):
        self.here = self.staging
        jobs = self.env["backup.job"].sudo()
        drill = jobs._create_run("drill", [], "schedule")
        restore = jobs._create_run("restore", [], "manual")
        jobs._supervise()
        self.assertEqual((drill.spawn_count, restore.spawn_count), (0, 1))
        self.assertFalse(runner.other_server(self.env.cr, self.env.cr.dbname))
        self.env.flush_all()
        look = self.env.cr, self.env.cr.dbname
        self.assertFalse(runner.other_server(*look, restore.id))
        self.assertIsInstance(runner.other_server(*look, drill.id), OtherServer)

    def test_a_scan_is_taken_where_a_person_has_asked_for_it(self):
        """He looks for what he can bring back."""
        self.here = self.staging
        jobs = self.env["backup.job"].sudo()
        scan = jobs._create_run("scan", [], "schedule")
        jobs._supervise()
        self.assertEqual(scan.spawn_count, 0)
        self.env.flush_all()
        look = self.env.cr, self.env.cr.dbname, scan.id
        self.assertIsInstance(runner.other_server(*look), OtherServer)
        scan.trigger = "manual"
        jobs._supervise()
        self.assertEqual(scan.spawn_count, 1)
        self.env.flush_all()
        self.assertFalse(runner.other_server(*look))

    def test_the_operator_insists(self):
        self.here = self.staging
        before = config._runtime_options.copy()
        self.addCleanup(config._runtime_options.update, before)
        self.addCleanup(config._runtime_options.clear)
        config["dfr_backup_here"] = "True"
        self.assertEqual(self.run_now().spawn_count, 1)

    def test_the_command_starts_nothing(self):
        self.here = self.staging
        options = type("Options", (), {"json": True, "here": False, "plan": None})
        asked = []
        with patch.object(runs, "environment") as environment:
            environment.return_value.__enter__.return_value = self.env
            status = runs.follow_new(self.env.cr.dbname, options, asked.append)
        self.assertEqual((status, asked), (1, []))

    def test_the_command_for_all_names_it_and_starts_nothing(self):
        self.here = self.staging
        options = type("Options", (), {"json": True, "here": False, "plan": None})
        facts = status_facts(self.env.cr, several.now())
        status = Status(self.env.cr.dbname, "ok", facts=facts)
        with (
            patch.object(runs, "environment") as environment,
            patch.object(every.Registry, "delete"),
            patch.object(every, "close_db"),
        ):
            environment.return_value.__enter__.return_value = self.env
            row = every._begun(status, options)
        self.assertEqual(row.problem.code, OtherServer.code)
        self.assertFalse(self.plan.job_ids)
