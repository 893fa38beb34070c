from pathlib import Path

from odoo.tests import tagged

from .common import BackupCase


@tagged("post_install", "-at_install")
class TestIrAttachment(BackupCase):
    def test_collector_waits_for_a_run_that_reads_files(self):
        attachments = self.env["ir.attachment"]
        attachment = attachments.create(
            {"name": "x", "raw": b"collect me %s" % self.id().encode()}
        )
        path = Path(attachments._full_path(attachment.store_fname))
        attachment.unlink()
        job = self.run_now()
        job.state = "running"
        attachments._gc_file_store_unsafe()
        self.assertTrue(path.exists())
        job.step_ids.filtered(
            lambda step: step.kind == "archive_files"
        ).state = "success"
        attachments._gc_file_store_unsafe()
        self.assertFalse(path.exists())

    def test_collector_waits_for_the_last_upload_of_an_incremental_run(self):
        attachments = self.env["ir.attachment"]
        job = self.run_now()
        job.state = "running"
        job._step("archive_files").state = "success"
        self.assertFalse(attachments._is_read_by_backup())
        job._run_context().store.update_state(incremental=True)
        self.assertTrue(attachments._is_read_by_backup())
        job._step("upload").state = "success"
        self.assertFalse(attachments._is_read_by_backup())

    def test_collector_is_still_called_by_autovacuum(self):
        method = type(self.env["ir.attachment"])._gc_file_store
        self.assertTrue(getattr(method, "_autovacuum", False))
