from odoo.exceptions import UserError, ValidationError
from odoo.tests import tagged

from .common import BackupCase


@tagged("post_install", "-at_install")
class TestBackupStorage(BackupCase):
    def test_directory_is_made_when_it_is_configured(self):
        self.assertTrue((self.root / "disk").is_dir())

    def test_forbidden_places(self):
        for path in ("relative", "/etc", str(self.root / "filestore/x"), str(self.root), "", "/"):
            with self.subTest(path), self.assertRaises(ValidationError), self.cr.savepoint():
                self.storage.local_path = path

    def test_test_button_says_what_it_did(self):
        answer = self.storage.action_test()["params"]
        self.assertEqual(answer["type"], "success")
        self.assertTrue(self.storage.last_test)
        self.assertFalse(self.storage.last_test_error)
        self.assertEqual(list((self.root / "disk").iterdir()), [])

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
        self.assertIn("Cannot", self.storage.last_test_error)

    def test_storage_with_backups_is_not_deleted(self):
        job = self.run_now()
        job.archive_name = "a.zip"
        job._record_copy(self.storage, "verified")
        with self.assertRaisesRegex(UserError, "still holds backups"):
            self.storage.unlink()

    def test_protected_copy_is_not_deleted(self):
        job = self.run_now()
        job.archive_name = "a.zip"
        job._record_copy(self.storage, "verified")
        job.copy_ids.protected = True
        with self.assertRaisesRegex(UserError, "protected"):
            job.copy_ids.action_delete()
