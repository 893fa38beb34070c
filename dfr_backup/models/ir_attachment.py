from odoo import api, models

from .states import OPEN_STATES


class IrAttachment(models.Model):
    _inherit = "ir.attachment"

    def _gc_file_store_unsafe(self):
        """Delete nothing while a backup still reads the filestore.

        Core calls this after it has taken its table lock, so that the look at the
        running jobs is made in a snapshot younger than the lock: a backup that starts
        later than this look sees no row change before the collector is done.
        """
        if self._is_read_by_backup():
            return None
        return super()._gc_file_store_unsafe()

    @api.model
    def _is_read_by_backup(self):
        """Tell whether a run may still read attachment files that were deleted
        meanwhile."""
        # an incremental backup reads for one storage after the other
        uploads = ["&", ("kind", "=", "upload"), ("job_id.incremental", "=", True)]
        reading = ["|", ("kind", "=", "archive_files"), *uploads]
        running = [("state", "in", OPEN_STATES), ("job_id.state", "=", "running")]
        return bool(
            self.env["backup.step"].sudo().search_count([*running, *reading], limit=1)
        )
