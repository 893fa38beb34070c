import importlib.util
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import AccessError
from odoo.tests import freeze_time, new_test_user, tagged
from odoo.tools import config

from ..console import doctor
from ..engine.errors.runs import (
    ActionFailing,
    ActionLate,
    ActionMissing,
    ActionOff,
    ActionSlow,
    ActionTooFar,
)
from ..models import backup_scheduler
from ..models.job.alerts import ANNOUNCE_PATIENCE
from ..models.plan import due
from ..models.plan.due import NEXT_FIELDS
from ..models.storage import looking
from .common import BackupCase

NOW = "2026-06-15 12:00:00"
SIXTEEN_YEARS = timedelta(days=16 * 365)


class SchedulerCase(BackupCase):
    def setUp(self):
        super().setUp()
        self.startPatcher(freeze_time(NOW))
        self.now = fields.Datetime.now()
        self.plan.write({"tz": "UTC", "time": 0.0, "verify_every": "0"})
        self.plan.promised_since = self.now
        self.forget_triggers()
        self.cron.nextcall = self.now + timedelta(minutes=50)
        self.env.flush_all()

    def triggers(self):
        mine = [("cron_id", "=", self.cron.id)]
        return self.env["ir.cron.trigger"].search(mine).mapped("call_at")

    def supervise(self):
        """Let the scheduled action run as Odoo lets it: at its next call, whose
        triggers are gone then."""
        now = fields.Datetime.now()
        mine = [("cron_id", "=", self.cron.id), ("call_at", "<=", now)]
        self.env["ir.cron.trigger"].search(mine).unlink()
        self.env["backup.plan"]._cron_supervise()

    def stored(self):
        """Return a run that has stored a backup."""
        job = self.run_now()
        job.archive_name = f"{job.uuid}.zip"
        self.record_copy(job)
        self.storage.listed_at = self.now
        self.end(job)
        self.forget_triggers()
        return job

    def forget_triggers(self):
        self.env["ir.cron.trigger"].search([("cron_id", "=", self.cron.id)]).unlink()

    def next_wake(self):
        """Return when Odoo calls the action next: at a trigger, or at its next call,
        which it moves by the interval when that has passed."""
        self.env.invalidate_all()
        call = self.cron.nextcall
        while call <= fields.Datetime.now():
            call += timedelta(hours=1)
        return min([*self.triggers(), call])


@tagged("post_install", "-at_install")
class TestSchedulerSays(SchedulerCase):
    """Doctor, health, overview and metrics say the same about the scheduled action."""

    def said(self):
        """Return the code that each of them says; that it is said healed nothing
        yet."""
        scheduler = self.env["backup.scheduler"]
        with patch.object(type(scheduler), "_heal"):
            page = self.env["backup.overview"].get_overview()
            status = self.env["backup.overview"].get_status()
            health = self.env["backup.monitor"]._health()
            metrics = self.env["backup.monitor"]._metrics()
            row = doctor._looked("cron", doctor._cron, self.env)
        (good,) = [m for m in metrics if m.name == "dfr_backup_scheduler_ok"]
        codes = {
            row["error_code"] or False,
            health["scheduler_code"] or False,
            next(iter(p["code"] for p in _of(page["problems"])), False),
            next(iter(p["code"] for p in _of(status["alarms"])), False),
        }
        self.assertEqual(len(codes), 1)
        (code,) = codes
        self.assertEqual(bool(good.samples[0][1]), not code)
        self.assertEqual(row["ok"], not code)
        if code:
            self.assertFalse(health["ok"])
            self.assertTrue(health["scheduler_problem"])
        return code

    def test_that_all_is_well(self):
        self.assertFalse(self.said())

    def test_that_it_waits_for_years(self):
        self.cron.nextcall = self.now + SIXTEEN_YEARS
        self.assertEqual(self.said(), ActionTooFar.code)

    def test_that_it_waits_longer_than_its_interval(self):
        self.cron.nextcall = self.now + timedelta(hours=3)
        self.assertEqual(self.said(), ActionTooFar.code)
        self.cron.write({"interval_number": 2, "interval_type": "days"})
        self.assertFalse(self.said())
        self.cron.nextcall = self.now + timedelta(hours=47)
        self.assertEqual(self.said(), ActionSlow.code)
        self.plan.frequency = "weekly"
        self.assertFalse(self.said())

    def test_that_it_is_switched_off(self):
        self.cron.active = False
        self.assertEqual(self.said(), ActionOff.code)

    def test_that_it_fails(self):
        self.cron.write({"failure_count": 1, "first_failure_date": self.now})
        self.assertFalse(self.said())  # it is tried again at once
        self.cron.failure_count = 2
        self.assertEqual(self.said(), ActionFailing.code)

    def test_that_nobody_runs_it(self):
        self.cron.nextcall = self.now - timedelta(hours=2)
        self.assertEqual(self.said(), ActionLate.code)

    def test_that_it_was_deleted(self):
        self.cron.unlink()
        self.assertEqual(self.said(), ActionMissing.code)
        self.assertTrue(self.run_now().spawn_count)

    def test_nothing_where_backups_are_switched_off(self):
        self.cron.active = False
        off = patch.dict(config._file_options, {"dfr_backup_enabled": "False"})
        with off:
            self.assertFalse(self.env["backup.scheduler"]._look())


