"""Attachments in a stored backup: looked for by name, model and record, and fetched
one by one."""

import logging
import tempfile

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL

from odoo.addons.base.models.res_users import check_identity

from .. import odoo_config
from ..engine.archive.attachment_index import (
    AttachmentQuery,
    IndexedAttachment,
    find_index,
    search_index,
)
from ..engine.catalog.browse import copy_out, files, find_file
from ..models.grants import grant, granted, require_opened

_logger = logging.getLogger(__name__)

MOST_HITS = 200
MOST_LIVE = (
    100_000  # attachments of today's database that an older archive is searched for
)
IN_MEMORY = (
    8 << 20
)  # bytes of a file on its way to a browser; a larger one waits on the disk
FETCH_SECONDS = 600
FETCH_SCOPE = "dfr_backup.attachment"


class BackupBrowse(models.TransientModel):
    _inherit = "backup.browse"

    search_text = fields.Char("Name", help="A part of the attachment's name.")
    search_model = fields.Char(
        "Model", help="Its technical name, for example account.move."
    )
    search_record = fields.Char("Record ID")
    hit_ids = fields.One2many("backup.browse.file", "browse_id", readonly=True)
    found = fields.Char(readonly=True)

    def action_search(self):
        """Show the attachments that are looked for, the first of them when there are
        many."""
        self.copy_id._check_manager()
        self.ensure_one()
        require_opened(self)
        wanted = self._wanted()
        with self._looked_into() as reader:
            index = find_index(reader)
            if index:
                hits = search_index(reader, index, wanted, MOST_HITS)
                found, total, note = hits.first, hits.total, ""
            else:
                found, total = self._search_by_file(reader, wanted)
                note = self.env._(
                    "This archive does not say which attachment is which file: the "
                    "names are those that this database has today."
                )
        self._show(
            found, " ".join(filter(None, [self._count(len(found), total), note]))
        )
        return True

    def _wanted(self):
        text, model, record = (
            (value or "").strip()
            for value in (self.search_text, self.search_model, self.search_record)
        )
        if record and not record.isdecimal():
            raise UserError(self.env._("The ID of a record is a number."))
        return AttachmentQuery(text, model, int(record or 0))

    def _looked_into(self):
        """Open the archive, with the key that was entered."""
        return self.copy_id.sudo()._looked_into(self._read_secret("key"))

    def _show(self, found, text):
        browser = self.sudo()
        browser.hit_ids.unlink()
        hits = [fields.Command.create(_values(hit)) for hit in found]
        browser.write({"hit_ids": hits, "found": text})

    def _count(self, shown, total):
        if not total:
            return self.env._("Nothing was found.")
        if shown < total:
            return self.env._(
                "The first %(shown)s of %(total)s: look for something narrower.",
                shown=shown,
                total=total,
            )
        return self.env._("Found: %s", total)

    def _search_by_file(self, reader, wanted):
        """Return the first files that fit and the number of all. What they are
        called is what the database of today calls files with the same content."""
        everything = wanted == AttachmentQuery()
        known = {} if everything else self._live_attachments(wanted)
        text = "" if wanted.model or wanted.record else wanted.text
        found, total = [], 0
        for store_fname, entry in files(reader):
            if everything or store_fname in known or (text and text in store_fname):
                total += 1
                if len(found) < MOST_HITS:
                    found.append((store_fname, entry.size))
        if everything:
            known = self._live_attachments(
                wanted, [store_fname for store_fname, _size in found]
            )
        hits = [
            known.get(name) or IndexedAttachment(0, "", "", "", 0, name, size, "")
            for name, size in found
        ]
        return hits, total

    def _live_attachments(self, wanted, names=None):
        """Return attachments of this database by ``store_fname``; those of ``names``
        if given."""
        conditions = [SQL("store_fname IS NOT NULL")]
        if names is not None:
            conditions.append(SQL("store_fname = ANY(%s)", names))
        if wanted.text:
            conditions.append(SQL("name ILIKE %s", f"%{_escaped(wanted.text)}%"))
        if wanted.model:
            conditions.append(SQL("res_model = %s", wanted.model))
        if wanted.record:
            conditions.append(SQL("res_id = %s", wanted.record))
        rows = self.env.execute_query(
            SQL(
                "SELECT id, coalesce(name, ''), coalesce(res_model, ''), "
                "coalesce(res_field, ''), coalesce(res_id, 0), store_fname, "
                "coalesce(file_size, 0), coalesce(mimetype, '') FROM ir_attachment "
                "WHERE %s ORDER BY id LIMIT %s",
                SQL(" AND ").join(conditions),
                MOST_LIVE,
            )
        )
        return {row[5]: IndexedAttachment(*row) for row in rows}


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


def _values(hit):
    return {
        "attachment": hit.number,
        "name": hit.name,
        "res_model": hit.model,
        "res_field": hit.field,
        "res_id": hit.record,
        "store_fname": hit.store_fname,
        "size": hit.size,
        "mimetype": hit.mimetype,
    }


def _escaped(text):
    """Return a text in which LIKE takes every character for itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
