from datetime import timedelta

from odoo import fields
from odoo.tests import freeze_time, tagged

from .common import BackupCase

NOW = "2026-06-15 12:00:00"  # the plan runs at midnight, in UTC


@tagged("post_install", "-at_install")
class TestClocks(BackupCase):
    """The clock was ahead for a while, and is right again."""

    def setUp(self):
        super().setUp()
        self.startPatcher(freeze_time(NOW))
        self.plan.write({"tz": "UTC", "time": 0.0, "drill_every": "7"})
        self.now = fields.Datetime.now()
        self.tomorrow = self.plan.next_run

    def live_in(self, **future):
        """Let the clock be ahead while the scheduled action runs, and its run end
        well."""
        with freeze_time(self.now + timedelta(**future)):
            self.env["backup.plan"]._cron_supervise()
            self.env.flush_all()
            jobs = self.plan.job_ids
            for job in jobs:
                job.write({"state": "running", "date_start": fields.Datetime.now()})
                self.end(job)
        self.plan.invalidate_recordset()
        return jobs

    def test_a_clock_that_was_ten_years_ahead_silences_no_plan(self):
        early = self.live_in(days=3650)
        self.assertEqual(len(early.filtered(lambda job: job.kind == "backup")), 1)
        self.assertGreater(self.plan.next_run, self.now + timedelta(days=3000))
        with self.assertLogs("odoo.addons.dfr_backup", "WARNING"):
            self.env["backup.plan"]._cron_supervise()
        self.assertEqual(self.plan.next_run, self.tomorrow)
        week = self.now + timedelta(days=7)
        self.assertEqual(
            (self.plan.next_verification, self.plan.next_drill), (week, week)
        )
        with freeze_time(self.tomorrow + timedelta(minutes=1)):
            self.env["backup.plan"]._cron_supervise()
        self.assertEqual(
            len((self.plan.job_ids - early).filtered(lambda j: j.kind == "backup")), 1
        )

    def test_a_clock_that_is_put_back_an_hour_repeats_no_run(self):
        early = self.live_in(hours=13)
        self.assertEqual(len(early), 1)
        with freeze_time(self.now + timedelta(hours=11.5)):
            self.env["backup.plan"]._cron_supervise()
        with freeze_time(self.now + timedelta(hours=12.5)):
            self.env["backup.plan"]._cron_supervise()
        self.assertEqual(self.plan.job_ids, early)

    def test_a_run_that_ended_in_the_future_hides_no_silence(self):
        self.plan.promised_since = self.now
        self.live_in(days=3650)
        with freeze_time(self.now + timedelta(days=3)):
            self.plan.invalidate_recordset()
            self.assertTrue(self.plan.is_overdue)

    def test_what_waits_for_the_future_is_started(self):
        job = self.run_now()
        future = self.now + timedelta(days=3650)
        job.write({"spawned_at": future, "spawn_count": 0, "not_before": future})
        self.env["backup.job"]._supervise()
        self.assertEqual(job.spawn_count, 1)

    def test_no_run_takes_less_than_no_time(self):
        job = self.run_now()
        job.step_ids[0].seconds = 5
        job.write({"date_start": self.now, "date_end": self.now - timedelta(days=1)})
        self.assertEqual(job.duration, 5)