def _of(problems):
    return [problem for problem in problems if problem["kind"] == "scheduler"]


@tagged("post_install", "-at_install")
class TestSchedulerIsHealed(SchedulerCase):
    """The clock was sixteen years ahead once, and the action waits for that day."""

    def setUp(self):
        super().setUp()
        self.plan.drill_every = "7"
        self.plan.alert_digest = True
        self.right = {name: self.plan[name] for name in NEXT_FIELDS}
        with freeze_time(self.now + SIXTEEN_YEARS):
            self.plan.write(
                {"promised_since": fields.Datetime.now(), "frequency": "weekly"}
            )
            self.plan.write(
                {
                    "frequency": "daily",
                    "drill_every": "30",
                    "alert_digest": False,
                    "next_verification": False,
                }
            )
            self.plan.write({"drill_every": "7", "alert_digest": True})
            self.cron.nextcall = fields.Datetime.now() + timedelta(hours=1)
        self.env["ir.cron.trigger"].search([("cron_id", "=", self.cron.id)]).call_at = (
            self.now + SIXTEEN_YEARS
        )
        self.assertGreater(self.next_wake(), self.now + timedelta(days=5000))
        self.assertGreater(self.plan.next_run, self.now + timedelta(days=5000))
        self.env.flush_all()

    def assertHealed(self):
        self.env.invalidate_all()
        self.assertEqual(self.cron.nextcall, self.now)
        # the only ones left are those for the plan's right moments
        self.assertLessEqual(max(self.triggers()), self.now + timedelta(days=10))
        self.assertEqual({n: self.plan[n] for n in NEXT_FIELDS}, self.right)
        self.assertEqual(self.plan.promised_since, self.now)
        self.assertFalse(self.env["backup.scheduler"]._problem())

    def test_by_the_overview(self):
        page = self.env["backup.overview"].get_overview()
        self.assertEqual([p["code"] for p in _of(page["problems"])], ["RUN-04"])
        self.assertHealed()

    def test_by_the_icon_in_the_top_bar(self):
        status = self.env["backup.overview"].get_status()
        self.assertEqual([p["code"] for p in _of(status["alarms"])], ["RUN-04"])
        self.assertHealed()

    def test_by_the_health_address(self):
        report = self.env["backup.monitor"]._health()
        self.assertEqual(
            (report["status"], report["scheduler_code"]), ("scheduler", "RUN-04")
        )
        self.assertHealed()

    def test_by_the_metrics(self):
        self.env["backup.monitor"]._metrics()
        self.assertHealed()

    def test_by_the_doctor(self):
        row = doctor._looked("cron", doctor._cron, self.env)
        self.assertEqual(row["error_code"], "RUN-04")
        self.assertHealed()

    def test_by_run_backup_now(self):
        self.run_now()
        self.assertHealed()

    def test_by_the_end_of_a_run(self):
        job = self.plan.job_ids.create(
            {"name": "B1", "uuid": "b1", "database_uuid": "x", "plan_id": self.plan.id}
        )
        job.write({"state": "running", "cancel_requested": True})
        job._perform()
        self.assertEqual(job.state, "cancelled")
        self.assertHealed()

    def test_by_odoos_nightly_maintenance(self):
        self.env["backup.scheduler"]._gc_watch_promises()
        self.assertHealed()

    def test_who_has_switched_it_off_is_not_overruled(self):
        self.cron.active = False
        page = self.env["backup.overview"]
        (problem,) = _of(page.get_overview()["problems"])
        self.assertEqual(problem["code"], ActionOff.code)
        self.assertFalse(self.cron.active)
        viewer = new_test_user(self.env, "scheduler-viewer", "dfr_backup.group_viewer")
        with self.assertRaises(AccessError):
            getattr(page.with_user(viewer), problem["call"])()
        manager = new_test_user(
            self.env, "scheduler-manager", "dfr_backup.group_manager"
        )
        getattr(page.with_user(manager), problem["call"])()
        self.env.invalidate_all()
        self.assertTrue(self.cron.active)
        self.assertEqual(self.cron.nextcall, self.now)
        self.assertFalse(_of(page.get_overview()["problems"]))

    def test_an_interval_that_somebody_has_chosen_stays(self):
        self.cron.write({"interval_number": 2, "interval_type": "days"})
        self.cron.nextcall = self.now + timedelta(hours=47)
        self.env["backup.scheduler"]._look()
        self.assertEqual(self.cron.nextcall, self.now + timedelta(hours=47))


