"""What a copy is called: by the moment of its data and by its storage."""

from odoo import api, models

from ..moments import in_words


class BackupCopy(models.Model):
    """The name of its file is a column, and what a search finds."""

    _inherit = "backup.copy"

    @api.depends("key", "date", "storage_id.name")
    @api.depends_context("lang", "tz")
    def _compute_display_name(self):
        for copy in self:
            moment = in_words(self.env, copy.date) or copy.key
            storage = copy.storage_id.sudo().name
            copy.display_name = ", ".join(filter(None, (moment, storage)))
