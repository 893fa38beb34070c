import io
import json
import shutil
import zipfile
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user, tagged

from .. import odoo_config
from ..engine.errors.fetch import DamagedArchive
from ..engine.errors.local import DirectoryMissing
from ..engine.errors.other import NotAnArchive, UploadNeedsSpace
from ..engine.errors.people import IdentityNotConfirmed
from ..engine.manifest import write as manifest
from ..engine.progress import Progress
from ..models.job.catalogue import Copies
from .common import BackupCase

ELSEWHERE = "11111111-2222-3333-4444-555555555555"
NAME = "shop_2026-11-20_02-00-00.zip"
ODOO = {
    "odoo_dump": "1",
    "db_name": "shop",
    "version": "19.0",
    "modules": {"base": "19.0.1.3", "no_such_module": "19.0.1.0"},
}


WHOLE = "SELECT 1;\n-- PostgreSQL database dump complete\n"
TWO_ATTACHMENTS = (
    "COPY public.ir_attachment (id, store_fname, name) FROM stdin;\n"
    "1\taa/1\tfirst\n2\t\\N\tlink\n3\tbb/2\tsecond\n\\.\n" + WHOLE
)


def zipped(content, dump=WHOLE, **more):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dump.sql", dump)
        archive.writestr("manifest.json", content)
        for name, data in more.items():
            archive.writestr(name, data)
    return stream.getvalue()


