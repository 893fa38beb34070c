import re
from datetime import datetime, timedelta

from odoo import fields
from odoo.exceptions import UserError, ValidationError
from odoo.tests import Form, freeze_time, new_test_user, tagged

from ..engine.monitoring.chat import CHATS
from ..engine.policy.retention import PRESETS
from ..engine.policy.schedule import quiet_hours
from ..models.plan import due
from ..models.plan.beginning import create_default
from ..models.plan.in_words import schedule_in_words
from .common import BackupCase


@tagged("post_install", "-at_install")
class TestBackupPlan(BackupCase):
    def test_whoever_changes_a_plan_stands_beside_it(self):
        boss = new_test_user(self.env, "plan-boss", "dfr_backup.group_manager")
        self.env.cr.precommit.run()
        plan = self.plan.with_user(boss)
        plan.write({"frequency": "hourly", "retention": "year"})
        self.env.cr.precommit.run()
        said = self.plan.message_ids[0]
        changed = said.sudo().tracking_value_ids.field_id.mapped("name")
        self.assertEqual(set(changed), {"frequency", "promise_hours", "retention"})
        self.assertEqual(said.author_id, boss.partner_id)

    def test_the_name_of_a_preset_says_what_it_keeps(self):
        labels = dict(self.plan._fields["retention"]._description_selection(self.env))
        for name, policy in PRESETS.items():
            kept = (policy.daily, policy.weekly, policy.monthly, policy.yearly)
            told = [int(number) for number in re.findall(r"\d+", labels[name])]
            self.assertEqual(told, [count for count in kept if count], name)

    def test_each_chat_has_an_example_of_its_own(self):
        form, seen = Form(self.plan), set()
        for service in CHATS:
            form.chat_service = service
            seen.add(form.chat_example)
        self.assertEqual(len(seen - {False}), len(CHATS))

    def test_the_form_counts_runs_and_backups_and_leads_to_them(self):
        job = self.run_now()
        self.finalize(job)
        self.end(job)
        self.record_copy(job)
        self.assertEqual((self.plan.job_count, self.plan.backup_count), (1, 1))
        action = self.plan.action_view_backups()
        found = self.env[action["res_model"]].search(action["domain"])
        self.assertEqual(found, job.copy_ids.backup_id)
        self.assertEqual(self.env["backup.plan"].new().job_count, 0)

    def test_the_form_leads_to_what_was_weakened(self):
        before = self.plan.change_count
        self.env["backup.audit"]._note("retention", self.plan, "a", "b")
        self.plan.invalidate_recordset()
        self.assertEqual(self.plan.change_count, before + 1)
        action = self.plan.action_view_changes()
        lines = self.env[action["res_model"]].search(action["domain"])
        self.assertEqual(lines[0].record, self.plan.display_name)

    def test_installation_leaves_a_plan_that_works(self):
        plan = create_default(self.env["backup.plan"])
        self.assertEqual(plan.frequency, "daily")
        uuid = self.env["backup.job"]._current_database_uuid()
        self.assertAlmostEqual(plan.time, quiet_hours(uuid))
        self.assertTrue(
            plan.include_database and plan.include_filestore and plan.include_addons
        )
        self.assertTrue(plan.next_run)
        self.assertEqual(plan.storage_ids.provider, "local")
        plan.storage_ids._get_storage().probe()

    @freeze_time("2026-06-15 12:00:00")
    def test_next_run_is_local_time(self):
        self.plan.time = 2.5
        self.assertEqual(
            self.plan.next_run, datetime(2026, 6, 16, 0, 30)
        )  # 02:30 in Paris
        self.plan.frequency = "manual"
        self.assertFalse(self.plan.next_run)

    def test_due_plan_runs_once_however_often_it_was_missed(self):
        now = fields.Datetime.now()
        self.plan.next_run = now - timedelta(days=7)
        self.env["backup.plan"]._cron_supervise()
        job = self.plan.job_ids
        self.assertEqual((len(job), job.trigger), (1, "schedule"))
        self.assertEqual(job.scheduled_at, now - timedelta(days=7))
        self.assertGreater(self.plan.next_run, now)
        self.env["backup.plan"]._cron_supervise()
        self.assertEqual(self.plan.job_ids, job)

    def test_due_plan_does_not_queue_behind_its_own_waiting_run(self):
        job = self.run_now()
        self.plan.next_run = fields.Datetime.now() - timedelta(minutes=1)
        self.env["backup.plan"]._cron_supervise()
        self.assertEqual(self.plan.job_ids, job)

    def test_cron_is_woken_at_the_next_time(self):
        cron = self.env.ref("dfr_backup.ir_cron_supervise")
        moment = fields.Datetime.now().replace(microsecond=0) + timedelta(hours=3)
        self.plan.next_run = moment
        triggers = self.env["ir.cron.trigger"].search([("cron_id", "=", cron.id)])
        self.assertIn(moment, triggers.mapped("call_at"))

    def test_impossible_plans_are_refused(self):
        for values in (
            {
                "include_database": False,
                "include_filestore": False,
                "include_addons": False,
            },
            {"storage_ids": [(5,)]},
            {"time": 24.0},
            {"time": -1},
            {"monthday": 0},
        ):
            with (
                self.subTest(values),
                self.assertRaises(ValidationError),
                self.cr.savepoint(),
            ):
                self.plan.write(values)

    def test_plan_with_history_is_not_deleted(self):
        self.run_now()
        with self.assertRaises(UserError):
            self.plan.unlink()

    def test_cron_in_test_mode(self):
        self.plan.next_run = fields.Datetime.now() - timedelta(minutes=1)
        with self.enter_registry_test_mode():
            self.env.ref("dfr_backup.ir_cron_supervise").method_direct_trigger()
        self.assertEqual(len(self.plan.job_ids), 1)

    # === PAUSED === #

    def test_a_paused_plan_starts_no_run_until_then(self):
        with freeze_time("2026-06-15 12:00:00"):  # it runs at 02:00 in Paris
            self.plan.paused_until = "2026-06-18 12:00:00"
            self.assertEqual(str(self.plan.next_run), "2026-06-19 00:00:00")
        with freeze_time("2026-06-18 11:00:00"):
            self.env["backup.plan"]._cron_supervise()
            self.assertFalse(self.plan.job_ids)
            self.assertTrue(self.plan.warnings)
        with freeze_time("2026-06-19 00:00:01"):
            self.env["backup.plan"]._cron_supervise()
            self.assertEqual(len(self.plan.job_ids), 1)

    def test_a_pause_that_is_cleared_ends(self):
        with freeze_time("2026-06-15 12:00:00"):
            self.plan.paused_until = "2026-06-18 12:00:00"
            self.plan.paused_until = False
            self.assertEqual(str(self.plan.next_run), "2026-06-16 00:00:00")

    def test_one_run_is_skipped_and_none_after_it(self):
        with freeze_time("2026-06-15 12:00:00"):
            self.plan._compute_next_run()
            self.plan.action_skip_next()
            self.assertEqual(str(self.plan.next_run), "2026-06-17 00:00:00")
            with self.assertRaises(UserError):
                self.plan.action_skip_next()
            about = [("action", "=", "pause"), ("res_id", "=", self.plan.id)]
            self.assertEqual(self.env["backup.audit"].search_count(about), 1)
            self.plan.frequency = "manual"
            with self.assertRaises(UserError):
                self.plan.action_skip_next()

    def test_a_right_clock_leaves_a_pause_alone(self):
        with freeze_time("2026-06-15 12:00:00"):
            self.plan.paused_until = "2026-07-14 12:00:00"
            due.forget_wrong_clocks(self.plan, fields.Datetime.now())
            self.assertEqual(str(self.plan.next_run), "2026-07-15 00:00:00")

    # === TIMES === #

    def test_a_reader_in_another_zone_is_told_his_time(self):
        with freeze_time("2026-06-15 12:00:00"):
            self.plan._compute_next_run()
            for zone, time in (
                ("Europe/Paris", ""),
                ("Europe/Rome", ""),
                ("UTC", "00:00"),
            ):
                with self.subTest(zone):
                    words = schedule_in_words(self.plan.with_context(tz=zone))
                    self.assertEqual("00:00" in words, bool(time))
            words = schedule_in_words(self.plan.with_context(tz="no/where"))
            self.assertNotIn("00:00", words)

    def test_the_names_of_the_first_plan_follow_the_administrator(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        self.env.ref("base.user_admin").lang = "fr_FR"
        plan = create_default(self.env["backup.plan"])
        french = self.env["backup.plan"].with_context(lang="fr_FR").env._("Every night")
        self.assertEqual(plan.name, french)
