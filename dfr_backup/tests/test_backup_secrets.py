from odoo.exceptions import AccessError, ValidationError
from odoo.tests import new_test_user, tagged

from .. import server
from ..engine.errors import PermanentError
from ..engine.secretbox import SecretBox, key_from_text
from .common import BackupCase, patch

SECRET = "correct horse battery staple"


@tagged("post_install", "-at_install")
class TestBackupSecrets(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sftp = cls.env["backup.storage"].create(
            {
                "name": "Far away",
                "provider": "sftp",
                "sftp_host": "backup.example.com",
                "sftp_user": "odoo",
                "sftp_password": SECRET,
            }
        )

    def test_secret_is_encrypted_in_the_database(self):
        self.sftp.flush_recordset()
        self.env.cr.execute(
            "SELECT * FROM backup_storage WHERE id = %s", [self.sftp.id]
        )
        row = str(self.env.cr.dictfetchone())
        self.assertIn("sftp_password", row)
        self.assertNotIn(SECRET, row)
        self.assertEqual(self.sftp._read_secret("sftp_password"), SECRET)

    def test_nobody_reads_it_back(self):
        manager = new_test_user(self.env, "m", groups="dfr_backup.group_manager")
        admin = self.env.ref("base.user_admin")
        for user in (manager, admin):
            storage = self.sftp.with_user(user)
            storage.invalidate_recordset()
            readable = [
                name
                for name in storage._fields
                if storage._has_field_access(storage._fields[name], "read")
            ]
            self.assertNotIn("sealed_secrets", readable)
            self.assertNotIn(SECRET, str(storage.read(readable)))
            with self.assertRaises(AccessError):
                storage.read(["sealed_secrets"])
            with self.assertRaises(AccessError):
                storage.search([("sealed_secrets", "!=", False)])

    def test_export_holds_no_secret(self):
        names = ["name", "sftp_password", "sftp_private_key"]
        self.assertNotIn(SECRET, str(self.sftp.export_data(names)))

    def test_form_shows_a_mask_and_saving_it_changes_nothing(self):
        self.assertEqual(self.sftp.sftp_password, "********")
        self.sftp.sftp_password = "********"
        self.assertEqual(self.sftp._read_secret("sftp_password"), SECRET)

    def test_new_one_replaces_and_nothing_forgets(self):
        self.sftp.sftp_password = "another secret"
        self.assertEqual(self.sftp._read_secret("sftp_password"), "another secret")
        self.sftp.sftp_password = False
        self.assertEqual(self.sftp._read_secret("sftp_password"), "")
        self.assertFalse(self.sftp.sftp_password)

    def test_writing_another_field_keeps_it(self):
        self.sftp.write({"name": "Farther away", "sftp_passphrase": "second"})
        self.assertEqual(self.sftp._read_secret("sftp_password"), SECRET)
        self.assertEqual(self.sftp._read_secret("sftp_passphrase"), "second")

    def test_copy_of_a_storage_has_no_secret(self):
        self.assertEqual(self.sftp.copy()._read_secret("sftp_password"), "")

    def test_token_is_of_no_use_in_another_record(self):
        other = self.sftp.copy()
        other.sudo().sealed_secrets = self.sftp.sudo().sealed_secrets
        with self.assertRaises(PermanentError):
            other._read_secret("sftp_password")

    def test_another_key_is_a_clear_error(self):
        box = SecretBox(key_from_text("the key of another server"))
        with (
            patch.object(server, "secret_box", lambda: box),
            self.assertRaises(PermanentError) as caught,
        ):
            self.sftp._read_secret("sftp_password")
        self.assertEqual(caught.exception.message.values["record"], "Far away")
        self.assertTrue(caught.exception.hint)

    def test_key_file_is_private_and_outside_the_database(self):
        path = self.root / "data" / "secret.key"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)

    def test_environment_and_configuration_come_first(self):
        self.sftp.external_name = "OFFSITE"
        with patch.dict("os.environ", {"DFR_BACKUP_OFFSITE_SFTP_PASSWORD": "outer"}):
            self.assertEqual(self.sftp._read_secret("sftp_password"), "outer")
        option = {"dfr_backup_offsite_sftp_password": "from odoo.conf"}
        with patch.object(server, "config", {**option}):
            self.assertEqual(self.sftp._read_secret("sftp_password"), "from odoo.conf")
        self.assertEqual(self.sftp._read_secret("sftp_password"), SECRET)

    def test_name_in_the_environment_cannot_reach_other_variables(self):
        for name in ("offsite", "A B", "../X", "A=B", "", "1X"):
            if name:
                with (
                    self.subTest(name),
                    self.assertRaises(ValidationError),
                    self.cr.savepoint(),
                ):
                    self.sftp.external_name = name
        with patch.dict("os.environ", {"PGPASSWORD": "outer"}):
            self.assertEqual(server.external_secret("PG", "password"), "")

    def test_short_passphrase_of_a_plan(self):
        with self.assertRaises(ValidationError):
            self.plan.age_passphrase = "short"
