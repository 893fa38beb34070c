from datetime import timedelta

from odoo import fields
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import Form, new_test_user, tagged

from .. import odoo_config
from ..engine.errors.s3 import Boto3Missing
from ..engine.errors.sftp import ParamikoMissing
from ..engine.ownership.marker import MARKER
from ..engine.storages.registry import kinds
from ..engine.storages.s3.config import PRESETS
from .common import BackupCase, patch


@tagged("post_install", "-at_install")
class TestBackupStorage(BackupCase):
    def test_directory_is_made_when_it_is_configured(self):
        self.assertTrue((self.root / "disk").is_dir())

    def test_forbidden_places(self):
        for path in (
            "relative",
            "/etc",
            str(self.root / "filestore/x"),
            str(self.root),
            "",
            "/",
        ):
            with (
                self.subTest(path),
                self.assertRaises(ValidationError),
                self.cr.savepoint(),
            ):
                self.storage.local_path = path

    def test_test_button_says_what_it_did(self):
        answer = self.storage.action_test()["params"]
        self.assertEqual(answer["type"], "success")
        self.assertTrue(self.storage.last_test)
        self.assertFalse(self.storage.last_test_error)
        self.assertEqual([f.name for f in (self.root / "disk").iterdir()], [MARKER])

    def test_test_button_says_what_fails(self):
        (self.root / "file").touch()
        self.storage.flush_recordset()
        self.env.cr.execute(
            "UPDATE backup_storage SET local_path = %s WHERE id = %s",
            [str(self.root / "file"), self.storage.id],
        )
        self.storage.invalidate_recordset()
        answer = self.storage.action_test()["params"]
        self.assertEqual(answer["type"], "danger")
        self.assertTrue(self.storage.last_test_error_code)

    def test_storage_with_backups_is_not_deleted(self):
        job = self.run_now()
        job.archive_name = "a.zip"
        self.record_copy(job)
        with self.assertRaises(UserError):
            self.storage.unlink()

    def test_protected_copy_is_not_deleted(self):
        job = self.run_now()
        job.archive_name = "a.zip"
        self.record_copy(job)
        job.copy_ids.protected = True
        with self.assertRaises(UserError):
            job.copy_ids.action_delete()

    def test_missing_package_is_said_when_the_storage_is_configured(self):
        s3 = {"name": "Bucket", "provider": "s3", "s3_bucket": "backups"}
        sftp = {"name": "Far", "provider": "sftp", "sftp_host": "h", "sftp_user": "u"}
        for package, error_class, values in (
            ("boto3", Boto3Missing, s3),
            ("paramiko", ParamikoMissing, sftp),
        ):
            with (
                self.subTest(package),
                patch.dict("sys.modules", {package: None}),
                self.assertRefuses(error_class),
            ):
                self.env["backup.storage"].create(values)

    def test_rclone_offers_only_what_is_configured(self):
        config = self.root / "rclone.conf"
        config.write_text(
            "[cloud]\ntype = alias\nremote = /tmp\n[disk]\ntype = local\n"
        )
        paths = {"dfr_backup_rclone_config": str(config)}
        with patch.object(odoo_config, "config", paths):
            self.assertEqual(
                self.env["backup.storage"]._selection_rclone_remotes(),
                [("cloud", "cloud")],
            )
            for bad in ("disk", "nowhere", ":local", "cloud:", "-v", "--config=/x"):
                with self.subTest(bad), self.assertRaises(UserError):
                    self.env["backup.storage"].create(
                        {"name": "x", "provider": "rclone", "rclone_remote": bad}
                    )
            for bad in ("../x", "/etc", "a:b", "-v"):
                with self.subTest(bad), self.assertRaises(UserError):
                    self.env["backup.storage"].create(
                        {
                            "name": "x",
                            "provider": "rclone",
                            "rclone_remote": "cloud",
                            "rclone_directory": bad,
                        }
                    )

    def test_what_only_the_storage_writes_is_refused(self):
        manager = new_test_user(self.env, "m", groups="dfr_backup.group_manager")
        storage = self.storage.with_user(manager)
        for values in (
            {"owner_uuid": "another"},
            {"former_uuids": ["another"]},
            {"sftp_host_key": "ssh-ed25519 AAAA"},
            {"can_delete": False},
        ):
            with self.subTest(values), self.assertRaises(AccessError):
                storage.write(values)
        storage.name = "Another name"
        self.assertEqual(storage.action_test()["params"]["type"], "success")

    def test_secrets_do_not_follow_to_another_host(self):
        sftp = self.env["backup.storage"].create(
            {
                "name": "Far",
                "provider": "sftp",
                "sftp_host": "a.example.com",
                "sftp_user": "u",
                "sftp_password": "secret one",
            }
        )
        sftp.write({"sftp_user": "v", "sftp_host": "a.example.com"})
        self.assertEqual(sftp._read_secret("sftp_password"), "secret one")
        sftp.sftp_host = "b.example.com"
        self.assertEqual(sftp._read_secret("sftp_password"), "")
        sftp.write({"sftp_host": "c.example.com", "sftp_password": "secret two"})
        self.assertEqual(sftp._read_secret("sftp_password"), "secret two")

    def test_storage_of_a_plan_is_not_archived(self):
        with self.assertRaisesRegex(UserError, self.plan.name):
            self.storage.active = False
        self.plan.active = False
        self.storage.active = False

    # === KINDS === #

    def new(self, code):
        """Return the form that a kind of storage opens."""
        action = self.env.ref(f"dfr_backup.storage_kind_{code}").action_choose()
        self.assertEqual(action["res_model"], "backup.storage")
        self.assertFalse(action["res_id"])
        return Form(self.env["backup.storage"].with_context(**action["context"]))

    def test_kinds_lead_to_what_the_engine_knows(self):
        shown = self.env["backup.storage.kind"].search([])
        known = {kind.name for kind in kinds()}
        self.assertLessEqual(set(shown.mapped("provider")), known)
        self.assertLessEqual(set(shown.mapped("s3_preset")) - {False}, {*PRESETS})
        self.assertEqual(len(set(shown.mapped("code"))), len(shown))

    def test_a_region_builds_the_address(self):
        form = self.new("hetzner")
        self.assertEqual((form.provider, form.s3_preset), ("s3", "hetzner"))
        form.s3_bucket = "odoo-backups"
        with self.assertRaises(AssertionError):
            form.save()  # the region is asked for
        form.s3_region = "fsn1"
        self.assertEqual(form.s3_endpoint, "https://fsn1.your-objectstorage.com")
        form.s3_access_key, form.s3_secret_key = "key", "secret"
        storage = form.save()
        self.assertIn("odoo-backups", storage.name)

    def test_a_server_of_ones_own_is_asked_for_its_address(self):
        form = self.new("minio")
        form.s3_bucket = "odoo"
        with self.assertRaises(AssertionError):
            form.save()
        form.s3_endpoint = "https://minio.example.com:9000"
        self.assertEqual(form.save().s3_addressing, "path")

    def test_a_new_storage_is_named_by_what_it_is_until_somebody_does(self):
        form = self.new("sftp")
        form.sftp_host = "nas.example.com"
        self.assertTrue(form.name.endswith(": nas.example.com"))
        form.sftp_host = "nas2.example.com"
        self.assertTrue(form.name.endswith(": nas2.example.com"))
        form.name = "Cellar"
        form.sftp_host = "nas3.example.com"
        self.assertEqual(form.name, "Cellar")

    def test_allowed_directories_are_named_where_one_types(self):
        self.assertIn(str(self.root), self.storage.local_roots)
        self.assertFalse(self.env["backup.storage"].new({"provider": "s3"}).local_roots)

    def test_the_list_says_how_the_last_use_went(self):
        self.assertEqual(self.storage.health, "never")
        self.storage.action_test()
        self.assertEqual(self.storage.health, "tested")
        job = self.run_now()
        upload = job.step_ids.filtered(lambda step: step.kind == "upload")
        later = fields.Datetime.now() + timedelta(minutes=1)
        upload.write({"state": "failure", "date_end": later})
        self.storage.invalidate_recordset()
        self.assertEqual(self.storage.health, "upload_failed")
        self.assertEqual(self.storage.health_at, later)

    def test_the_state_of_many_storages_costs_what_one_does(self):
        more = [
            {"name": f"Disk {n}", "local_path": str(self.root / f"disk-{n}")}
            for n in range(5)
        ]
        storages = self.storage + self.env["backup.storage"].create(more)
        self.env.flush_all()
        counts = []
        for some in (self.storage, storages):
            self.env.invalidate_all()
            some.mapped("active")
            some.mapped("is_foreign")
            before = self.env.cr.sql_log_count
            some.mapped("health")
            counts.append(self.env.cr.sql_log_count - before)
        self.assertEqual(*counts)
