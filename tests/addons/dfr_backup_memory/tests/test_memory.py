"""A kind of storage and a kind of run that dfr_backup has never heard of."""

import io
import json
import zipfile
from pathlib import Path
from unittest.mock import patch

from odoo.tests import tagged

from odoo.addons.dfr_backup.engine.errors.places import SamePlace
from odoo.addons.dfr_backup.engine.errors.storage import BadKey
from odoo.addons.dfr_backup.engine.ownership.marker import MARKER
from odoo.addons.dfr_backup.engine.storages.registry import kind_of
from odoo.addons.dfr_backup.tests.common import BackupCase

from .. import memory_storage
from ..memory_storage import FOLDERS


@tagged("post_install", "-at_install")
class TestMemory(BackupCase):
    def setUp(self):
        super().setUp()
        FOLDERS.clear()
        self.memory = self.env["backup.storage"].create(
            {"name": "Memory", "provider": "memory", "memory_folder": "shelf"}
        )
        self.held = FOLDERS["shelf"]
        self.plan.write(
            {
                "storage_ids": [(6, 0, self.memory.ids)],
                "include_filestore": False,
                "include_addons": False,
                "encryption": "none",
            }
        )

    def perform(self, job):
        """Do what the runner does, in this process: another one has other memory."""
        job.state = "running"
        with patch.object(self.env.cr, "commit", lambda: None):
            job._perform()
        return job

    def backed_up(self):
        """Press “Run Backup Now”, and perform the run."""
        return self.perform(self.run_now())

    def test_the_engine_class_is_short(self):
        lines = Path(memory_storage.__file__).read_text().splitlines()
        self.assertLessEqual(len(lines), 60)

    def test_storage_works(self):
        self.memory.action_test()
        self.assertFalse(self.memory.last_test_error, self.memory.last_test_error)
        self.assertTrue(self.memory.can_delete)
        self.assertEqual(set(self.held) - {MARKER}, set())

    def test_what_stands_once_is_there(self):
        storage = self.memory._get_own_storage()
        with self.assertRaises(BadKey):
            storage.put_bytes(b"x", "../x")
        self.assertTrue(self.memory._is_lent())
        self.assertFalse(self.memory._is_near())
        self.assertEqual(kind_of("memory").fields("folder"), ("memory_folder",))

    def test_form_shows_its_field(self):
        form = self.env["backup.storage"].get_view(view_type="form")
        self.assertIn("memory_folder", form["arch"])

    def test_two_of_one_folder_are_refused(self):
        other = self.memory.copy({"memory_folder": "elsewhere"})
        with self.assertRefuses(SamePlace):
            other.memory_folder = "shelf"

    def test_backup_to_it(self):
        job = self.backed_up()
        self.assertEqual(job.state, "success", job.step_ids.mapped("error"))
        copy = job.copy_ids
        self.assertEqual((copy.storage_id, copy.state), (self.memory, "verified"))
        archive = zipfile.ZipFile(io.BytesIO(self.held[copy.key][0]))
        manifest = json.loads(archive.read("manifest.json"))
        self.assertEqual(manifest["db_name"], self.env.cr.dbname)
        self._is_verified_again(copy)
        self._is_found_by_a_scan(copy)
        self._is_damage_noticed(copy)

    def _is_verified_again(self, copy):
        action = copy.action_verify()
        job = self.perform(self.env["backup.job"].browse(action["res_id"]))
        self.assertEqual((job.kind, job.state), ("verify", "success"))

    def _is_found_by_a_scan(self, copy):
        key = copy.key
        copy.state = "missing"
        action = self.memory.action_scan()
        job = self.perform(self.env["backup.job"].browse(action["res_id"]))
        self.assertEqual((job.kind, job.state), ("scan", "success"))
        found = self.memory.copy_ids.filtered(lambda one: one.key == key)
        self.assertNotEqual(found.state, "missing")

    def _is_damage_noticed(self, copy):
        data, modified = self.held[copy.key]
        self.held[copy.key] = data[:-1] + bytes([data[-1] ^ 1]), modified
        copy.state = "verified"
        action = copy.action_verify()
        job = self.perform(self.env["backup.job"].browse(action["res_id"]))
        self.assertEqual((job.state, copy.state), ("failure", "damaged"))

    def test_kind_of_run(self):
        storage = self.memory._get_own_storage()
        for key in ("a", "b"):
            storage.put_bytes(b"x", key)
        job = self.env["backup.job"].browse(self.memory.action_count()["res_id"])
        self.assertEqual((job.kind, job.step_ids.kind), ("count", "count"))
        self.assertEqual((job.step_ids.storage_id, job.state), (self.memory, "pending"))
        self.perform(job)
        self.assertEqual(job.state, "success", job.step_ids.error)
        self.assertIn("2", job.step_ids.log)
        job.state = "failure"
        again = self.env["backup.job"].browse(job.action_retry()["res_id"])
        self.assertEqual((again.kind, again.state), ("count", "pending"))
