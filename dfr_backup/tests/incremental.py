"""Incremental backups by real runs in this process, for tests that read them."""

from unittest.mock import patch

from .. import odoo_config
from ..engine.postgres.snapshot import Snapshot
from ..engine.sources.filestore import Attachment
from .archives import store_fname
from .common import BackupCase


class IncrementalCase(BackupCase):
    def setUp(self):
        super().setUp()
        self.startPatcher(patch.object(self.env.cr, "commit", lambda: None))
        self.filestore = self.root / "files"
        self.disk = self.root / "disk"
        self.startPatcher(
            patch.object(odoo_config, "filestore_path", lambda _name: self.filestore)
        )
        # the dump is about other things, and takes a second
        self.plan.write({"incremental": True, "include_database": False})
        self.plan.include_addons = False

    def tearDown(self):
        for path in self.stored(self.disk):
            path.unlink()
        super().tearDown()

    def backup(self, *contents):
        """Back up a filestore of these files; return the copy."""
        for content in contents:
            path = self.filestore / store_fname(content)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return self.backup_as_it_is(*contents)

    def backup_as_it_is(self, *contents):
        """Back up a filestore that should have these files; return the copy."""
        job = self.run_as_it_is(*contents)
        self.assertEqual(job.state, "success", job.step_ids.mapped("error"))
        return job.copy_ids

    def run_as_it_is(self, *contents):
        """Back up a filestore that should have these files; return the run."""
        listed = sorted(map(_attachment, contents), key=lambda one: one.store_fname)
        with patch.object(Snapshot, "attachments", lambda _self: iter(listed)):
            return self.perform(self.run_now())

    def perform(self, job):
        job.state = "running"
        job._perform()
        return job

    def packs(self):
        """Return the packs that are stored, the newest last."""
        found = self.disk.glob("*-files-*.zip")
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def _attachment(content):
    name = store_fname(content)
    return Attachment(name, name[3:], len(content), name)
