"""What waits for a slot of its server, and says so."""

from datetime import timedelta

from odoo import fields
from odoo.tests import tagged
from odoo.tools import config

from .. import odoo_config, run_queue
from ..console import worker
from ..engine.errors.runs import (
    LimitUnusable,
    SlotsUnusable,
    WaitsForRun,
    WaitsForSlot,
    WaitsForTest,
)
from ..engine.policy.supervision import MAX_SPAWNS, WORKER_PATIENCE
from ..engine.queue.tickets import LAST, Ticket
from ..models.job import turn
from .common import BackupCase, patch


@tagged("post_install", "-at_install")
class TestTurn(BackupCase):
    def setUp(self):
        super().setUp()
        before = config._runtime_options.copy()
        self.addCleanup(config._runtime_options.update, before)
        self.addCleanup(config._runtime_options.clear)
        config["dfr_backup_max_running"] = "1"
        self.spawn.reset_mock()
        self.addCleanup(self.empty)

    def empty(self):
        """Leave nothing that waits, or runs, for the next test."""
        folder = odoo_config.slots_folder().path
        for path in folder.iterdir() if folder.is_dir() else []:
            path.unlink()

    def other(self, number=1, **values):
        """Return the ticket of a run of another database, older than any here."""
        who = (odoo_config.server_name(), f"other{number}", number, f"uuid{number}")
        return Ticket(*who, since=float(number), **values)

    def hold(self, **values):
        """Let another database have the slot until the test ends."""
        held = run_queue.queue().next(self.other(**values))
        self.addCleanup(held.close)
        return held

    def after_commit(self):
        self.env.cr.postcommit.run()
        return self.spawn.mock_calls

    def supervise(self):
        self.env["backup.job"]._supervise()

    def test_a_run_waits_says_where_it_stands_and_begins(self):
        held = self.hold()
        job = self.run_now()
        self.assertEqual(job.error_code, WaitsForSlot.code)
        self.assertEqual((job.state, job.spawn_count), ("pending", 0))
        self.assertFalse(self.after_commit())
        [ticket] = run_queue.queue().waiting()
        self.assertEqual((ticket.job, ticket.run), (job.id, job.uuid))
        self.assertEqual(ticket.database, self.env.cr.dbname)
        run_queue.queue().enter(self.other(2))
        told = job.error
        self.supervise()
        self.assertNotEqual(job.error, told)
        run_queue.leave("other2", "uuid2")
        held.close()
        self.supervise()
        self.assertEqual(
            (job.spawn_count, job.error, job.error_code), (1, False, False)
        )
        [(_name, arguments, _values)] = self.after_commit()
        self.assertEqual(arguments[:3], (self.env.cr.dbname, job.id, job.uuid))
        self.assertEqual(run_queue.queue().waiting(), [])

    def test_a_run_that_was_interrupted_waits_as_well(self):
        job = self.run_now()
        self.after_commit()
        held = self.hold()
        job.write({"state": "running", "attempt": 1, "spawn_count": 0})
        step = job.step_ids[1]
        step.state = "running"
        self.supervise()
        self.assertEqual((job.state, job.error_code), ("running", WaitsForSlot.code))
        self.assertEqual(job.spawn_count, 0)
        noted = step.log
        self.supervise()
        self.assertEqual(step.log, noted)
        held.close()
        self.supervise()
        self.assertEqual((job.spawn_count, job.error_code), (1, False))

    def test_the_expected_moment_is_told(self):
        self.hold(seconds=3600)
        job = self.run_now()
        self.assertIn(
            fields.Datetime.to_string(fields.Datetime.now() + timedelta(hours=1))[:13],
            job.hint,
        )

    def test_a_cancel_works_at_once(self):
        self.hold()
        job = self.run_now()
        self.after_commit()
        job.action_cancel()
        self.assertEqual(job.state, "cancelled")
        self.assertFalse(self.after_commit())
        self.assertEqual(run_queue.queue().waiting(), [])

    def test_a_restore_goes_before_a_backup_that_waits(self):
        self.hold()
        backup = self.run_now()
        jobs = self.env["backup.job"]
        steps = [{"kind": "check"}]
        first = jobs._create_run("import", steps, "manual")
        self.assertTrue(turn.goes_before(first, backup))
        self.assertFalse(turn.goes_before(backup, first))
        self.assertEqual(turn.in_order(backup + first), first + backup)
        first._start()
        self.after_commit()
        waiting = run_queue.queue().waiting()
        self.assertEqual([ticket.job for ticket in waiting], [first.id, backup.id])

    def test_a_restore_test_waits_for_another_one(self):
        config["dfr_backup_max_running"] = "2"
        self.hold(priority=LAST)
        drill = self.env["backup.job"]._create_run("drill", [], "manual")
        drill._start()
        self.assertEqual(drill.error_code, WaitsForTest.code)
        self.assertFalse(drill.spawn_count)

    def test_a_run_says_which_one_of_its_database_it_waits_for(self):
        first = self.run_now()
        first.state = "running"
        second = self.plan.copy({"name": "Other"})._request_run("manual")
        third = self.plan.copy({"name": "Third"})._request_run("manual")
        self.assertEqual([second.error_code, third.error_code], [WaitsForRun.code] * 2)
        self.assertIn(first.name, second.error)
        told = [turn.place_of(second)["before"], turn.place_of(third)["before"]]
        self.assertEqual(told, [1, 2])
        self.assertIsNone(turn.place_of(first))
        self.assertFalse(second.spawn_count)
        with patch.object(type(first), "_is_alive", lambda job: job == first):
            restore = self.env["backup.job"]._create_run("import", [], "manual")
            restore._start()
            self.supervise()
            self.assertEqual(turn.place_of(second)["before"], 2)
            restore.action_cancel()
            first.state = "success"
            self.supervise()
        self.assertEqual((second.error_code, second.spawn_count), (False, 1))
        self.assertIn(second.name, third.error)
        self.assertEqual(turn.place_of(third), {"before": 1, "expected": None})

    def test_a_run_behind_another_says_when(self):
        first = self.run_now()
        first.state = "running"
        with patch.object(turn, "estimate_seconds_left", lambda _job: 3600):
            second = self.plan.copy({"name": "Other"})._request_run("manual")
            third = self.plan.copy({"name": "Third"})._request_run("manual")
        for job, hours in ((second, 1), (third, 2)):
            expected = fields.Datetime.to_datetime(
                turn.place_of(job)["expected"] + ":00"
            )
            late = fields.Datetime.now() + timedelta(hours=hours) - expected
            self.assertLess(abs(late), timedelta(minutes=2))

    def test_a_run_that_was_put_off_keeps_its_reason(self):
        first = self.run_now()
        first.state = "running"
        second = self.plan.copy({"name": "Other"})._request_run("manual")
        second.write({"not_before": fields.Datetime.now() + timedelta(minutes=5)})
        second.write({"error": "Put off", "error_code": "DUMP-99"})
        with patch.object(type(first), "_is_alive", lambda job: job == first):
            self.supervise()
        self.assertEqual(second.error_code, "DUMP-99")

    def test_a_folder_that_cannot_be_used_is_told(self):
        job = self.run_now()
        self.after_commit()
        self.empty()
        odoo_config.slots_folder().path.rmdir()
        odoo_config.slots_folder().path.touch()
        self.addCleanup(odoo_config.slots_folder().path.unlink)
        job.write({"spawn_count": 0, "spawned_at": False})
        self.spawn.reset_mock()
        for _try in range(MAX_SPAWNS):
            self.supervise()
            self.assertEqual(job.error_code, SlotsUnusable.code)
            self.assertEqual(job.state, "pending")
            with self.assertLogs("odoo.addons.dfr_backup", "ERROR"):
                self.assertFalse(self.after_commit())
            job.spawned_at = False
        self.supervise()
        self.assertEqual((job.state, job.error_code), ("failure", SlotsUnusable.code))

    def test_a_ticket_of_a_run_that_is_over_starts_nothing(self):
        for ticket in (self.other(), self.other(2)):
            run_queue.queue().enter(ticket)
        run_queue.start_next()
        self.assertFalse(self.spawn.mock_calls)
        self.assertEqual(run_queue.queue().waiting(), [])

    def begins(self, job, **values):
        """Tell whether the run begins, as whoever has freed a slot sees it."""
        self.env.flush_all()
        told = {"job": job.id, "run": job.uuid, **values}
        self.env.cr.execute(run_queue.BEGIN, told)
        job.invalidate_recordset()
        return bool(self.env.cr.rowcount)

    def test_what_still_waits_begins(self):
        job = self.run_now()
        self.assertTrue(self.begins(job))
        self.assertEqual(job.spawn_count, 2)
        self.assertFalse(self.begins(job, run="another"))
        other = self.plan.copy({"name": "Other"})._request_run("manual")
        other.state = "running"
        self.assertFalse(self.begins(job))
        self.assertTrue(self.begins(other))
        other.state = "success"
        job.action_cancel()
        self.assertFalse(self.begins(job))

    def test_what_came_with_a_dump_does_not_begin(self):
        job = self.run_now()
        job.database_uuid = "of another database"
        self.assertFalse(self.begins(job))

    def test_a_limit_that_is_none(self):
        for value in ("0", "-1", "many", "1.5"):
            config["dfr_backup_max_running"] = value
            with self.assertRaises(LimitUnusable):
                odoo_config.max_running()
            with self.assertLogs("odoo.addons.dfr_backup", "WARNING"):
                self.assertEqual(run_queue.what_runs(), [])
        config["dfr_backup_max_running"] = ""
        self.assertGreaterEqual(odoo_config.max_running(), 1)

    # === WHERE A WORKER STARTS RUNS === #

    def test_what_a_worker_lets_wait_is_told_by_odoo(self):
        config["dfr_backup_spawn"] = "False"
        job = self.run_now()
        self.assertTrue(job.waits_for_worker)
        odoo_config.be_worker()
        held = self.hold()
        self.supervise()
        self.after_commit()
        config["dfr_backup_spawn"] = "False"
        job.invalidate_recordset()
        self.assertEqual(job.error_code, WaitsForSlot.code)
        self.assertFalse(job.waits_for_worker)
        held.close()
        run_queue.leave(self.env.cr.dbname, job.uuid)
        self.supervise()
        self.assertFalse(job.error_code)

    def test_a_worker_that_lets_a_run_wait_is_there(self):
        config["dfr_backup_spawn"] = "False"
        job = self.run_now()
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE backup_job SET create_date = create_date - %s, date_end = NULL",
            [2 * WORKER_PATIENCE],
        )
        job.invalidate_recordset()
        scheduler = self.env["backup.scheduler"]
        self.assertTrue(scheduler._problem())
        run_queue.queue().enter(turn._ticket(job))
        self.assertIsNone(scheduler._problem())

    def test_a_worker_loads_a_database_that_waits_once(self):
        self.hold()
        job = self.run_now()
        self.after_commit()
        known, runs = {}, {job.id: job.uuid}
        name = self.env.cr.dbname
        with (
            patch.object(worker, "_open_runs", lambda _database: runs),
            patch.object(worker, "_supervise") as supervise,
        ):
            for expected in (1, 1, 1):
                worker.look(name, {}, known)
                self.assertEqual(supervise.call_count, expected)
            runs[job.id + 1] = "a restore"
            worker.look(name, {}, known)
            worker.look(name, {}, known)
            self.assertEqual(supervise.call_count, 2)
            run_queue.leave(name, job.uuid)
            worker.look(name, {}, known)
            self.assertEqual(supervise.call_count, 3)
