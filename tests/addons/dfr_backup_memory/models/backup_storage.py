from odoo import fields, models

from odoo.addons.dfr_backup.engine.storages.registry import Kind, register
from odoo.addons.dfr_backup.models.actions import form_action

from ..count_run import CountRun
from ..memory_storage import MemoryStorage

register(Kind("memory", MemoryStorage, folder=("folder",)))


class BackupStorage(models.Model):
    _inherit = "backup.storage"

    provider = fields.Selection(
        selection_add=[("memory", "Memory")], ondelete={"memory": "cascade"}
    )
    memory_folder = fields.Char(string="Folder in Memory")

    def action_count(self):
        """Start a run that counts what is stored here."""
        jobs = self.env["backup.job"]
        jobs._check_manager()
        steps = CountRun.planned(storages=self)
        return form_action(jobs.sudo()._create_run("count", steps, "manual")._start())
