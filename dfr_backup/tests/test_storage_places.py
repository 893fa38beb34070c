"""Whose the location of a storage is, and that nobody else uses it."""

import shutil
from unittest.mock import patch

from odoo.tests import new_test_user, tagged

from .. import odoo_config
from ..engine.errors.places import PlaceLost, PlaceOfAnother, SamePlace
from ..engine.errors.storage import CopyMissing
from ..engine.identity import Identity
from ..engine.ownership.marker import MARKER, read_marker
from ..models.overview.cards import storage_healths
from ..models.overview.problems import all_problems
from ..models.storage import looking
from .common import BackupCase

OTHER = Identity("11111111-2222-3333-4444-555555555555", "1", 2, "shop")


@tagged("post_install", "-at_install")
class TestStoragePlaces(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = new_test_user(
            cls.env, "backup-manager", "dfr_backup.group_manager"
        )

    def identity(self):
        return self.env["backup.job"]._current_identity()

    def theirs(self):
        """Return a storage of this database in a directory of another one."""
        with self.as_other():
            folder = self.folder = self.root / self._testMethodName
            folder.mkdir()
            first = self.new(folder)
            first._get_own_storage().put_bytes(b"secret", "shop.zip")
            self.env.cr.execute("DELETE FROM backup_storage WHERE id = %s", [first.id])
            self.env.invalidate_all()
        return self.new(folder)

    def as_other(self):
        job = type(self.env["backup.job"])
        return patch.object(job, "_current_identity", lambda self: OTHER)

    def new(self, folder, user=None):
        storages = self.env["backup.storage"].with_user(user or self.manager)
        return storages.create({"name": folder.name, "local_path": str(folder)})

    def test_a_new_storage_owns_its_directory(self):
        found = read_marker(self.storage._prepare_storage())
        self.assertEqual(found.place_id, self.storage.place_id)
        self.assertEqual(
            odoo_config.owners().find(found.place_id).owner, self.identity()
        )

    def test_the_directory_of_another_database_is_closed(self):
        storage = self.theirs()
        key, folder = "shop.zip", self.folder
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        storage.action_test()
        self.assertEqual(storage.last_test_error_code, PlaceOfAnother.code)
        for use in (
            lambda: list(storage.sudo()._get_storage().list()),
            lambda: storage.sudo()._get_storage().open(key),
            lambda: storage.sudo()._get_storage().local_path(key),
            lambda: storage.sudo()._get_own_storage().delete(key),
            lambda: storage.sudo()._get_own_storage().put_bytes(b"", key),
        ):
            with self.assertRaises(PlaceOfAnother):
                use()
        after = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.assertEqual(before, after)

    def test_a_scan_of_it_fails(self):
        storage = self.theirs()
        job = self.env["backup.job"].browse(storage.action_scan()["res_id"])
        job._perform()
        self.assertEqual(job.state, "failure")
        self.assertEqual(job.step_ids.error_code, PlaceOfAnother.code)
        self.assertFalse(storage.copy_ids)

    def test_a_copy_of_it_is_neither_downloaded_nor_deleted(self):
        storage = self.theirs()
        copy = self.env["backup.copy"].create(
            {
                "storage_id": storage.id,
                "key": "shop.zip",
                "date": "2026-11-01",
                "state": "stored",
                "database_uuid": self.identity().uuid,
            }
        )
        copy = copy.with_user(self.manager)
        with self.assertRefuses(PlaceOfAnother):
            type(copy).action_download.__wrapped__(copy)
        with self.assertRaises(Exception) as caught:
            copy.action_delete()
        self.assertIn(storage._where(), str(caught.exception))
        self.assertTrue((self.folder / "shop.zip").exists())

    def test_the_operator_lets_it_in(self):
        storage = self.theirs()
        storage.sudo()._let_in()
        storage.action_test()
        self.assertFalse(storage.last_test_error_code)
        names = [one.key for one in storage.sudo()._get_storage().list()]
        self.assertEqual(names, ["shop.zip"])

    def test_two_storages_are_not_in_one_directory(self):
        folder = self.root / "disk"
        (self.root / "link").symlink_to(folder)
        for path in (f"{folder}/", str(self.root / "link"), f"{folder}//"):
            with self.subTest(path), self.assertRefuses(SamePlace):
                self.env["backup.storage"].create({"name": "B", "local_path": path})

    def test_two_storages_do_not_read_one_marker(self):
        """What leads to one folder by two addresses, as a NAS by NFS and SMB."""
        second = self.new(self.root / "second")
        shutil.copy(self.root / "disk" / MARKER, self.root / "second" / MARKER)
        second._forget_location()
        second.action_test()
        self.assertEqual(second.last_test_error_code, SamePlace.code)

    def test_one_bucket_is_one_storage(self):
        values = {
            "provider": "s3",
            "s3_bucket": "backups",
            "s3_endpoint": "https://s3.example.com",
            "s3_access_key": "key",
            "s3_secret_key": "secret",
        }
        storages = self.env["backup.storage"]
        storages.create({"name": "A", **values, "s3_prefix": "odoo"})
        storages.create({"name": "B", **values, "s3_prefix": "other"})
        values["s3_endpoint"] = "https://S3.example.com/"
        with self.assertRefuses(SamePlace):
            storages.create({"name": "C", **values, "s3_prefix": "odoo/"})

    def test_a_duplicate_is_in_a_folder_of_its_own(self):
        duplicate = self.storage.with_user(self.manager).copy()
        self.assertNotEqual(duplicate.local_path, self.storage.local_path)
        self.assertFalse(duplicate.place_id == self.storage.place_id)

    def test_another_disk_needs_a_password(self):
        self.assertAsksForPassword(type(self.storage).action_use_location)
        storage = self.new(self.root / "unmounted")
        storage.action_test()
        (self.root / "unmounted" / MARKER).unlink()
        storage.action_test()
        self.assertEqual(storage.last_test_error_code, PlaceLost.code)
        self.assertEqual(list((self.root / "unmounted").iterdir()), [])
        type(storage).action_use_location.__wrapped__(storage)
        self.assertFalse(storage.last_test_error_code)

    def test_an_older_storage_is_not_let_in_without_backups_there(self):
        storage = self.theirs().sudo()
        storage.was_there = True
        with self.assertRaises(PlaceOfAnother):
            storage._get_storage().admit()

    def test_who_shares_a_location_is_told_to_move(self):
        place_id = self.storage.place_id
        self.assertFalse(self.storage.is_shared)
        before = self.storage.warnings
        odoo_config.owners().share_with(place_id, self.identity())
        self.storage.invalidate_recordset()
        self.assertTrue(self.storage.is_shared)
        self.assertNotEqual(self.storage.warnings, before)
        problems = all_problems(self.env, {}, storage_healths(self.env))
        self.assertIn("shared", [problem["kind"] for problem in problems])
        odoo_config.owners().open_to(place_id, self.identity())
        self.storage.invalidate_recordset()
        self.assertFalse(self.storage.is_shared)

    def test_the_default_directory_is_not_a_neighbours(self):
        first = odoo_config.default_storage_path("a b", OTHER.uuid)
        first.mkdir(parents=True)
        self.assertEqual(odoo_config.default_storage_path("a_b", OTHER.uuid), first)
        (first / "x.zip").touch()
        second = odoo_config.default_storage_path("a_b", OTHER.uuid)
        self.assertEqual(second.name, "a_b-11111111")

    def test_another_address_is_another_location(self):
        job = self.run_now()
        job.archive_name = "a.zip"
        self.record_copy(job)
        self.storage.local_path = str(self.root / "moved")
        self.assertEqual(job.copy_ids.state, "unknown")
        self.assertFalse(job.copy_ids.verified_at)
        problems = all_problems(self.env, {}, storage_healths(self.env))
        self.assertIn("unseen", [problem["kind"] for problem in problems])
        looking.create_due(self.env)
        scan = self.env["backup.job"].search([("kind", "=", "scan")], limit=1)
        self.assertIn(self.storage, scan.step_ids.storage_id)

    def test_what_was_never_seen_is_not_deleted(self):
        job = self.run_now()
        job.archive_name = "a.zip"
        self.record_copy(job)
        copy = job.copy_ids
        self.storage.local_path = str(self.root / "elsewhere")
        with self.assertRaises(CopyMissing):
            copy._delete_stored()
        self.assertNotEqual(copy.state, "deleted")
        copy.state = "missing"  # a scan has looked
        copy._delete_stored()
        self.assertEqual(copy.state, "deleted")

    def test_a_secret_of_a_kind_is_in_the_registry(self):
        """Nothing says where another one may be sent."""
        storages = self.env["backup.storage"]
        names = [*storages._secret_names(), "rclone_password"]
        with (
            patch.object(type(storages), "_secret_names", lambda self: names),
            self.assertRaises(TypeError),
        ):
            storages._register_hook()
