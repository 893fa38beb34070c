"""Incremental backups: what a plan decides, and what a run gets for them."""

from unittest.mock import patch

from odoo.exceptions import AccessError
from odoo.tests import new_test_user, tagged

from .. import odoo_config
from ..engine.encryption.files import generate_key
from ..engine.errors.packs import (
    KeepsEverything,
    LocksForTime,
    NothingToShare,
    SharedByDatabases,
)
from ..engine.identity import Identity
from ..engine.ownership.owners import Record
from ..models.engine_messages import format_error
from ..models.plan.incremental import obstacle_of
from .common import BackupCase

OTHER = Identity("5d0f0000-0000-4000-8000-000000000001", "7", 7, "other")


@tagged("post_install", "-at_install")
class TestPacksOfRuns(BackupCase):
    def packs(self):
        return self.run_now()._run_context().packs

    def test_packs_are_known_by_location(self):
        place = self.packs().place(self.storage)
        self.assertTrue(self.storage.place_id)
        self.assertEqual(place.index, odoo_config.packs_path(self.storage.place_id))
        self.assertEqual(place.storage.folder(), self.root / "disk")

    def test_owner_signs_for_this_database_and_knows_former_ones(self):
        present = self.env["backup.job"]._current_identity()
        owner = self.packs().owner(self.storage)
        self.assertEqual(owner.identity, present)
        self.assertEqual(owner.keys, {present.key})
        odoo_config.originals().hand_over(Identity(present.uuid, "1", 1, "before"))
        odoo_config.originals().hand_over(present)
        self.assertEqual(
            self.packs().owner(self.storage).keys,
            {present.key, f"{present.uuid}/1/1"},
        )

    def test_public_keys_have_one_mark_in_any_order(self):
        one, two = generate_key().public, generate_key().public
        marks = []
        for keys in (one, f"{one}\n{two}", f"{two}\n{one}"):
            self.plan.write({"encryption": "recipients", "age_recipients": keys})
            job = self.run_now()
            job._run_context().plan.adopt_encryption()
            marks.append(job._run_context().packs.encryption().mark)
        self.assertNotEqual(marks[0], marks[1])
        self.assertEqual(marks[1], marks[2])

    def test_passphrase_has_a_mark_until_it_changes(self):
        secret = "correct horse battery"
        self.plan.write({"encryption": "passphrase", "age_passphrase": secret})
        job = self.run_now()
        job._run_context().plan.adopt_encryption()
        packs = job._run_context().packs
        mark = packs.encryption().mark
        self.assertEqual(packs.encryption().mark, mark)
        self.plan.age_passphrase = "********"
        self.assertEqual(packs.encryption().mark, mark)
        self.plan.age_passphrase = "another horse battery"
        self.assertNotEqual(packs.encryption().mark, mark)
        manager = new_test_user(self.env, "boss", "dfr_backup.group_manager")
        with self.assertRaises(AccessError):
            self.plan.with_user(manager).passphrase_mark = mark

    def test_nothing_is_encrypted_unless_the_plan_says_so(self):
        self.assertIsNone(self.packs().encryption())


@tagged("post_install", "-at_install")
class TestIncrementalPlan(BackupCase):
    def setUp(self):
        super().setUp()
        self.plan.incremental = True

    def assertObstacle(self, kind):
        obstacle = obstacle_of(self.plan)
        self.assertIsInstance(obstacle, kind)
        self.env.invalidate_all()
        self.assertIn(format_error(self.env, obstacle), self.plan.cautions or "")
        self.plan.incremental = False
        self.assertNotIn(format_error(self.env, obstacle), self.plan.cautions or "")

    def test_plan_is_complete_unless_somebody_wants_it_otherwise(self):
        plan = self.env["backup.plan"].create(
            {"name": "Another", "storage_ids": [(6, 0, self.storage.ids)]}
        )
        self.assertFalse(plan.incremental)

    def test_storage_of_its_own_is_no_obstacle(self):
        self.assertIsNone(obstacle_of(self.plan))

    def test_plan_without_attachments(self):
        self.plan.include_filestore = False
        self.assertObstacle(NothingToShare)

    def test_storage_that_deletes_nothing(self):
        self.storage.can_delete = False
        self.assertObstacle(KeepsEverything)

    def test_one_of_two_storages_is_enough(self):
        bucket = self.env["backup.storage"].create(
            {
                "name": "Bucket",
                "provider": "s3",
                "s3_bucket": "b",
                "s3_region": "eu-central-1",
                "s3_access_key": "a",
                "s3_secret_key": "b",
            }
        )
        self.plan.storage_ids += bucket
        self.assertIsNone(obstacle_of(self.plan))
        bucket.s3_lock_mode = "GOVERNANCE"
        self.assertObstacle(LocksForTime)

    def test_location_that_several_databases_share(self):
        owners = odoo_config.owners()
        present = self.env["backup.job"]._current_identity()
        shared = Record(OTHER, "", sharers=(OTHER, present))
        with patch.object(type(owners), "find", lambda _self, _place_id: shared):
            self.env.invalidate_all()
            self.assertObstacle(SharedByDatabases)
