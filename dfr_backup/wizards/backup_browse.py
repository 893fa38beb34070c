"""A stored backup, looked into: what it holds, and its attachments, by name, model and
record."""

from odoo import api, fields, models
from odoo.exceptions import UserError

from ..engine.archive.attachment_index import (
    AttachmentQuery,
    find_index,
    search_index,
)
from ..engine.catalog.browse import read_contents
from ..engine.errors import EngineError
from ..models.engine_messages import format_error
from ..models.grants import require_opened
from .attachment_search import search_by_file

MOST_HITS = 200


class BackupBrowse(models.TransientModel):
    _name = "backup.browse"
    _inherit = ["backup.readonly.mixin", "backup.secret.mixin"]
    _description = "Look into a Backup"

    copy_id = fields.Many2one(
        "backup.copy", required=True, readonly=True, ondelete="cascade"
    )
    date = fields.Datetime(related="copy_id.date")
    storage_id = fields.Many2one(related="copy_id.storage_id")
    size = fields.Float(related="copy_id.size")
    sha256 = fields.Char(related="copy_id.sha256")
    encrypted = fields.Boolean(related="copy_id.encrypted")
    key = fields.Text(
        "Private Key or Passphrase", compute="_compute_secrets", inverse="_inverse_key"
    )
    needs_key = fields.Boolean(readonly=True)
    database = fields.Char(readonly=True)
    odoo_version = fields.Char(readonly=True)
    pg_version = fields.Char("PostgreSQL", readonly=True)
    tool = fields.Char("Dumped by", readonly=True)
    module_count = fields.Integer("Modules", readonly=True)
    table_count = fields.Integer("Tables", readonly=True)
    row_count = fields.Float("Rows", digits=(20, 0), readonly=True)
    file_count = fields.Integer("Attachment Files", readonly=True)
    file_bytes = fields.Float("Their Size", digits=(20, 0), readonly=True)
    trouble = fields.Char(readonly=True)
    elsewhere = fields.Char("Kept Elsewhere", readonly=True)
    table_ids = fields.One2many("backup.browse.table", "browse_id", readonly=True)
    addon_ids = fields.One2many("backup.browse.addon", "browse_id", readonly=True)
    search_text = fields.Char("Name", help="A part of the attachment's name.")
    search_model = fields.Char(
        "Model", help="Its technical name, for example account.move."
    )
    search_record = fields.Char("Record ID")
    hit_ids = fields.One2many("backup.browse.file", "browse_id", readonly=True)
    found = fields.Char(readonly=True)

    @api.depends("copy_id")
    def _compute_display_name(self):
        for browser in self:
            copy = browser.copy_id
            browser.display_name = self.env._(
                "%(database)s, %(moment)s",
                database=browser.database or copy.key,
                moment=copy.date and copy._moment(),
            )

    def _inverse_key(self):
        self._encrypt_secret("key")

    # === THE MANIFEST === #

    def _read_manifest(self):
        """Fill in what the manifest says. One that cannot be read hides no
        attachment."""
        copy = self.copy_id
        self.needs_key = copy._needs_key()
        try:
            found = read_contents(copy._get_checked_storage(), copy.key)
        except EngineError as error:
            self.trouble = format_error(self.env, error)
            return
        rows, elsewhere = found.shown_rows(), found.shown_elsewhere()
        self.write(
            {
                "database": found.database,
                "odoo_version": found.odoo_version,
                "pg_version": found.pg_version,
                "tool": found.tool,
                "module_count": len(found.modules),
                "table_count": len(rows),
                "row_count": sum(rows.values()),
                "file_count": found.files,
                "file_bytes": found.bytes,
                "trouble": self._trouble_in_words(found.trouble),
                "elsewhere": ", ".join(f"{k}: {v}" for k, v in elsewhere.items()),
                "table_ids": [
                    fields.Command.create({"name": name, "row_count": rows})
                    for name, rows in sorted(rows.items())
                ],
                "addon_ids": [
                    fields.Command.create(
                        {
                            "name": addon.name,
                            "revision": addon.revision,
                            "version": found.modules.get(addon.name),
                            "file_count": addon.files,
                            "size": addon.bytes,
                        }
                    )
                    for addon in found.addons
                ],
            }
        )

    def _trouble_in_words(self, trouble):
        words = {
            "missing": self.env._("missing"),
            "damaged": self.env._("damaged"),
            "unreadable": self.env._("not readable"),
        }
        parts = [f"{words[kind]}: {count}" for kind, count in trouble.items()]
        if not parts:
            return False
        return self.env._(
            "Some attachments were already missing or damaged when this backup was "
            "made (%s).",
            ", ".join(parts),
        )

    def action_view_tables(self):
        """Show the tables in a list that can be searched."""
        self.ensure_one()
        self.check_access("read")
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Tables"),
            "res_model": "backup.browse.table",
            "views": [(False, "list")],
            "domain": [("browse_id", "=", self.id)],
        }

    # === ATTACHMENTS === #

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
                found, total = search_by_file(self.env, reader, wanted, MOST_HITS)
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


class BackupBrowseTable(models.TransientModel):
    _name = "backup.browse.table"
    _description = "Table in a Backup"
    _order = "name"

    browse_id = fields.Many2one(
        "backup.browse", required=True, ondelete="cascade", index=True
    )
    name = fields.Char("Table", readonly=True)
    row_count = fields.Float("Rows", digits=(20, 0), readonly=True)


class BackupBrowseAddon(models.TransientModel):
    _name = "backup.browse.addon"
    _description = "Custom Addon in a Backup"
    _order = "name"

    browse_id = fields.Many2one(
        "backup.browse", required=True, ondelete="cascade", index=True
    )
    name = fields.Char("Addon", readonly=True)
    version = fields.Char(readonly=True)
    revision = fields.Char("Git Revision", readonly=True)
    file_count = fields.Integer("Files", readonly=True)
    size = fields.Float(digits=(20, 0), readonly=True, help="In bytes.")


def _values(hit):
    return {
        "attachment": hit.id,
        "name": hit.name,
        "res_model": hit.model,
        "res_field": hit.field,
        "res_id": hit.record,
        "store_fname": hit.store_fname,
        "size": hit.size,
        "mimetype": hit.mimetype,
    }
