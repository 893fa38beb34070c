import shutil
from datetime import datetime
from unittest.mock import patch

from odoo.exceptions import AccessError, UserError
from odoo.tests import Form, new_test_user, tagged

from .. import odoo_config
from ..engine.errors.fetch import NotAtStorage
from ..engine.errors.storage import NoGoodFile
from ..engine.sources.filestore import FileIssue, FilestoreReport
from ..runs.words import PUT_BACK, REPAIRED
from .archives import store_archive, store_fname
from .common import BackupCase

INVOICE, PHOTO = b"an invoice of before", b"a photo of before" * 1000
SNAPSHOT = "2026-10-14T02:00:00+00:00"


@tagged("post_install", "-at_install")
class TestBackupRepair(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.files = cls.root / "files"
        cls.startClassPatcher(
            patch.object(odoo_config, "filestore_path", lambda _db: cls.files)
        )
        cls.manager = new_test_user(cls.env, "boss", "dfr_backup.group_manager")
        cls.viewer = new_test_user(cls.env, "looker", "dfr_backup.group_viewer")
        cls.attachments = cls.env["ir.attachment"].create(
            [
                {
                    "name": "invoice.pdf",
                    "raw": INVOICE,
                    "res_model": "res.partner",
                    "res_id": 1,
                },
                {"name": "photo.jpg", "raw": PHOTO},
            ]
        )
        cls.env.flush_all()
        cls.env.cr.execute(
            "UPDATE ir_attachment SET create_date = '2026-10-01' WHERE id = ANY(%s)",
            [cls.attachments.ids],
        )

    def setUp(self):
        super().setUp()
        shutil.rmtree(self.files, ignore_errors=True)
        self.files.mkdir()
        self.old = self.stored("old.zip", "2026-10-12 02:00:00", [INVOICE, PHOTO])
        self.new = self.stored("new.zip", "2026-10-13 02:00:00", [PHOTO])
        self.issues = self.env["backup.filestore.issue"]

    def stored(self, key, date, contents):
        files = [
            (f"{n}.bin", None, None, content) for n, content in enumerate(contents)
        ]
        store_archive(self.root / "disk", key, files)
        return self.env["backup.copy"].create(
            {
                "storage_id": self.storage.id,
                "key": key,
                "date": date,
                "state": "verified",
                "contents": "database, filestore",
                "database_uuid": self.env["backup.job"]._current_database_uuid(),
            }
        )

    def notice(self, *troubles, complete=True, snapshot=SNAPSHOT):
        """Let a backup find these (kind, content) in the filestore."""
        job = self.run_now()
        job.data = {"snapshot_at": snapshot}
        report = FilestoreReport()
        for kind, content in troubles:
            report.troubles.append(FileIssue(store_fname(content), kind, "gone"))
            setattr(report, f"{kind}_count", getattr(report, f"{kind}_count") + 1)
        job._run_context().plan.note_filestore(report, complete)
        self.end(job)
        return self.issues.search([("state", "=", "open")], order="attachment")

    def repair(self, issues):
        action = issues.with_user(self.manager).action_repair()
        wizard = Form(
            self.env["backup.repair.wizard"]
            .with_user(self.manager)
            .with_context(**action["context"])
        ).save()
        job = self.env["backup.job"].browse(wizard.action_repair()["res_id"])
        job.state = "running"
        job._perform()
        return job

    # === WHAT RUNS FIND === #

    def test_attachments_are_listed_by_name(self):
        found = self.notice(("missing", INVOICE), ("damaged", PHOTO))
        self.assertEqual(found.mapped("name"), ["invoice.pdf", "photo.jpg"])
        self.assertEqual((found[0].res_model, found[0].res_id), ("res.partner", 1))
        self.assertEqual(found.mapped("kind"), ["missing", "damaged"])
        self.assertEqual(found[0].first_seen, datetime(2026, 10, 14, 2))

    def test_moment_is_kept_in_utc_wherever_postgresql_stands(self):
        [found] = self.notice(
            ("missing", INVOICE), snapshot="2026-10-14T04:00:00+02:00"
        )
        self.assertEqual(found.first_seen, datetime(2026, 10, 14, 2))

    def test_the_same_is_noted_once_and_closed_when_it_is_good_again(self):
        first = self.notice(("missing", INVOICE), ("damaged", PHOTO))
        again = self.notice(("missing", INVOICE), snapshot="2026-10-15T02:00:00+00:00")
        self.assertEqual(again, first[0])
        self.assertEqual(again.first_seen, datetime(2026, 10, 14, 2))
        self.assertEqual(again.last_seen, datetime(2026, 10, 15, 2))
        self.assertEqual(first[1].state, "resolved")

    def test_a_list_that_was_cut_off_closes_nothing(self):
        first = self.notice(("missing", INVOICE))
        self.assertEqual(self.notice(complete=False), first)
        self.assertFalse(self.notice())

    def test_newest_backup_from_before_should_have_it(self):
        self.assertEqual(self.notice(("missing", INVOICE)).good_copy_id, self.new)
        self.new.state = "damaged"
        self.env.invalidate_all()
        issue = self.issues.search([("state", "=", "open")])
        self.assertEqual(issue.good_copy_id, self.old)
        self.assertIn("10/12/2026", issue.good_copy)
        self.old.date = "2026-09-01"  # before the attachment was made
        self.env.invalidate_all()
        self.assertFalse(issue.good_copy_id)
        self.assertTrue(issue.good_copy)
        self.assertNotIn("10/12/2026", issue.good_copy)
        with self.assertRaises(UserError):
            issue.action_repair()

    def test_what_cannot_be_read_is_not_replaced(self):
        issue = self.notice(("unreadable", INVOICE))
        self.assertFalse(issue.good_copy_id)
        self.assertTrue(issue.good_copy)

    def test_overview_tells(self):
        overview = self.env["backup.overview"].with_user(self.viewer)

        def kinds():
            return {problem["kind"] for problem in overview.get_overview()["problems"]}

        self.assertNotIn("files", kinds())
        self.notice(("missing", INVOICE))
        self.assertIn("files", kinds())

    # === REPAIR === #

    def test_files_are_put_back(self):
        issues = self.notice(("missing", INVOICE), ("damaged", PHOTO))
        bad = self.files / store_fname(PHOTO)
        bad.parent.mkdir(parents=True)
        bad.write_bytes(b"rubbish")
        job = self.repair(issues)
        self.assertEqual(job.state, "success")
        self.assertEqual(bad.read_bytes(), PHOTO)
        self.assertEqual((self.files / store_fname(INVOICE)).read_bytes(), INVOICE)
        self.assertEqual(issues.mapped("state"), ["repaired", "repaired"])
        self.assertEqual(issues.repaired_by_id, self.manager)
        # the newer one does not have the invoice
        self.assertEqual(issues.mapped("repaired_from_id.key"), ["old.zip", "new.zip"])
        self.assertIn(PUT_BACK, str(job.step_ids.log_values))
        self.assertEqual(self.counts(job), {"repaired": 2, "good": 0})

    def counts(self, job):
        """Return what a repair says that it has done."""
        said = [line for line in job.step_ids.log_values if line["text"] == REPAIRED]
        return said[0]["values"]

    def test_the_record_is_named_to_whoever_may_read_it(self):
        partner = self.env["res.partner"].create({"name": "Azure Interior"})
        self.attachments[0].res_id = partner.id
        self.env.flush_all()
        issue = self.notice(("missing", INVOICE))
        mine = issue.with_user(self.manager)
        self.assertEqual(mine.record_name, partner.display_name)
        partner.unlink()
        issue.invalidate_recordset()
        self.assertIn(str(issue.res_id), mine.record_name)

    def test_one_that_is_good_meanwhile_is_left_alone(self):
        issue = self.notice(("missing", PHOTO))
        path = self.files / store_fname(PHOTO)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PHOTO)
        before = path.stat()
        self.assertEqual(self.counts(self.repair(issue)), {"repaired": 0, "good": 1})
        after = path.stat()
        self.assertEqual(
            (after.st_ino, after.st_mtime_ns), (before.st_ino, before.st_mtime_ns)
        )
        self.assertEqual(issue.state, "resolved")

    def test_attachment_that_was_deleted_needs_no_repair(self):
        issue = self.notice(("missing", INVOICE))
        self.attachments[0].unlink()
        self.env.flush_all()
        job = self.repair(issue)
        self.assertEqual((job.state, issue.state), ("success", "resolved"))
        self.assertFalse((self.files / store_fname(INVOICE)).exists())

    def test_what_no_backup_has_is_a_failure_that_says_so(self):
        issue = self.notice(("missing", INVOICE))
        (self.root / "disk/old.zip").unlink()
        job = self.repair(issue)
        self.assertEqual((job.state, issue.state), ("failure", "open"))
        self.assertEqual(job.error_code, NoGoodFile.code)
        self.assertIn(NotAtStorage.template, str(job.step_ids.log_values))

    def test_what_a_killed_attempt_has_left_goes_with_the_run(self):
        issue = self.notice(("missing", INVOICE))
        (self.root / "disk/old.zip").unlink()
        folder, _slash, name = store_fname(INVOICE).partition("/")
        left = self.files / folder / f".dfr_backup_{name}"
        left.parent.mkdir()
        left.write_bytes(b"the first half")
        self.assertEqual(self.repair(issue).state, "failure")
        self.assertFalse(left.exists())

    def test_what_is_found_is_repaired_though_others_are_not(self):
        issues = self.notice(("missing", INVOICE), ("missing", PHOTO))
        (self.root / "disk/old.zip").unlink()
        job = self.repair(issues)
        self.assertEqual((job.state, job.warning_count), ("success", 1))
        self.assertEqual(issues.mapped("state"), ["open", "repaired"])

    def test_backups_of_another_database_are_not_used(self):
        (self.old + self.new).database_uuid = "another"
        self.assertFalse(self.notice(("missing", INVOICE)).good_copy_id)

    def test_all_at_once(self):
        self.notice(("missing", INVOICE), ("missing", PHOTO))
        action = self.issues.with_user(self.manager).action_repair_all()
        self.assertEqual(len(action["context"]["default_issue_ids"]), 2)

    def test_key_of_a_repair_is_forgotten(self):
        issue = self.notice(("missing", INVOICE))
        job = self.env["backup.job"].with_user(self.manager)._request_repair(issue)
        job.restore_key = "AGE-SECRET-KEY-1"
        self.assertTrue(job.sudo().sealed_secrets)
        job.action_cancel()
        self.assertFalse(job.sudo().sealed_secrets)

    def test_viewers_see_and_cannot_repair(self):
        issue = self.notice(("missing", INVOICE)).with_user(self.viewer)
        self.assertTrue(issue.read(["good_copy"])[0]["good_copy"])
        with self.assertRaises(AccessError):
            issue.action_repair()
        with self.assertRaises(AccessError):
            issue.state = "repaired"
        with self.assertRaises(AccessError):
            self.env["backup.job"].with_user(self.viewer)._request_repair(issue)

    def test_record_is_opened(self):
        issue = self.notice(("missing", INVOICE))
        self.assertEqual(issue.action_open_record()["res_model"], "res.partner")
        issue.res_model = "no.such.model"
        with self.assertRaises(UserError):
            issue.action_open_record()