@tagged("post_install", "-at_install")
class TestBackupImport(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.disk = cls.root / "disk"
        cls.manager = new_test_user(cls.env, "m", groups="dfr_backup.group_manager")
        cls.odoos = zipped(json.dumps(ODOO))

    def setUp(self):
        super().setUp()
        self.log_in()
        for path in self.stored(self.disk):
            path.unlink()
        shutil.rmtree(self.root / "data/work", ignore_errors=True)

    def ours(self, database_uuid):
        """Return an archive as a run of this addon makes it."""
        ours = {
            "job": "5424c813-0000-0000-0000-000000000000",
            "run": "B1",
            "plan": self.plan.name,
            "database_uuid": database_uuid,
            "snapshot_at": "2020-01-01T00:00:00+00:00",
            "contents": ["database"],
            "missing": [],
            "rows": {},
        }
        return zipped(manifest.encode(manifest.build(ODOO, ours)).decode())

    def open(self, user=None):
        wizards = self.env["backup.import.wizard"].with_user(user or self.manager)
        action = wizards._open()
        wizard = wizards.browse(action["res_id"])
        wizard.storage_id = self.storage
        return wizard

    def upload(self, wizard, content, name=NAME, piece=100):
        start = wizard.start_upload(name, len(content), 1_700_000_000_000)
        received = start["received"]
        while received < len(content):
            received = wizard._receive(received, content[received : received + piece])
        wizard.finish_upload()

    def imported(self, content, name=NAME):
        """Import an archive as the browser and the runner do; return its run."""
        wizard = self.open()
        self.upload(wizard, content, name)
        job = self.env["backup.job"].browse(wizard.action_import()["res_id"])
        job.state = "running"
        job._perform()
        return job

    def scan(self):
        job = self.env["backup.job"].browse(self.storage.action_scan()["res_id"])
        job.state = "running"
        job._perform()
        return job

    def work(self):
        folder = self.root / "data/work"
        return {path.name for path in folder.iterdir()} if folder.exists() else set()

    # === IMPORT === #

    def test_zip_of_odoo_becomes_a_stored_backup(self):
        job = self.imported(self.odoos)
        self.assertEqual(job.state, "success", job.error)
        copy = job.copy_ids
        self.assertEqual(
            (copy.key, copy.origin, copy.state), (NAME, "import", "verified")
        )
        self.assertEqual((copy.database, copy.odoo_version), ("shop", "19.0"))
        self.assertEqual(copy.date, fields.Datetime.to_datetime("2026-11-20 02:00:00"))
        self.assertEqual(copy.size, len(self.odoos))
        self.assertFalse(copy.plan_id)
        self.assertEqual((self.disk / NAME).read_bytes(), self.odoos)
        self.assertEqual(self.work(), set())
        action = job.action_restore_imported()
        self.assertEqual(action["context"], {"default_copy_id": copy.id})
        wizard = self.env["backup.restore.wizard"].create(
            {"copy_id": copy.id, "database": "x"}
        )
        self.assertIn("shop", wizard.facts)
        self.assertEqual(len(wizard.trouble.splitlines()), 2)  # and of who made it
        self.assertIn("no_such_module", wizard.trouble)

    def test_form_says_what_arrived(self):
        wizard = self.open()
        self.upload(wizard, self.ours(ELSEWHERE), "renamed.zip")
        self.assertTrue(wizard.is_ready)
        self.assertIn("shop", wizard.facts)
        self.assertEqual(len(wizard.trouble.splitlines()), 1)  # of its modules
        self.assertEqual(wizard.date, fields.Datetime.to_datetime("2020-01-01"))

    def test_what_is_no_backup_is_refused_and_forgotten(self):
        wizard = self.open()
        with self.assertRaises(NotAnArchive):
            self.upload(wizard, b"%PDF" * 1000)
        with self.assertRefuses(DamagedArchive):
            self.upload(wizard, self.odoos[:-20])
        self.assertFalse(wizard.is_ready)
        self.assertEqual(self.work(), set())
        with self.assertRaises(UserError):
            wizard.action_import()

    def test_too_large_a_file_is_refused_before_it_is_sent(self):
        with self.assertRefuses(UploadNeedsSpace):
            self.open().start_upload(NAME, 1 << 50, 0)

    def test_interrupted_upload_goes_on(self):
        wizard = self.open()
        wizard.start_upload(NAME, len(self.odoos), 0)
        wizard._receive(0, self.odoos[:120])
        self.assertEqual(wizard.start_upload(NAME, len(self.odoos), 0)["received"], 120)
        self.assertEqual(
            wizard.start_upload("another.zip", len(self.odoos), 0)["received"], 0
        )

    def test_uploads_of_two_databases_never_meet(self):
        names = ("shop 1", "shop_1", "shop/1", "shop%201", "shop-1", "Shop_1")
        paths = {odoo_config.upload_path(name, 5) for name in names}
        self.assertEqual(len(paths), len(names))
        folder = self.root / "data/work"
        self.assertEqual({path.parent for path in paths}, {folder})

    def test_no_more_than_was_announced_is_kept(self):
        wizard = self.open()
        wizard.start_upload(NAME, 50, 0)
        self.assertEqual(wizard._receive(0, self.odoos), 50)

    def test_abandoned_upload_goes_away_with_its_form(self):
        wizard = self.open()
        wizard.start_upload(NAME, len(self.odoos), 0)
        wizard._receive(0, self.odoos)
        self.assertEqual(len(self.work()), 1)
        wizard.sudo().unlink()
        self.assertEqual(self.work(), set())

    def test_damaged_archive_is_not_stored(self):
        broken = bytearray(self.odoos)
        broken[42] ^= 1
        job = self.imported(bytes(broken))
        self.assertEqual(job.state, "failure")
        self.assertEqual(self.stored(self.disk), [])
        self.assertEqual(self.work(), set())

    def test_import_that_has_failed_asks_for_the_file_again(self):
        broken = bytearray(self.odoos)
        broken[42] ^= 1
        job = self.imported(bytes(broken))
        self.assertEqual(job.state, "failure")
        self.assertFalse(job.can_retry_upload)
        copies = type(self.env["backup.copy"])
        self.assertAsksForPassword(copies.action_import)
        with patch.object(copies, "action_import", return_value="its form"):
            self.assertEqual(job.with_user(self.manager).action_retry(), "its form")

    def test_attachments_that_an_archive_lacks_are_counted_and_can_be_accepted(self):
        content = json.dumps(ODOO)
        for more, code in (
            ({}, "no_attachments"),
            ({"filestore/aa/1": "x"}, "attachments_missing"),
            ({"filestore/aa/1": "x", "filestore/bb/2": "y"}, None),
        ):
            with self.subTest(code):
                job = self.imported(zipped(content, TWO_ATTACHMENTS, **more))
                step = job.step_ids.filtered(lambda step: step.kind == "check")
                state = "warning" if code else "success"
                self.assertEqual((job.state, step.state), ("success", state))
                values = {"copy_id": job.copy_ids.id, "database": "x"}
                wizard = self.env["backup.restore.wizard"].create(values)
                found = wizard._acceptable([])
                self.assertEqual(set(found), {code} if code else set())

    def test_archive_that_cannot_be_stored_is_kept_for_a_retry(self):
        self.storage.local_path = str(self.root / "gone")
        (self.root / "gone").rename(self.root / "unmounted")
        job = self.imported(self.odoos)
        self.assertEqual(job.state, "failure")
        self.assertEqual(job.error_code, DirectoryMissing.code)
        self.assertTrue(job.can_retry_upload and job.kept_until)
        (self.root / "unmounted").rename(self.root / "gone")
        job.action_retry()
        job.state = "running"
        job._perform()
        self.assertEqual((job.state, job.copy_ids.state), ("success", "verified"))
        self.assertEqual(self.work(), set())

    def test_kept_import_leaves_its_name_to_another_that_took_it(self):
        """It was free when the archive was checked, and is not when it is stored."""
        self.storage.local_path = str(self.root / "away")
        shutil.rmtree(self.root / "away")
        kept = self.imported(self.odoos)
        self.assertEqual(kept.state, "failure")
        # as if the storage had still been there when the name was looked for
        kept._run_context().files.archive_path().rename(
            kept._run_context().files.work_path() / NAME
        )
        kept.archive_name = NAME
        self.storage.local_path = str(self.disk)
        other = self.imported(zipped(json.dumps(ODOO), other="another file"))
        self.assertEqual((other.state, other.copy_ids.key), ("success", NAME))
        before = (self.disk / NAME).read_bytes()
        kept.action_retry()
        kept.state = "running"
        kept._perform()
        self.assertEqual((kept.state, kept.copy_ids.state), ("success", "verified"))
        self.assertNotEqual(kept.copy_ids, other.copy_ids)
        self.assertEqual((self.disk / NAME).read_bytes(), before)
        self.assertEqual((self.disk / kept.copy_ids.key).read_bytes(), self.odoos)
        self.perform_verification(other.copy_ids)
        self.assertEqual(other.copy_ids.state, "verified")
        self.assertEqual(self.work(), set())

    def perform_verification(self, copies):
        job = self.env["backup.job"].browse(copies.action_verify()["res_id"])
        job.state = "running"
        job._perform()

    def test_second_import_of_a_name_gets_another(self):
        self.imported(self.odoos)
        key = self.imported(self.odoos).copy_ids.key
        self.assertNotEqual(key, NAME)
        self.assertTrue((self.disk / key).exists())

    def test_lost_archive_that_is_imported_again_is_the_same_copy(self):
        copy = self.imported(self.odoos).copy_ids
        for path in self.stored(self.disk):
            path.unlink()
        self.scan()
        self.assertEqual(copy.state, "missing")
        job = self.imported(self.odoos)
        self.assertEqual((job.state, job.copy_ids), ("success", copy))
        self.assertEqual(copy.state, "verified")

    # === KEPT === #

    def test_retention_leaves_imports_alone_and_somebody_may_delete_them(self):
        """Also an archive of this very plan, that was lost and brought back."""
        mine = self.env["backup.job"]._current_database_uuid()
        copies = [self.imported(self.ours(uuid)).copy_ids for uuid in (mine, ELSEWHERE)]
        self.scan()
        rules = dict.fromkeys(
            ("keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly"),
            0,
        )
        self.plan.write(
            {"retention": "custom", **rules, "keep_last": 1, "keep_within_days": 0}
        )
        self.plan.keep_minimum = 1
        job = self.run_now()
        self.patch(Copies, "storage_now", lambda self, storage: None)
        job._run_context().catalogue.apply_retention(self.storage, Progress())
        for copy in copies:
            self.assertEqual((copy.state, copy.origin), ("verified", "import"))
            self.assertFalse(copy.plan_id or copy.expires_at)
            copy.action_delete()
            self.assertEqual(copy.state, "deleted")
        self.assertEqual(self.stored(self.disk), [])

    def test_new_catalogue_knows_what_was_imported(self):
        copy = self.imported(self.ours(ELSEWHERE)).copy_ids
        before = copy.read(
            ["key", "date", "size", "origin", "imported_by", "database_uuid"]
        )[0]
        copy.unlink()
        self.scan()
        found = self.storage.copy_ids.read(list(before))[0]
        self.assertEqual({**found, "id": 0}, {**before, "id": 0})

    # === FOUND === #

    def test_zip_of_odoo_in_a_storage(self):
        (self.disk / NAME).write_bytes(self.odoos)
        self.scan()
        copy = self.storage.copy_ids
        self.assertEqual(
            (copy.origin, copy.state, copy.sha256), ("odoo", "stored", False)
        )
        job = self.env["backup.job"].browse(copy.action_verify()["res_id"])
        job.state = "running"
        job._perform()
        self.assertEqual((job.state, copy.state), ("success", "verified"))
        self.scan()
        self.assertEqual(copy.state, "verified")
        self.assertTrue(copy.sha256)
        with self.assertRaises(UserError):
            copy.action_delete()
        self.assertTrue((self.disk / NAME).exists())
        (self.disk / NAME).unlink()
        self.scan()
        self.assertEqual(copy.state, "missing")

    # === RIGHTS === #

    def test_rights(self):
        viewer = new_test_user(self.env, "v", groups="dfr_backup.group_viewer")
        with self.assertRaises(AccessError):
            self.env["backup.import.wizard"].with_user(viewer).create({})
        wizard = self.env["backup.import.wizard"].with_user(self.manager).create({})
        with self.assertRaises(AccessError):
            wizard.start_upload(NAME, 10, 0)
        with self.assertRaises(AccessError):
            wizard.is_ready = True
            self.env.flush_all()

    def test_password_opens_an_import_for_one_session(self):
        wizard = self.open()
        self.upload(wizard, self.odoos)
        token = wizard._upload_path().rpartition("/")[2]
        self.log_in()  # the same user, elsewhere
        for action in (
            lambda: wizard.start_upload(NAME, 10, 0),
            wizard.finish_upload,
            wizard.action_import,
        ):
            with self.assertRaises(AccessError) as caught:
                action()
            self.assertIsInstance(caught.exception.__cause__, IdentityNotConfirmed)
        wizards = self.env["backup.import.wizard"].with_user(self.manager)
        self.assertFalse(wizards._from_upload_token(wizard.id, token))

    def test_upload_token_is_for_one_user_and_one_import(self):
        wizard, other = self.open(), self.open()
        token = wizard._upload_path().rpartition("/")[2]
        wizards = self.env["backup.import.wizard"].with_user(self.manager)
        self.assertEqual(wizards._from_upload_token(wizard.id, token), wizard)
        self.assertFalse(wizards._from_upload_token(other.id, token))
        self.assertFalse(wizards._from_upload_token(wizard.id, token[:-2] + "AA"))
        self.assertFalse(
            self.env["backup.import.wizard"]._from_upload_token(wizard.id, token)
        )
