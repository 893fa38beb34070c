from datetime import timedelta
from unittest.mock import patch

from prometheus_client.parser import text_string_to_metric_families

from odoo import fields
from odoo.exceptions import AccessError
from odoo.tests import freeze_time, new_test_user, tagged
from odoo.tools import config

from .. import odoo_config, runner
from ..console import doctor
from ..engine.errors.runs import SwitchedOff
from ..engine.monitoring.metrics import exposition
from ..engine.progress import Progress
from ..models.overview.cards import storage_healths
from ..models.overview.problems import all_problems
from ..models.plan.overdue import verdicts
from ..models.storage import looking
from .common import BackupCase
from .test_backup_alerts import AlertCase


@tagged("post_install", "-at_install")
class TestBackupHealth(AlertCase):
    def health(self):
        self.env.flush_all()
        self.env.invalidate_all()
        return self.env["backup.monitor"]._health()

    def metrics(self):
        """Return the samples about the plan by name, as a scraper reads them."""
        text = exposition(self.env["backup.monitor"]._metrics())
        return {
            sample.name: sample
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.labels.get("plan") == "Nightly"
        }

    def test_all_is_well(self):
        self.ended()
        report = self.health()
        self.assertEqual((report["ok"], report["status"]), (True, "ok"))
        (plan,) = report["plans"]
        self.assertEqual((plan["plan"], plan["reason"]), ("Nightly", ""))
        self.assertLess(plan["age_seconds"], 60)

    def test_a_failure_is_not_well(self):
        self.ended()
        self.ended(dump_database="failure")
        report = self.health()
        self.assertEqual((report["ok"], report["status"]), (False, "failing"))
        self.assertIn("Broken", report["plans"][0]["reason"])

    def test_overdue_is_not_well(self):
        self.ended()
        with freeze_time(fields.Datetime.now() + timedelta(hours=31)):
            report = self.health()
            reason = verdicts(self.plan)[self.plan].reason
        self.assertEqual((report["ok"], report["status"]), (False, "overdue"))
        self.assertEqual(reason, "silent")
        self.assertTrue(report["plans"][0]["reason"])

    def test_only_copies_that_exist_are_backups(self):
        """A success in the history is none when nothing is left of it."""
        job, _mails = self.ended()
        copy, storage = job.copy_ids, self.storage
        # one that no plan uses any more may be archived
        self.plan.storage_ids = storage.copy({"local_path": str(self.root / "new")})
        changes = [
            (copy, {"state": "deleted"}),
            (copy, {"state": "missing"}),
            (copy, {"state": "damaged"}),
            (copy, {"complete": False}),
            (copy, {"seen_at": fields.Datetime.now() - timedelta(days=8)}),
            (storage, {"active": False}),
            (storage, {"owner_uuid": "11111111-2222-3333-4444-555555555555"}),
        ]
        for record, values in changes:
            with self.subTest(values):
                before = record.read(list(values))[0]
                record.write(values)
                report = self.health()
                self.assertEqual((report["ok"], report["status"]), (False, "failing"))
                self.assertFalse(report["plans"][0]["last_good"])
                self.assertTrue(report["plans"][0]["reason"])
                self.assertNotIn(
                    "dfr_backup_last_successful_timestamp_seconds", self.metrics()
                )
                page = self.env["backup.overview"].get_overview()
                (card,) = page["plans"]
                self.assertEqual((card["good"], card["tone"]), (False, "danger"))
                with freeze_time(fields.Datetime.now() + timedelta(hours=31)):
                    self.plan.invalidate_recordset()
                    self.assertTrue(self.plan.is_overdue)
                record.write({name: before[name] for name in values})
        self.assertTrue(self.health()["ok"])

    def test_why_it_is_overdue_when_the_backups_are_gone(self):
        job, _mails = self.ended()
        job.copy_ids.state = "missing"
        with freeze_time(fields.Datetime.now() + timedelta(hours=31)):
            self.cron.lastcall = fields.Datetime.now()
            self.env.invalidate_all()
            verdict = verdicts(self.plan)[self.plan]
        self.assertEqual(verdict.reason, "gone")

    def look(self):
        """Let the scheduled action look for storages; return the run that it makes."""
        scans = [("kind", "=", "scan"), ("trigger", "=", "schedule")]
        known = self.env["backup.job"].search(scans)
        looking.create_due(self.env)
        return self.env["backup.job"].search(scans) - known

    def test_each_storage_is_listed_every_day(self):
        self.assertFalse(self.look())  # it holds nothing yet
        job, _mails = self.ended()
        scan = self.look()
        self.assertEqual(scan.step_ids.storage_id, self.storage)
        self.assertFalse(self.look())  # it waits
        scan.state = "running"
        scan._perform()
        self.assertEqual(job.copy_ids.state, "missing")
        self.assertTrue(self.storage.listed_at)
        job.copy_ids.state = "verified"
        self.assertFalse(self.look())
        with freeze_time(fields.Datetime.now() + timedelta(hours=27)):
            self.assertTrue(self.look())

    def test_a_backup_sees_what_is_still_there(self):
        there, gone = (self.ended()[0] for _number in range(2))
        (self.root / "disk" / there.archive_name).write_bytes(b"PK")
        yesterday = fields.Datetime.now() - timedelta(days=1)
        (there + gone).copy_ids.seen_at = yesterday
        progress = Progress()
        there._run_context().catalogue.note_listed(
            self.storage,
            progress,
            there._run_context().catalogue.listing(self.storage, progress),
        )
        self.assertEqual(
            [there.copy_ids.state, gone.copy_ids.state], ["verified", "missing"]
        )
        self.assertGreater(there.copy_ids.seen_at, yesterday)
        self.assertEqual(gone.copy_ids.seen_at, yesterday)
        self.assertEqual(len(progress.warnings), 1)

    def test_no_plan_is_not_well(self):
        self.plan.active = False
        self.assertEqual(self.health()["status"], "no_plan")
        self.plan.write({"active": True, "frequency": "manual"})
        self.assertEqual(self.health()["status"], "no_plan")

    def test_metrics(self):
        job, _mails = self.ended()
        job.archive_size = 123_456_789
        found = self.metrics()
        labels = {"plan": "Nightly", "plan_id": str(self.plan.id)}
        stamp = found["dfr_backup_last_successful_timestamp_seconds"]
        self.assertEqual(stamp.labels, labels)
        self.assertEqual(fields.Datetime.to_string(job.date_end), _utc(stamp.value))
        self.assertEqual(found["dfr_backup_last_status"].value, 1)
        self.assertEqual(found["dfr_backup_overdue"].value, 0)
        self.assertEqual(found["dfr_backup_promise_seconds"].value, 30 * 3600)
        self.assertEqual(found["dfr_backup_last_size_bytes"].value, 123_456_789)
        self.ended(dump_database="failure")
        found = self.metrics()
        self.assertEqual(found["dfr_backup_last_status"].value, 0)
        self.assertEqual(found["dfr_backup_runs_total"].labels["kind"], "backup")

    def test_plans_of_the_same_name_can_be_told_apart(self):
        self.plan.copy({"name": self.plan.name})
        text = exposition(self.env["backup.monitor"]._metrics())
        lines = [
            line.rpartition(" ")[0] for line in text.splitlines() if line[0] != "#"
        ]
        self.assertEqual(len(lines), len(set(lines)))

    def test_both_are_cheap_whatever_the_history(self):
        self.ended()
        self.ended(dump_database="failure")
        self.history(1)
        for ask in (
            self.env["backup.monitor"]._health,
            self.env["backup.monitor"]._metrics,
        ):
            self.queries(ask)  # fills the caches
            few = self.queries(ask)
            self.history(500)
            self.assertEqual(self.queries(ask), few)
            self.assertLess(few, 28)

    def queries(self, ask):
        self.env.flush_all()
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        ask()
        return self.env.cr.sql_log_count - before

    def test_only_the_hash_of_a_token_is_kept(self):
        monitor = self.env["backup.monitor"]
        monitor._switch_off("metrics")
        token = monitor._new_token("health")
        self.assertGreaterEqual(len(token), 40)
        kept = self.env["ir.config_parameter"].search(
            [("key", "=like", "dfr_backup.%")]
        )
        self.assertNotIn(token, str(kept.mapped("value")))
        self.assertTrue(monitor._is_token("health", token))
        self.assertFalse(monitor._is_token("health", token[:-1]))
        self.assertFalse(monitor._is_on("metrics"))
        monitor._new_token("health")
        self.assertFalse(monitor._is_token("health", token))

    def test_settings(self):
        for monitor in ("health", "metrics"):
            self.env["backup.monitor"]._switch_off(monitor)
        settings = self.env["res.config.settings"].create({})
        self.assertFalse(settings.dfr_backup_health)
        action = settings.with_context(monitor="health").action_dfr_backup_monitor_on()
        token = action["context"]["default_token"]
        self.assertTrue(self.env["backup.monitor"]._is_token("health", token))
        wizard = self.env["backup.monitor.token"].with_context(**action["context"])
        shown = wizard.default_get(["url", "token"])
        self.assertEqual(shown["token"], token)
        self.assertTrue(shown["url"].endswith("/dfr_backup/health"))
        wizard.create(shown)
        settings = self.env["res.config.settings"].create({})
        self.assertEqual(
            (settings.dfr_backup_health, settings.dfr_backup_metrics), (True, False)
        )
        settings.with_context(monitor="health").action_dfr_backup_monitor_off()
        self.assertFalse(self.env["backup.monitor"]._is_on("health"))

    def test_only_administrators_switch_it(self):
        manager = new_test_user(self.env, "keeper", "dfr_backup.group_manager")
        settings = self.env["res.config.settings"].create({}).with_user(manager)
        for button in ("action_dfr_backup_monitor_on", "action_dfr_backup_monitor_off"):
            with self.subTest(button), self.assertRaises(AccessError):
                getattr(settings.with_context(monitor="health"), button)()


