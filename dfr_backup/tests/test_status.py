"""What “odoo backup status” reads in SQL is what the models say."""

from dataclasses import replace
from datetime import timedelta, timezone

from odoo import fields
from odoo.tests import tagged

from .. import odoo_config
from ..console import doctor
from ..engine.errors.server import Paused
from ..engine.status.facts import status_facts
from ..engine.status.pause import PARAMETER, Pause
from ..engine.status.verdict import status_of
from ..models.overview.cards import storage_healths
from ..models.overview.problems import all_problems
from ..models.plan.overdue import promise_facts, verdicts
from .test_backup_alerts import AlertCase


@tagged("post_install", "-at_install")
class TestStatus(AlertCase):
    def looked(self):
        """Return the status of this database, which the models agree with."""
        self.env.flush_all()
        self.env.invalidate_all()
        name, now = self.env.cr.dbname, fields.Datetime.now()
        now = now.replace(tzinfo=timezone.utc)
        facts = status_facts(self.env.cr, now)
        every = self.env["backup.plan"].with_context(active_test=False).search([])
        plans = self.env["backup.plan"].browse(every.ids)
        known = promise_facts(plans)
        self.assertEqual([plan.id for plan in facts.plans], plans.ids)
        for read in facts.plans:
            of_models = replace(known[read.id], last_error="")
            self.assertEqual(replace(read.promise, last_error=""), of_models)
            self.assertEqual(
                str(read.promise.last_error), str(known[read.id].last_error)
            )
        self.assertEqual(facts.action, self.env["backup.scheduler"]._action())
        found = status_of(name, facts, now, odoo_config.is_enabled())
        health = self.env["backup.monitor"]._health()
        self.assertEqual(found.state, health["status"])
        overdue = {p.id for p in plans if p.is_overdue}
        self.assertEqual(
            {p.plan.id for p in found.plans if p.state == "overdue"}, overdue
        )
        return found

    def test_a_new_database_is_well(self):
        found = self.looked()
        self.assertEqual((found.state, found.last_good), ("ok", None))
        self.assertEqual(found.next_run.replace(tzinfo=None), self.plan.next_run)

    def test_a_good_backup(self):
        job, _mails = self.ended()
        found = self.looked()
        self.assertEqual(found.state, "ok")
        self.assertEqual(found.last_good.size, int(job.copy_ids.size))

    def test_a_failure(self):
        self.ended()
        self.ended(dump_database="failure")
        self.assertEqual(self.looked().state, "failing")

    def test_a_backup_that_is_gone(self):
        job, _mails = self.ended()
        job.copy_ids.state = "missing"
        self.assertEqual(self.looked().state, "failing")

    def test_a_copy_that_nobody_has_seen_for_long(self):
        job, _mails = self.ended()
        job.copy_ids.seen_at = fields.Datetime.now() - timedelta(days=8)
        self.assertIsNone(self.looked().last_good)

    def test_a_storage_of_another_database(self):
        self.ended()
        self.storage.owner_uuid = "of another"
        self.assertIsNone(self.looked().last_good)

    def test_an_archived_storage(self):
        self.ended()
        self.env.flush_all()
        self.env.cr.execute("UPDATE backup_storage SET active = false")
        self.assertIsNone(self.looked().last_good)

    def test_a_run_that_goes_on(self):
        job = self.run_now()
        job.write({"state": "running", "date_start": fields.Datetime.now()})
        job.step_ids[0].state = "running"
        (run,) = self.looked().facts.open_runs
        self.assertEqual((run.name, run.step), (job.name, job.step_ids[0].kind))

    def test_an_overdue_plan(self):
        self.plan.promised_since = fields.Datetime.now() - timedelta(hours=31)
        self.assertEqual(self.looked().state, "overdue")

    def test_no_plan(self):
        self.plan.active = False
        self.assertEqual(self.looked().state, "no_plan")

    def neutralize(self):
        self.env["ir.config_parameter"].set_param("database.is_neutralized", True)
        self.plan.active = self.storage.active = False
        self.env["backup.scheduler"]._cron().active = False

    def test_a_neutralized_copy(self):
        self.neutralize()
        self.assertEqual(self.looked().state, "neutralized")
        health = self.env["backup.monitor"]._health()
        self.assertEqual((health["ok"], health["scheduler_code"]), (True, None))
        for look in (doctor._cron, doctor._plans, doctor._last):
            self.assertTrue(doctor._looked("", look, self.env)["ok"])
        page = self.env["backup.overview"].get_overview()
        verdict = page["verdict"]
        self.assertEqual(
            (verdict["state"], verdict["tone"]), ("neutralized", "secondary")
        )
        self.assertEqual((page["problems"], page["setup"]), ([], False))
        self.assertEqual(self.env["backup.overview"].get_status()["alarms"], [])

    def test_a_neutralized_copy_that_backs_itself_up(self):
        self.neutralize()
        self.env["backup.scheduler"]._cron().active = True
        self.assertEqual(self.looked().state, "no_plan")
        verdict = self.env["backup.overview"].get_overview()["verdict"]
        self.assertEqual(verdict["state"], "no_plan")

    def pause(self, **values):
        now = fields.Datetime.now().replace(tzinfo=timezone.utc)
        pause = Pause(now, "root@host", **values)
        self.env["ir.config_parameter"].set_param(PARAMETER, pause.to_text())

    def test_a_pause(self):
        self.pause()
        self.assertEqual(self.looked().state, "paused")
        found = all_problems(self.env, {}, storage_healths(self.env))
        self.assertIn(("paused", Paused.code), [(p["kind"], p["code"]) for p in found])
        health = self.env["backup.monitor"]._health()
        self.assertEqual((health["ok"], health["pause_code"]), (False, Paused.code))
        with self.assertRaises(Paused):
            doctor._pause(self.env)

    def test_an_overdue_plan_that_is_paused(self):
        self.pause()
        self.plan.promised_since = fields.Datetime.now() - timedelta(hours=31)
        self.assertEqual(self.looked().state, "overdue")
        self.assertEqual(verdicts(self.plan)[self.plan].reason, "paused")
        self.assertIn("root@host", self.plan.overdue_reason)

    def test_a_pause_that_is_over(self):
        self.pause(until=fields.Datetime.now().replace(tzinfo=timezone.utc))
        self.assertEqual(self.looked().state, "ok")

    def test_what_is_due_waits_for_the_end_of_a_pause(self):
        due = fields.Datetime.now() - timedelta(minutes=5)
        names = ("next_run", "next_verification", "next_drill")
        self.plan.write(dict.fromkeys(names, due))
        self.storage.listed_at = False
        jobs = self.env["backup.job"]
        before = jobs.search([])
        self.pause()
        self.env["backup.plan"]._cron_supervise()
        self.assertEqual(jobs.search([]), before)
        self.assertEqual(self.plan.next_run, due)
        self.env["ir.config_parameter"].set_param(PARAMETER, False)
        self.env["backup.plan"]._cron_supervise()
        made = jobs.search([]) - before
        self.assertIn("backup", made.mapped("kind"))
        self.assertEqual(set(made.mapped("trigger")), {"schedule"})

    def test_a_scheduled_action_that_is_off(self):
        self.cron.active = False
        self.assertEqual(self.looked().state, "scheduler")

    def test_a_restore_test(self):
        self.plan.last_proven = fields.Datetime.now()
        tested = self.looked().tested_at
        self.assertEqual(tested.replace(tzinfo=None), self.plan.last_proven)
