import shutil
from unittest.mock import patch

from odoo.exceptions import AccessError, UserError
from odoo.tests import Form, new_test_user, tagged

from .. import odoo_config
from ..engine.encryption.files import encrypt_file, generate_key, parse_recipients
from ..engine.errors.encryption import OtherKeys
from ..engine.errors.fetch import KeyNeeded
from ..engine.errors.restore import (
    ModulesMissing,
    NameTaken,
    NoChecksums,
    RestoreNeedsSpace,
)
from ..engine.messages import Size
from ..engine.progress import Progress
from ..engine.restore.preflight import Finding
from ..models.plan.copies import newest_whole_copy
from ..wizards import backup_restore_wizard
from .archives import store_archive
from .audited import AuditCase
from .common import BackupCase


@tagged("post_install", "-at_install")
class TestBackupStaging(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = new_test_user(cls.env, "boss", "dfr_backup.group_manager")
        cls.viewer = new_test_user(cls.env, "looker", "dfr_backup.group_viewer")
        cls.startClassPatcher(
            patch.object(
                odoo_config,
                "filestore_path",
                lambda name: cls.root / "filestore" / name,
            )
        )
        cls.old = cls.stored("old.zip", "2026-10-12 02:00:00")
        cls.new = cls.stored("new.zip", "2026-10-13 02:00:00")

    def setUp(self):
        super().setUp()
        # the transaction of a test holds the only connection: what the real one finds
        # is e2e's
        shutil.rmtree(self.root / "filestore", ignore_errors=True)
        self.findings = []
        self.startPatcher(
            patch.object(
                backup_restore_wizard, "preflight", lambda *_args: self.findings
            )
        )

    @classmethod
    def stored(cls, key, date):
        store_archive(cls.root / "disk", key, [])
        return cls.env["backup.copy"].create(
            {
                "storage_id": cls.storage.id,
                "plan_id": cls.plan.id,
                "signature": "ours",
                "key": key,
                "date": date,
                "state": "verified",
                "contents": "database, filestore",
                "database": "shop",
            }
        )

    def wizard(self, action):
        model = self.env[action["res_model"]].with_user(self.manager)
        return Form(model.with_context(**action["context"]))

    def start(self, wizard):
        record = wizard.save()
        action = type(record).action_restore.__wrapped__(record)
        return self.env["backup.job"].browse(action["res_id"])

    def test_newest_good_backup_becomes_a_harmless_copy(self):
        self.stored("newer.zip", "2026-10-14 02:00:00").state = "stored"
        self.stored("partial.zip", "2026-10-15 02:00:00").complete = False
        self.stored("files.zip", "2026-10-16 02:00:00").contents = "filestore"
        wizard = self.wizard(self.plan.with_user(self.manager).action_staging())
        self.assertEqual(wizard.copy_id, self.new)
        self.assertRegex(wizard.database, r"^shop_staging_\d{8}$")
        name = wizard.database
        job = self.start(wizard)
        self.assertEqual((job.kind, job.restore_database), ("restore", name))
        self.assertTrue(job.restore_neutralize and job.restore_new_identity)
        self.assertEqual(job.step_ids.copy_id, self.new)

    def test_of_two_storages_the_near_one_is_read(self):
        far = self.env["backup.storage"].create(
            {
                "name": "Far",
                "provider": "s3",
                "s3_bucket": "far",
                "s3_region": "eu-central-1",
            }
        )
        self.new.copy({"storage_id": far.id, "state": "verified"})
        self.assertEqual(newest_whole_copy(self.plan), self.new)
        self.new.state = "damaged"
        self.assertEqual(newest_whole_copy(self.plan).storage_id, far)

    def test_name_that_is_taken_gets_a_number(self):
        first = self.wizard(self.new.with_user(self.manager).action_staging()).database
        (self.root / "filestore" / first).mkdir(parents=True)
        second = self.wizard(self.old.with_user(self.manager).action_staging()).database
        self.assertEqual(second, f"{first}_2")
        self.new.database = "x" * 63
        long = self.wizard(self.new.with_user(self.manager).action_staging()).database
        self.assertLess(len(long), 63)

    def test_what_speaks_against_it_is_shown_and_stops_it(self):
        self.findings = [
            Finding(NameTaken(database="x")),
            Finding(NoChecksums(), blocking=False),
        ]
        wizard = self.wizard(self.new.with_user(self.manager).action_staging())
        self.assertEqual(wizard.obstacles, str(self.findings[0].error.in_full))
        self.assertEqual(wizard.remarks, str(self.findings[1].error.in_full))
        self.assertFalse(wizard.to_accept or wizard.may_load_plain)
        with self.assertRaises(UserError) as refused:
            wizard.save().action_make()
        self.assertEqual(str(refused.exception), wizard.obstacles)
        self.findings.pop(0)
        good = self.wizard(self.new.with_user(self.manager).action_staging()).save()
        self.assertAsksForPassword(good.action_restore)
        with patch.object(type(good), "action_restore") as restore:
            good.action_make()
        restore.assert_called_once()

    def test_what_is_found_can_be_accepted(self):
        self.findings = [
            Finding(ModulesMissing(count=2, modules="a, b")),
            Finding(RestoreNeedsSpace(needed=Size(9 << 20), folder="/x", free=Size(0))),
        ]
        wizard = self.wizard(self.new.with_user(self.manager).action_staging())
        for finding in self.findings:
            self.assertIn(str(finding.error.in_full), wizard.to_accept)
        self.assertFalse(wizard.obstacles)
        with self.assertRaises(UserError):
            wizard.save().action_make()
        wizard = self.wizard(self.new.with_user(self.manager).action_staging())
        wizard.accept_findings = True
        with patch.object(type(wizard.save()), "action_restore") as restore:
            wizard.save().action_make()
        restore.assert_called_once()
        job = self.start(wizard)
        self.assertEqual(set(job.restore_accepted), {"modules_missing", "space"})

    def restore_form(self, copy):
        return self.wizard(copy.with_user(self.manager).action_restore())

    def test_restore_refuses_before_it_asks_for_the_password(self):
        self.findings = [Finding(NameTaken(database="x"))]
        form = self.restore_form(self.new)
        self.assertTrue(form.was_checked)
        with self.assertRaises(UserError) as refused:
            form.save().action_make()
        self.assertEqual(str(refused.exception), form.obstacles)

    def test_purpose_of_a_restore_decides_what_becomes_of_it(self):
        form = self.restore_form(self.new)
        self.assertEqual(form.purpose, "copy")
        self.assertTrue(form.neutralize and form.new_identity)
        self.assertFalse(form.successor_command)
        form.purpose = "successor"
        self.assertFalse(form.neutralize or form.new_identity)
        self.assertIn(self.new.key, form.successor_command)
        self.assertIn("--to shop --replace", form.successor_command)
        job = self.start(form)
        self.assertFalse(job.restore_neutralize or job.restore_new_identity)

    def test_backup_without_attachments_offers_one_that_has_them(self):
        self.assertFalse(self.restore_form(self.new).lacks_files)
        bare = self.stored("bare.zip", "2026-10-14 02:00:00")
        bare.contents = "database"
        (bare + self.new).database_uuid = self.new.job_id.database_uuid or "of the shop"
        form = self.restore_form(bare)
        self.assertTrue(form.lacks_files)
        self.assertEqual(form.whole_copy_id, self.new)
        wizard = form.save()
        self.assertEqual(wizard.action_use_whole()["res_id"], wizard.id)
        self.assertEqual(wizard.copy_id, self.new)
        self.assertFalse(wizard.lacks_files)

    def test_nobody_elses_backup_is_offered(self):
        """A zip of Odoo does not say whose it is."""
        bare = self.stored("bare.zip", "2026-10-14 02:00:00")
        bare.contents = "database"
        (bare + self.new).database_uuid = False
        self.assertFalse(self.restore_form(bare).whole_copy_id)

    def test_key_is_tried_before_anything_is_fetched(self):
        path, pair = self.root / "disk" / "new.zip", generate_key()
        sealed = self.root / "sealed"
        recipients = parse_recipients(pair.public)
        encrypt_file(path, sealed, recipients, Progress())
        sealed.rename(path)
        self.new.encrypted = True
        wizard = self.env["backup.restore.wizard"].create(
            {"copy_id": self.new.id, "database": "elsewhere"}
        )
        for given, error in (("", KeyNeeded), (generate_key().private, OtherKeys)):
            wizard.key = given
            with self.assertRefuses(error):
                wizard.action_make()
        wizard.key = pair.private
        with patch.object(type(wizard), "action_restore") as restore:
            wizard.action_make()
        restore.assert_called_once()

    def test_without_a_good_backup_there_is_no_copy(self):
        (self.old + self.new).state = "stored"
        with self.assertRaises(UserError):
            self.plan.with_user(self.manager).action_staging()

    def test_viewers_cannot(self):
        for record in (self.plan, self.new):
            with self.assertRaises(AccessError):
                record.with_user(self.viewer).action_staging()


@tagged("post_install", "-at_install")
class TestStagingByHttp(AuditCase):
    def test_looked_at_once(self):
        """What was found is what is decided on: it takes a while, and may change."""
        store_archive(self.root / "disk", "db-1.zip", [])
        self.copy.write({"state": "verified", "signature": "ours"})
        wizard = self.env["backup.staging.wizard"].with_user(self.manager)
        wizard = wizard.create({"copy_id": self.copy.id, "database": "elsewhere"})
        preflight = self.startPatcher(
            patch.object(backup_restore_wizard, "preflight", return_value=[])
        )
        asked = self.call(wizard, "action_make")
        self.assertAsked(asked)
        self.enter_password()
        preflight.reset_mock()
        made = self.call(wizard, "action_make")
        self.assertEqual(made["result"]["res_model"], "backup.job")
        self.assertEqual(preflight.call_count, 1)
        self.assertEqual(self.noted().mapped("action"), ["restore"])
