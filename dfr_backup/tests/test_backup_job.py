import importlib.util
import io
import json
import zipfile
from argparse import Namespace
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tools import config

from .. import odoo_config
from ..console import doctor, locations, runs
from ..console.runs import _as_table
from ..engine.errors import Deferred
from ..engine.errors.archive import EncryptedMeanwhile, StaysInTheClear
from ..engine.errors.dump import GaveWay
from ..engine.errors.local import DirectoryMissing
from ..engine.errors.other import ForeignRun
from ..engine.errors.places import NoSuchLocation
from ..engine.errors.runs import Interrupted, NotStarted
from ..engine.policy.supervision import MAX_ATTEMPTS
from ..engine.progress import Progress
from ..runs.backup import BackupRun
from .common import BackupCase


@tagged("post_install", "-at_install")
class TestBackupJob(BackupCase):
    def test_time_of_a_run_that_hangs_is_a_time(self):
        for said, seconds in ((None, 7200), ("", 7200), ("0.5", 30), ("1e9", 6e10)):
            with (
                self.subTest(said),
                patch.dict(config._runtime_options, dfr_backup_hang_minutes=said),
            ):
                self.assertEqual(odoo_config.hang_seconds(), seconds)
        for said in ("0", "-1", "never", "nan", "inf"):
            with (
                self.subTest(said),
                patch.dict(config._runtime_options, dfr_backup_hang_minutes=said),
                self.assertRaisesRegex(ValueError, "dfr_backup_hang_minutes"),
            ):
                odoo_config.hang_seconds()

    def test_run_that_gives_way_leaves_its_place_to_one_that_waits(self):
        job = self.run_now()
        job.state = "running"
        waiting = self.run_now()
        self.assertNotEqual(waiting, job)
        gave_way = Deferred.because(GaveWay(session="process 7"))
        job._run_context().ending.postpone(gave_way)
        self.assertEqual((job.state, waiting.state), ("cancelled", "pending"))
        self.assertIn(waiting.name, job.hint)
        self.assertEqual(set(job.step_ids.mapped("state")), {"skipped"})

    def test_the_upgrade_gives_a_run_the_code_of_its_step(self):
        path = Path(__file__).parents[1] / "migrations/19.0.1.1.0/post-codes.py"
        spec = importlib.util.spec_from_file_location("migration", path)
        migration = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(migration)
        unreachable = "PostgreSQL cannot be reached."
        for said, by_step, code in (
            (f"Initialize: {unreachable}", unreachable, "DUMP-06"),
            ("Upload: a: h cannot be reached.", "h cannot be reached.", "S3-33"),
            ("Initialize: Nobody knows.", "Nobody knows.", False),
            # no step says it
            (f"Initialize: {unreachable}", False, False),
            (unreachable, False, "DUMP-06"),
        ):
            with self.subTest(said):
                job = self.run_now()
                job.step_ids[0].write({"state": "failure", "error": by_step})
                job.write({"state": "failure", "error": said})
                self.env.flush_all()
                migration.migrate(self.env.cr, "19.0.1.0.0")
                self.env.invalidate_all()
                self.assertEqual(job.error_code, code)
                self.assertEqual(job.step_ids[0].error_code, by_step and code)

    def test_a_location_of_no_storage_is_not_opened(self):
        asked = Namespace(location="/nowhere", json=True)
        with (
            patch.object(locations, "environment", lambda _name: nullcontext(self.env)),
            redirect_stdout(io.StringIO()) as printed,
        ):
            self.assertEqual(locations.open_location("x", asked), 1)
        self.assertEqual(
            json.loads(printed.getvalue())["error_code"], NoSuchLocation.code
        )

    def test_table_of_the_command_line_has_a_hint_where_there_is_one(self):
        job = self.run_now()
        first, second = job.step_ids[:2]
        first.write({"state": "failure", "error": "It broke.", "hint": "Mend it."})
        first.error_code = "X-01"
        second.write({"state": "failure", "error": "So did this.", "hint": False})
        table = _as_table(job)
        self.assertEqual(table.count("->"), 1)
        self.assertIn("It broke. [X-01]\n      -> Mend it.\n", table)
        self.assertRegex(table, r"So did this\.\n  \S")

    def test_table_of_the_command_line_says_why_though_no_step_has_begun(self):
        job = self.run_now()
        job._run_context().ending.close_unstartable()
        self.assertFalse(any(job.step_ids.mapped("error")))
        said = f"{job.error} [{NotStarted.code}]\n  -> {job.hint}"
        self.assertEqual(_as_table(job).count(said), 1)

    def test_command_line_says_why_nothing_was_started(self):
        def refuse(_env):
            error = UserError("Not now.")
            error.context = {"error_code": "X-01"}
            raise error

        for error, code in ((refuse, "X-01"), ({}.__getitem__, None)):
            said, printed = io.StringIO(), io.StringIO()
            with (
                self.subTest(code),
                patch.object(
                    runs, "environment", lambda _database: nullcontext(self.env)
                ),
                redirect_stderr(said),
                redirect_stdout(printed),
            ):
                for as_json in (False, True):
                    options = Namespace(json=as_json)
                    self.assertEqual(runs.follow_new("db", options, error), 1)
                facts = json.loads(printed.getvalue())
                self.assertEqual(
                    (facts["state"], facts["error_code"]), ("failure", code)
                )
                shown = f"{facts['error']} [{code}]" if code else facts["error"]
                self.assertEqual(said.getvalue(), f"{shown}\n")

    def test_doctor_has_the_hint_below_what_is_wrong(self):
        def broken(_env):
            raise DirectoryMissing(folder="/x")

        printed = io.StringIO()
        checks = [("A", broken), ("B", lambda _env: "fine"), ("C", doctor._plans)]
        self.env["backup.plan"].search([]).active = False
        self.env["backup.storage"].search([]).active = False
        with (
            patch.object(doctor, "OF_SERVER", []),
            patch.object(doctor, "CHECKS", checks),
            patch.object(doctor, "environment", lambda _db: nullcontext(self.env)),
            redirect_stdout(printed),
        ):
            self.assertEqual(doctor.doctor("db", Namespace(json=True)), 1)
            rows = json.loads(printed.getvalue())
            printed.truncate(0)
            printed.seek(0)
            doctor.doctor("db", Namespace(json=False))
        self.assertEqual([row["ok"] for row in rows], [False, True, False])
        self.assertEqual(rows[0]["error_code"], DirectoryMissing.code)
        self.assertEqual([bool(row["hint"]) for row in rows], [True, False, True])
        self.assertIn(
            f"{rows[0]['detail']} [{DirectoryMissing.code}]\n"
            f"        -> {rows[0]['hint']}\n",
            printed.getvalue(),
        )

    def test_button_creates_a_run_with_all_its_steps(self):
        job = self.run_now()
        self.assertEqual(job.state, "pending")
        self.assertEqual(
            job.step_ids.mapped("kind"),
            [
                "initialize",
                "dump_database",
                "archive_files",
                "compress",
                "upload",
                "verify",
                "cleanup",
            ],
        )
        self.assertEqual(set(job.step_ids.mapped("state")), {"pending"})
        self.assertIn(self.storage.name, job.step_ids[4].display_name)

    def test_a_run_is_called_by_what_it_is_about(self):
        self.assertEqual(self.run_now().subject, self.plan.name)
        scan = self.env["backup.job"].browse(self.storage.action_scan()["res_id"])
        self.assertEqual(scan.subject, self.storage.name)
        for job in (self.run_now(), scan):
            self.assertIn(job.subject, job.title)
            self.assertNotEqual(job.subject, job.title)

    def test_steps_of_a_restore_test_are_those_of_a_backup_and_not_of_a_storage(self):
        job = self.run_now()
        self.end(job)
        self.record_copy(job)
        copy = job.copy_ids
        test = self.env["backup.job"].browse(copy.action_drill()["res_id"])
        self.assertIn(copy._moment(), test.subject)
        for step in test.step_ids:
            self.assertNotIn(self.storage.name, step.display_name)
            self.assertIn(self.storage.name, str(step._label()))
            for part in (copy._moment(), self.storage.name):
                self.assertIn(part, step.about)
        self.assertFalse(any(job.step_ids.mapped("about")))

    def test_a_restore_names_its_database(self):
        job = self.run_now()
        self.end(job)
        self.record_copy(job)
        values = {"restore_database": "copy_of_it"}
        restore = job.copy_ids._request_restore(**values)
        self.assertIn(job.copy_ids._moment(), restore.subject)
        self.assertIn("copy_of_it", restore.subject)

    def test_graphs_show_averages_in_units_of_people(self):
        job = self.run_now()
        self.finalize(job, 3 * 2**20)
        job.write({"date_start": "2026-10-12 02:00:00"})
        job.write({"date_end": "2026-10-12 02:01:30"})
        self.assertEqual((job.average_size, job.average_minutes), (3, 1.5))
        job.state = "failure"
        nothing_stored = self.run_now()
        self.assertNotEqual(nothing_stored, job)
        (found,) = job._read_group(
            [("id", "in", (job | nothing_stored).ids)],
            [],
            ["average_size:avg", "average_minutes:avg"],
        )
        self.assertEqual(found, (3, 1.5))

    def test_button_twice_shows_the_waiting_run(self):
        first = self.run_now()
        self.assertEqual(self.run_now(), first)
        first.state = "running"
        second = self.run_now()
        self.assertNotEqual(second, first)
        self.assertEqual(self.run_now(), second)

    def test_button_of_the_list_needs_a_plan(self):
        self.assertEqual(
            self.env["backup.job"].action_run_now()["res_model"], "backup.job"
        )
        self.plan.active = False
        with self.assertRaises(UserError):
            self.env["backup.job"].action_run_now()

    def test_plan_leaves_out_steps(self):
        self.plan.include_database = False
        self.assertNotIn("dump_database", self.run_now().step_ids.mapped("kind"))

    def test_every_storage_has_its_steps(self):
        other = self.storage.copy(
            {"name": "Other", "local_path": str(self.root / "other")}
        )
        self.plan.storage_ids += other
        steps = self.run_now().step_ids.filtered("storage_id")
        self.assertEqual(
            [(step.kind, step.storage_id) for step in steps],
            [
                (kind, storage)
                for kind in ("upload", "verify")
                for storage in (self.storage, other)
            ],
        )
        self.assertEqual(len(set(steps.mapped("display_name"))), 4)

    def test_state_of_the_run_follows_from_its_steps(self):
        job = self.run_now()
        self.end(job, dump_database="failure")
        self.assertEqual(job.state, "partial")
        self.assertTrue(job.error.endswith(": Broken"))

    def test_warnings_are_counted_and_change_nothing(self):
        job = self.run_now()
        self.end(job, archive_files="warning", cleanup="warning")
        self.assertEqual((job.state, job.warning_count), ("success", 2))

    def test_cancel_of_a_waiting_run_is_immediate(self):
        job = self.run_now()
        job.action_cancel()
        self.assertEqual(job.state, "cancelled")
        self.assertEqual(set(job.step_ids.mapped("state")), {"skipped"})
        self.assertIn(self.env.user.name, job.error)

    def test_cancel_of_a_running_run_asks_its_runner(self):
        job = self.run_now()
        job.state = "running"
        job.action_cancel()
        self.assertEqual((job.state, job.cancel_requested), ("running", True))

    def test_retry_without_kept_archive_makes_a_new_run(self):
        job = self.run_now()
        self.end(job, upload="failure", verify="skipped")
        self.assertFalse(job.can_retry_upload)
        self.assertNotEqual(job.action_retry()["res_id"], job.id)

    def test_retry_uploads_the_kept_archive_again(self):
        job = self.run_now()
        job.archive_name = "kept.zip"
        job._run_context().files.work_path().mkdir(parents=True)
        job._run_context().files.archive_path().touch()
        self.end(job, upload="failure", verify="skipped")
        self.assertTrue(job.can_retry_upload)
        self.assertEqual(job.action_retry()["res_id"], job.id)
        self.assertEqual(job.state, "pending")
        open_kinds = job.step_ids.filtered(lambda s: s.state == "pending").mapped(
            "kind"
        )
        self.assertEqual(open_kinds, ["upload", "verify", "cleanup"])

    def test_a_run_that_waited_encrypts_as_the_plan_says_now(self):
        job = self.run_now()
        self.encrypt()
        job._run().initialize(Progress())
        self.assertEqual(job.encryption, "passphrase")

    def test_nothing_is_completed_in_the_clear_once_the_plan_encrypts(self):
        job = self.run_now()
        run = job._run()
        run.initialize(Progress())
        self.encrypt()
        with patch.object(self.env.cr, "commit", lambda: None):
            run.compress(Progress())
        self.assertTrue(
            job._run_context()
            .files.archive_path()
            .read_bytes()
            .startswith(b"age-encryption")
        )
        self.assertEqual(
            job.run_state.manifest["dfr_backup"]["encryption"]["kind"], "passphrase"
        )

    def test_an_archive_in_the_clear_is_not_uploaded_once_the_plan_encrypts(self):
        job = self.run_now()
        job.archive_name = "kept.zip"
        job._run_context().files.work_path().mkdir(parents=True)
        job._run_context().files.archive_path().touch()
        self.end(job, upload="failure", verify="skipped")
        self.encrypt()
        self.assertFalse(job.can_retry_upload)
        again = self.env["backup.job"].browse(job.action_retry()["res_id"])
        self.assertEqual((again != job, again.encryption), (True, "passphrase"))

    def sealed_run(self):
        """Return what performs a run that was interrupted after it had completed its
        archive, in the clear."""
        self.addCleanup(self.empty, self.root / "disk")
        job = self.run_now()
        job._run_context().files.work_path().mkdir(parents=True)
        run = job._run()
        run.initialize(Progress())
        with patch.object(self.env.cr, "commit", lambda: None):
            run.compress(Progress())
        closed = ("initialize", "dump_database", "archive_files", "compress")
        job.step_ids.filtered(lambda s: s.kind in closed).state = "success"
        job.write({"state": "running", "attempt": 1})
        return run

    def test_a_run_that_goes_on_uploads_nothing_in_the_clear(self):
        run = self.sealed_run()
        job, clear = run.job, run.job.archive_name
        self.assertFalse(job._run_context().plan.is_encrypted())
        self.encrypt()
        files = job.step_ids.filtered(lambda s: s.kind == "archive_files")
        dump = job.step_ids.filtered(lambda s: s.kind == "dump_database")
        (files | dump).unlink()  # neither is what this is about
        with (
            patch.object(self.env.cr, "commit", lambda: None),
            patch.object(BackupRun, "_has_saved", lambda run: True),
        ):
            run.run()
        (stored,) = self.stored_archives()
        self.assertNotEqual(stored.name, clear)
        self.assertTrue(stored.read_bytes().startswith(b"age-encryption.org"))
        self.assertEqual(
            job.step_ids.filtered(lambda s: s.kind == "verify").state, "success"
        )

    def test_run_that_another_release_has_begun_begins_again(self):
        """What that has left cannot be read, so it is not believed."""
        for change in ({"version": None}, {"of_a_later_release": 1}):
            with self.subTest(change):
                job = self.sealed_run().job
                for kind in ("dump_database", "archive_files"):
                    job._step(kind).unlink()  # not what this is about
                data = {**job.data, **change}
                job.data = {k: v for k, v in data.items() if v is not None}
                job._run_context().files.archive_path().write_bytes(
                    b"of another release"
                )
                with (
                    patch.object(self.env.cr, "commit", lambda: None),
                    patch.object(BackupRun, "_has_saved", lambda run: True),
                ):
                    job._perform()
                verify = job.step_ids.filtered(lambda s: s.kind == "verify")
                self.assertEqual(verify.state, "success")
                path = self.root / "disk" / job.archive_name
                self.assertTrue(zipfile.is_zipfile(path))

    def test_nothing_is_uploaded_again_whose_state_is_unknown(self):
        job = self.sealed_run().job
        self.end(job, upload="failure", verify="failure")
        self.assertTrue(job.can_retry_upload)
        job.data = {name: fact for name, fact in job.data.items() if name != "version"}
        job.invalidate_recordset()
        self.assertFalse(job.can_retry_upload)
        self.assertNotEqual(job.action_retry()["res_id"], job.id)

    def test_what_a_run_of_the_release_before_has_saved_is_shown(self):
        job = self.run_now()
        self.end(job)
        job.data = {"manifest": {"dfr_backup": {}}, "saved": 1, "rows": {"a": 1}}
        self.assertEqual(job.run_state.rows, {"a": 1})
        self.assertTrue(job.run_state.manifest)

    def empty(self, folder):
        for path in self.stored(folder):
            path.unlink()

    def stored_archives(self):
        files = self.stored(self.root / "disk")
        return [path for path in files if path.suffix != ".json"]

    def test_a_run_that_is_uploading_sends_no_more_in_the_clear(self):
        run = self.sealed_run()
        self.encrypt()
        with self.assertRaises(EncryptedMeanwhile):
            run.upload(Progress(), self.storage)
        run.job.attempt = MAX_ATTEMPTS
        with self.assertRaises(StaysInTheClear):
            run.upload(Progress(), self.storage)
        self.assertEqual(self.stored_archives(), [])

    def test_a_waiting_run_does_what_the_plan_says_now(self):
        job = self.run_now()
        other = self.env["backup.storage"].create(
            {"name": "Other", "local_path": str(self.root / "other")}
        )
        self.plan.write({"storage_ids": [(6, 0, other.ids)], "include_addons": True})
        job._run_context().plan.adopt()
        self.assertEqual(job._storages(), other)
        self.assertTrue(job.include_addons)
        self.assertEqual(
            [(step.kind, step.storage_id) for step in job.step_ids],
            [
                (step["kind"], other.browse(step["storage_id"] or ()))
                for step in BackupRun.planned(
                    {"include_database": True, "include_addons": True}, other
                )
            ],
        )
        steps = job.step_ids
        job._run_context().plan.adopt()
        self.assertEqual(job.step_ids, steps)

    def test_a_run_that_goes_on_stores_nothing_where_the_plan_does_not(self):
        other = self.env["backup.storage"].create(
            {"name": "Other", "local_path": str(self.root / "other")}
        )
        self.plan.storage_ids |= other
        run = self.sealed_run()
        self.plan.storage_ids = other
        run.run()
        job = run.job
        self.assertEqual(self.stored_archives(), [])
        self.assertTrue(self.stored(self.root / "other"))
        self.assertEqual(job._storages(), other)
        self.assertIn(self.storage.name, str(job._step("initialize").log))

    def encrypt(self):
        self.plan.write({"encryption": "passphrase", "age_passphrase": "long " * 5})

    def test_next_run_cleans_up_what_an_earlier_one_could_not(self):
        names = ("failed", "unsent", "stored", "late")
        runs = dict.fromkeys(names)
        for name in names:
            runs[name] = job = self.run_now()
            job._run_context().files.work_path().mkdir(parents=True)
            if name != "failed":
                job.archive_name = f"{name}.zip"
                job._run_context().files.archive_path().touch()
            unsent = name in ("unsent", "late")
            self.end(
                job, cleanup="failure", **({"upload": "failure"} if unsent else {})
            )
            if unsent:
                job.step_ids.filtered(
                    lambda step: step.kind == "verify"
                ).state = "skipped"
        runs["late"].kept_until = fields.Datetime.now() - timedelta(hours=1)
        strange = odoo_config.work_path("of another database")
        strange.mkdir()
        last = self.run_now()
        last._run_context().files.work_path().mkdir()
        last._run_context().files.clean_up(Progress())
        there = {
            name
            for name, job in runs.items()
            if job._run_context().files.work_path().exists()
        }
        self.assertEqual(there, {"unsent"})
        self.assertGreater(runs["unsent"].kept_until, fields.Datetime.now())
        self.assertFalse(runs["late"].kept_until)
        self.assertTrue(strange.exists())
        self.assertFalse(last._run_context().files.work_path().exists())

    def test_later_attempt_does_a_failed_cleanup_once_more(self):
        job = self.run_now()
        for step in job.step_ids:
            step.state = (
                "failure" if step.kind in ("initialize", "cleanup") else "skipped"
            )
        job.write({"state": "running", "attempt": 2})
        job._run_context().files.work_path().mkdir(parents=True)
        job._perform()
        self.assertEqual(
            (job.state, job._step("cleanup").state), ("failure", "success")
        )
        self.assertFalse(job._run_context().files.work_path().exists())

    def test_retry_of_a_good_run_is_refused(self):
        job = self.run_now()
        self.end(job)
        with self.assertRaises(UserError):
            job.action_retry()

    def test_history_is_not_deleted_while_its_backups_exist(self):
        job = self.run_now()
        with self.assertRaises(UserError):
            job.unlink()
        job.archive_name = "a.zip"
        self.record_copy(job)
        self.end(job)
        with self.assertRaisesRegex(UserError, "a.zip"):
            job.unlink()
        job.copy_ids.action_delete()
        job.unlink()
        self.assertFalse(job.exists())

    def test_history_stays_with_a_copy_that_may_come_back(self):
        job = self.run_now()
        job.archive_name = "a.zip"
        self.record_copy(job)
        self.end(job)
        for state, protected in (
            ("unknown", False),
            ("damaged", False),
            ("missing", True),
        ):
            job.copy_ids.write({"state": state, "protected": protected})
            with self.assertRaises(UserError), self.env.cr.savepoint():
                job.unlink()
        job.copy_ids.write({"state": "missing", "protected": False})
        job.unlink()
        self.assertFalse(job.exists())

    def test_dead_runner_is_resumed_then_closed(self):
        job = self.run_now()
        for attempt in (1, 2):
            job.write({"state": "running", "attempt": attempt, "spawn_count": 0})
            job.step_ids[1].state = "running"
            with self.assertLogs("odoo.addons.dfr_backup", "WARNING"):
                self.env["backup.job"]._supervise()
            self.assertEqual((job.state, job.spawn_count), ("running", 1))
        job.attempt = 3
        with self.assertLogs("odoo.addons.dfr_backup", "WARNING"):
            self.env["backup.job"]._supervise()
        self.assertEqual(job.state, "failure")
        self.assertEqual(job.error_code, Interrupted.code)
        self.assertFalse(
            job.step_ids.filtered(lambda s: s.state in ("pending", "running"))
        )

    def test_runner_that_cannot_start_again_is_not_started_for_ever(self):
        job = self.run_now()
        job.write({"state": "running", "attempt": 1, "spawn_count": 0})
        job.step_ids[1].state = "running"
        for expected in (1, 2, 3, 3):
            with self.assertLogs("odoo.addons.dfr_backup", "WARNING"):
                self.env["backup.job"]._supervise()
            self.assertEqual((job.state, job.spawn_count), ("running", expected))
        job.spawned_at = fields.Datetime.now() - timedelta(minutes=5)
        with self.assertLogs("odoo.addons.dfr_backup", "WARNING"):
            self.env["backup.job"]._supervise()
        self.assertEqual(job.state, "failure")
        self.assertEqual(job.error_code, NotStarted.code)

    def test_runner_that_never_starts_is_told(self):
        job = self.run_now()
        long_ago = fields.Datetime.now() - timedelta(minutes=5)
        job.write({"spawn_count": 3, "spawned_at": long_ago})
        self.env["backup.job"]._supervise()
        self.assertEqual(job.state, "failure")
        self.assertEqual(job.error_code, NotStarted.code)
        self.assertIn(job.runner_log, job.hint)

    def test_supervisor_starts_one_waiting_run_at_a_time(self):
        job = self.run_now()
        job.write({"spawned_at": False, "spawn_count": 0})
        other = self.plan.copy({"name": "Other"})._request_run("manual")
        self.env["backup.job"]._supervise()
        self.assertEqual((job.spawn_count, other.spawn_count), (1, 0))

    def test_run_that_gave_way_waits(self):
        job = self.run_now()
        later = fields.Datetime.now() + timedelta(minutes=10)
        job.write({"spawned_at": False, "spawn_count": 0, "not_before": later})
        self.env["backup.job"]._supervise()
        self.assertEqual(job.spawn_count, 0)

    def test_run_of_the_original_is_closed_in_a_copy(self):
        job = self.run_now()
        job.state = "running"
        self.env["ir.config_parameter"].set_param("database.uuid", "another")
        self.env["backup.job"]._supervise()
        self.assertEqual(job.state, "cancelled")
        self.assertEqual(job.error_code, ForeignRun.code)

    def test_progress_of_the_whole(self):
        job = self.run_now()
        self.assertEqual(job.progress, 0)
        job.step_ids[0].state = "success"
        job.step_ids[1].write(
            {"state": "running", "bytes_done": 50, "bytes_total": 100}
        )
        self.assertEqual(job.current_step, job.step_ids[1].display_name)
        self.assertTrue(0 < job.progress < 50)
        self.end(job)
        self.assertEqual(job.progress, 100)
