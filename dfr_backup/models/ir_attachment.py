from odoo import models


class IrAttachment(models.Model):
    _inherit = "ir.attachment"

    def _gc_file_store_unsafe(self):
        """Delete nothing while a backup still reads the filestore.

        Core calls this after it has taken its table lock, so that the look at the
        running jobs is made in a snapshot younger than the lock: a backup that starts
        later than this look sees no row change before the collector is done.
        """
        if self.env["backup.job"]._is_reading_filestore():
            return None
        return super()._gc_file_store_unsafe()