@tagged("post_install", "-at_install")
class TestSchedulerSleeps(SchedulerCase):
    def test_idle_it_sleeps_for_an_hour(self):
        """Its own next call is enough: no trigger is made for nothing."""
        self.cron.nextcall = self.now
        self.supervise()
        self.assertEqual(self.triggers(), [])
        self.assertEqual(self.next_wake(), self.now + timedelta(hours=1))

    def test_until_the_next_thing_is_due(self):
        self.plan.drill_every = "7"
        self.plan.alert_digest = True
        moment = self.now + timedelta(minutes=17)
        for name in NEXT_FIELDS:
            with self.subTest(name):
                self.plan[name] = moment
                self.forget_triggers()
                self.supervise()
                self.assertEqual(self.next_wake(), moment)
                self.plan[name] = self.now + timedelta(days=1)

    def test_no_moment_of_a_plan_is_forgotten(self):
        known = {n for n in self.plan._fields if n.startswith("next_")}
        self.assertEqual(known, set(NEXT_FIELDS))

    def test_until_a_promise_is_broken(self):
        self.plan.promised_since = self.now - timedelta(hours=29, minutes=30)
        self.plan.invalidate_recordset()
        self.supervise()
        with freeze_time(self.next_wake()):
            self.plan.invalidate_recordset()
            self.assertLess(fields.Datetime.now(), self.now + timedelta(minutes=31))
            self.supervise()
            self.assertTrue(self.plan.overdue_told_at)

    def test_until_a_storage_is_to_be_listed(self):
        self.stored()
        self.storage.listed_at = self.now - timedelta(hours=25, minutes=45)
        self.supervise()
        self.assertEqual(self.next_wake(), self.now + timedelta(minutes=15))

    def test_until_a_run_can_be_announced_whose_runner_died_at_its_end(self):
        job = self.stored()
        job.to_announce = True
        self.supervise()
        self.assertEqual(self.next_wake(), self.now + ANNOUNCE_PATIENCE)

    def test_each_minute_while_a_run_is_open(self):
        job = self.run_now()
        for state in ("pending", "running"):
            job.state = state
            self.forget_triggers()
            with patch.object(type(job), "_is_alive", lambda _job: True):
                self.supervise()
                self.supervise()
            self.assertEqual(self.triggers(), [self.now + timedelta(minutes=1)])

    def test_a_run_that_is_asked_for_wakes_it_in_a_minute(self):
        self.run_now()
        self.assertLessEqual(self.next_wake(), self.now + timedelta(minutes=1))
        self.forget_triggers()
        copy = self.env["backup.copy"].create(
            {"storage_id": self.storage.id, "key": "a.zip", "state": "verified"}
        )
        copy._request_verification("manual")  # it waits for the other
        self.assertLessEqual(self.next_wake(), self.now + timedelta(minutes=1))

    def test_while_its_own_next_call_is_far_a_trigger_stands_for_it(self):
        self.cron.nextcall = self.now + SIXTEEN_YEARS
        # as in the action itself, which Odoo has locked
        with patch.object(backup_scheduler, "try_lock", return_value=False):
            self.supervise()
        self.assertEqual(self.next_wake(), self.now + timedelta(hours=1))

    def test_what_was_due_and_could_not_be_done_is_no_reason_to_spin(self):
        self.plan.next_run = self.now - timedelta(minutes=1)
        self.forget_triggers()
        self.env["backup.scheduler"]._sleep()
        self.assertEqual(self.next_wake(), self.now + timedelta(minutes=10))

    def test_a_call_that_fails_is_tried_again_in_a_minute(self):
        plans = self.env["backup.plan"]
        for failures, minutes in ((0, 1), (2, 4), (20, 60)):
            self.cron.failure_count = failures
            self.forget_triggers()
            broken = patch.object(due, "create_due_runs", side_effect=ValueError)
            with self.enter_registry_test_mode(), broken:
                failed = False
                try:  # assertRaises would roll back
                    plans._cron_supervise()
                except ValueError:
                    failed = True
                self.assertTrue(failed)
            self.assertEqual(self.triggers(), [self.now + timedelta(minutes=minutes)])

    def test_the_upgrade_leaves_an_interval_that_somebody_has_chosen(self):
        path = Path(__file__).parents[1] / "migrations/19.0.1.1.0/post-scheduler.py"
        spec = importlib.util.spec_from_file_location("migration", path)
        migration = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(migration)
        for before, after in (
            ((10, "minutes"), (1, "hours")),
            ((5, "minutes"), (5, "minutes")),
        ):
            self.cron.write({"interval_number": before[0], "interval_type": before[1]})
            self.env.flush_all()
            migration.migrate(self.env.cr, "19.0.1.0.0")
            self.env.invalidate_all()
            found = self.cron.interval_number, self.cron.interval_type
            self.assertEqual(found, after)


@tagged("post_install", "-at_install")
class TestSchedulerTwins(SchedulerCase):
    """What else a clock that was ahead must not silence."""

    def test_a_storage_that_was_listed_in_the_future_is_listed(self):
        self.stored()
        self.storage.listed_at = self.now + SIXTEEN_YEARS
        looking.create_due(self.env)
        scans = self.env["backup.job"].search([("kind", "=", "scan")])
        self.assertEqual(scans.step_ids.storage_id, self.storage)

    def test_a_copy_that_was_seen_in_the_future_does_not_count(self):
        job = self.stored()
        countable = self.env["backup.copy"]._countable
        self.assertIn(job.copy_ids, job.copy_ids.search(countable()))
        job.copy_ids.seen_at = self.now + SIXTEEN_YEARS
        self.assertNotIn(job.copy_ids, job.copy_ids.search(countable()))

    def test_a_run_that_ended_in_the_future_is_announced(self):
        job = self.run_now()
        self.end(job)
        job.write({"to_announce": True, "date_end": self.now + SIXTEEN_YEARS})
        self.env["backup.job"]._announce_forgotten()
        self.assertFalse(job.to_announce)