def _utc(timestamp):
    return fields.Datetime.to_string(
        fields.Datetime.from_string("1970-01-01") + timedelta(seconds=timestamp)
    )


@tagged("post_install", "-at_install")
class TestSwitchedOff(BackupCase):
    """odoo.conf says that no backups are made on this server."""

    def switch_off(self, value="False"):
        self.startPatcher(
            patch.dict(config._file_options, {"dfr_backup_enabled": value})
        )

    def test_only_a_no_switches_off(self):
        for value, enabled in (("False", False), ("0", False), ("True", True)):
            with patch.dict(config._file_options, {"dfr_backup_enabled": value}):
                self.assertEqual(odoo_config.is_enabled(), enabled)
        self.assertTrue(odoo_config.is_enabled())

    def test_nothing_starts(self):
        self.run_now()
        self.env.cr.postcommit.run()
        self.plan.next_run = fields.Datetime.now() - timedelta(hours=1)
        self.switch_off()
        jobs, spawned = self.env["backup.job"].search([]), self.spawn.call_count
        with self.assertRefuses(SwitchedOff):
            self.plan.action_run_now()
        with self.assertRefuses(SwitchedOff):
            self.env["backup.job"]._create_for(self.plan, "manual")
        self.env["backup.plan"]._cron_supervise()
        self.env["backup.job"]._supervise()
        self.env.cr.postcommit.run()
        self.assertEqual(self.env["backup.job"].search([]), jobs)
        self.assertEqual(self.spawn.call_count, spawned)
        self.assertFalse(self.plan._may_speak())
        with self.assertRaises(SwitchedOff):
            self.env["backup.identity"]._require_may_delete(self.storage)

    def test_a_runner_ends_at_once(self):
        self.switch_off()
        with (
            # of this process, in which all other tests are still to run
            patch.object(runner, "_reset_rlimits"),
            self.assertLogs("odoo.addons.dfr_backup", "ERROR"),
        ):
            self.assertEqual(runner.main(self.env.cr.dbname, 0), 1)

    def test_overview_health_and_doctor_say_so(self):
        self.switch_off()
        found = all_problems(self.env, {}, storage_healths(self.env))
        self.assertIn(
            ("switched_off", SwitchedOff.code), [(p["kind"], p["code"]) for p in found]
        )
        health = self.env["backup.monitor"]._health()
        self.assertEqual((health["ok"], health["status"]), (False, "switched_off"))
        with self.assertRaises(SwitchedOff):
            doctor._enabled(self.env)
