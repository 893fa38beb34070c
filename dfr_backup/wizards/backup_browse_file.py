"""One attachment in a stored backup, fetched out of the archive."""

import logging
import tempfile

from odoo import api, fields, models
from odoo.exceptions import UserError

from odoo.addons.base.models.res_users import check_identity

from .. import odoo_config
from ..engine.catalog.browse import copy_out, find_file
from ..models.grants import grant, granted

_logger = logging.getLogger(__name__)

IN_MEMORY = (
    8 << 20
)  # bytes of a file on its way to a browser; a larger one waits on the disk
FETCH_SECONDS = 600
FETCH_SCOPE = "dfr_backup.attachment"


class BackupBrowseFile(models.TransientModel):
    _name = "backup.browse.file"
    _description = "Attachment in a Backup"
    _order = "name, id"

    browse_id = fields.Many2one(
        "backup.browse", required=True, ondelete="cascade", index=True
    )
    attachment = fields.Integer("Attachment ID", readonly=True)
    name = fields.Char(readonly=True)
    res_model = fields.Char("Model", readonly=True)
    res_field = fields.Char("Field", readonly=True)
    res_id = fields.Integer("Record ID", readonly=True)
    store_fname = fields.Char("File", readonly=True)
    size = fields.Float(digits=(20, 0), readonly=True, help="In bytes.")
    mimetype = fields.Char("Type", readonly=True)

    @check_identity
    def action_download(self):
        """Fetch this file out of the archive."""
        self.ensure_one()
        self.browse_id.copy_id._check_manager()
        copy, name = self.browse_id.copy_id, self.store_fname
        self.env["backup.audit"]._note("fetch", copy, new=name)
        token = grant(self, FETCH_SCOPE, FETCH_SECONDS)
        return {
            "type": "ir.actions.act_url",
            "url": f"/dfr_backup/attachment/{self.id}/{token}",
            "target": "download",
        }

    @api.model
    def _from_token(self, number, token):
        """Return the file that a token lets this user fetch; empty when it does not."""
        return granted(self, FETCH_SCOPE, number, token)

    def _fetch(self):
        """Return (file, bytes, name) with the content, read out of the archive and
        checked.

        Raise UserError when it is not there, or the archive is damaged or cannot be
        read.
        """
        self.ensure_one()
        copy = self.browse_id.copy_id
        folder = odoo_config.data_root() / "work"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # its caller reads it
        target = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=folder)  # noqa: SIM115
        with self.browse_id._looked_into() as reader:
            entry = find_file(reader, self.store_fname)
            if entry is None:
                raise UserError(
                    self.env._(
                        "The file of “%s” is not in this backup: it was missing "
                        "already when the backup was made. Try an older one.",
                        self.name or self.store_fname,
                    )
                )
            good = copy_out(reader, entry, target.write)
        target.seek(0)
        _logger.info(
            "User %s fetches %s from %s", self.env.uid, self.store_fname, copy.key
        )
        name = self.name or self.store_fname.rpartition("/")[2]
        # damaged before it was saved: whoever gets it must not take it for the original
        return target, entry.size, name if good else f"DAMAGED {name}"
