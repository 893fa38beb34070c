"""Incremental backups: what a plan decides, and what a run gets for them."""

import hashlib
from unittest.mock import patch

from odoo.exceptions import AccessError
from odoo.tests import new_test_user, tagged

from .. import odoo_config
from ..console.runs import _as_json, _as_table
from ..engine.encryption.files import generate_key
from ..engine.errors.packs import (
    KeepsEverything,
    LockNotExtended,
    NothingToShare,
    SharedByDatabases,
    TakesAway,
)
from ..engine.identity import Identity
from ..engine.messages import Size
from ..engine.ownership.owners import Record
from ..engine.postgres.snapshot import Snapshot
from ..engine.sources.filestore import Attachment
from ..models.engine_messages import format_error
from ..models.packs_obstacle import prune_obstacle_in
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
        self.assertIn(format_error(self.env, obstacle), self.plan.warnings or "")
        self.plan.incremental = False
        self.assertNotIn(format_error(self.env, obstacle), self.plan.warnings or "")

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

    def test_storage_that_deletes_by_itself(self):
        self.storage.takes_away = True
        self.assertObstacle(TakesAway)

    def bucket(self):
        return self.env["backup.storage"].create(
            {
                "name": "Bucket",
                "provider": "s3",
                "s3_bucket": "b",
                "s3_region": "eu-central-1",
                "s3_access_key": "a",
                "s3_secret_key": "b",
            }
        )

    def test_one_of_two_storages_is_enough(self):
        bucket = self.bucket()
        self.plan.storage_ids += bucket
        self.assertIsNone(obstacle_of(self.plan))
        bucket.takes_away = True
        self.assertObstacle(TakesAway)

    def test_storage_with_object_lock_is_no_obstacle(self):
        bucket = self.bucket()
        self.plan.storage_ids += bucket
        before = self.plan.warnings
        for mode in ("GOVERNANCE", "COMPLIANCE"):
            bucket.write({"s3_lock_mode": mode, "s3_lock_days": 2})
            self.env.invalidate_all()
            self.assertIsNone(obstacle_of(self.plan))
            self.assertEqual(self.plan.warnings, before)

    def test_storage_that_did_not_extend_a_lock(self):
        bucket = self.bucket()
        bucket.write({"s3_lock_mode": "GOVERNANCE", "s3_lock_days": 2})
        self.plan.storage_ids += bucket
        self.run_now()._run_context().packs.note_lock_refused(bucket)
        self.assertIsNone(prune_obstacle_in(bucket))
        self.assertObstacle(LockNotExtended)
        self.plan.incremental = True
        bucket.s3_lock_mode = False
        self.assertIsNone(obstacle_of(self.plan))

    def test_location_that_several_databases_share(self):
        owners = odoo_config.owners()
        present = self.env["backup.job"]._current_identity()
        shared = Record(OTHER, "", sharers=(OTHER, present))
        with patch.object(type(owners), "find", lambda _self, _place_id: shared):
            self.env.invalidate_all()
            self.assertObstacle(SharedByDatabases)


@tagged("post_install", "-at_install")
class TestIncrementalRun(BackupCase):
    """Whole runs in this process, of the database of the test."""

    def setUp(self):
        super().setUp()
        self.startPatcher(patch.object(self.env.cr, "commit", lambda: None))
        self.filestore = self.root / "files"
        self.startPatcher(
            patch.object(odoo_config, "filestore_path", lambda _name: self.filestore)
        )
        # the dump is about other things, and takes a second
        self.plan.write({"incremental": True, "include_database": False})
        self.plan.include_addons = False

    def tearDown(self):
        for path in self.stored(self.root / "disk"):
            path.unlink()
        super().tearDown()

    def perform(self):
        job = self.run_now()
        job.state = "running"
        job._perform()
        return job

    def files(self, contents):
        """Let the filestore, and the list of a run, be just these files."""
        found = []
        for content in sorted(contents):
            digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
            path = self.filestore / digest[:2] / digest
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            name = f"{digest[:2]}/{digest}"
            found.append(Attachment(name, digest, len(content), name))
        listed = sorted(found, key=lambda one: one.store_fname)
        self.startPatcher(
            patch.object(Snapshot, "attachments", lambda _self: iter(listed))
        )

    def test_catalogue_notes_what_is_new(self):
        self.files([b"one" * 1000, b"two" * 1000])
        first = self.perform()
        self.assertEqual(first.state, "success", first.step_ids.mapped("error"))
        self.assertTrue(first.incremental)
        copy = first.copy_ids
        self.assertTrue(copy.incremental)
        self.assertEqual((copy.state, copy.packs), ("verified", 1))
        self.assertEqual((copy.packed_size, first.packed_size), (6000, 6000))
        self.assertGreater(copy.new_size, 0)
        self.files([b"one" * 1000, b"two" * 1000, b"three" * 500])
        second = self.perform().copy_ids
        self.assertEqual((second.packs, second.packed_size), (2, 8500))
        self.assertGreater(second.new_size, 0)
        third = self.perform()
        self.assertEqual((third.copy_ids.packs, third.copy_ids.new_size), (2, 0))
        self.assertEqual(_as_json(third)["copies"][0]["new_size"], 0)
        self.assertEqual(_as_json(third)["copies"][0]["packed_size"], 8500)
        self.assertIn(str(Size(8500)), _as_table(third))

    def test_plan_goes_to_incremental_and_back(self):
        self.files([b"one" * 1000])
        self.plan.incremental = False
        complete = self.perform()
        self.plan.incremental = True
        incremental = self.perform()
        self.plan.incremental = False
        last = self.perform()
        runs = complete | incremental | last
        self.assertEqual(runs.mapped("incremental"), [False, True, False])
        self.assertEqual(set(runs.mapped("state")), {"success"})
        self.assertEqual(runs.copy_ids.storage_id, self.storage)
        self.assertFalse(last.copy_ids.incremental)

    def test_scan_finds_incremental_copies(self):
        self.files([b"one" * 1000])
        copy = self.perform().copy_ids
        known = copy.read(["incremental", "packs", "packed_size"])[0]
        copy.write({"incremental": False, "packs": 0, "packed_size": 0})
        job = self.env["backup.job"].browse(self.storage.action_scan()["res_id"])
        job.state = "running"
        job._perform()
        self.assertEqual(job.state, "success", job.step_ids.mapped("log"))
        self.assertEqual(copy.read(["incremental", "packs", "packed_size"])[0], known)
        self.assertEqual(copy.state, "verified")

    def test_attachments_that_are_gone_are_a_drop(self):
        self.files([bytes([number]) * 10_000 for number in range(10)])
        for _run in range(3):
            self.assertFalse(self.perform().size_drop)
        self.files([b"x" * 10_000])
        self.assertGreater(self.perform().size_drop, 80)

    def test_run_says_what_is_in_the_way(self):
        self.files([b"one" * 1000])
        self.storage.can_delete = False
        job = self.perform()
        self.assertFalse(job.incremental)
        self.assertEqual(job._step("initialize").state, "warning")
        self.assertFalse(job.copy_ids.incremental)
