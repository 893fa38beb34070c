"""Two stored backups, side by side."""

from odoo import api, fields, models
from odoo.exceptions import UserError

from ..engine.archive.attachment_index import find_index, name_files
from ..engine.catalog.browse import read_contents
from ..engine.catalog.compare import compare_addons, compare_files, compare_rows
from ..engine.errors import EngineError
from ..models.engine_messages import format_error
from ..models.grants import require_opened

MOST_FILES = 200  # that are named, of those that came and of those that went

KINDS = [
    ("model", "Records"),
    ("table", "Technical table"),
    ("addon", "Custom addon"),
    ("added", "Attachment added"),
    ("removed", "Attachment removed"),
]
# whose records no person has made: by the first part of the model's name, and by all
TECHNICAL = frozenset(
    [
        "auth_passkey",
        "auth_totp",
        "backup",
        "base_import",
        "bus",
        "digest",
        "discuss",
        "fetchmail",
        "iap",
        "ir",
        "mail",
        "privacy",
        "report",
        "sms",
        "snailmail",
        "web_editor",
        "web_tour",
    ]
)
TECHNICAL_MODELS = frozenset(
    [
        "res.device.log",
        "res.users.apikeys",
        "res.users.deletion",
        "res.users.log",
        "res.users.settings",
    ]
)


def _lines_of(*kinds):
    return fields.One2many(
        "backup.compare.line",
        "compare_id",
        domain=[("kind", "in", kinds)],
        readonly=True,
    )


class BackupCompare(models.TransientModel):
    _name = "backup.compare"
    _inherit = ["backup.readonly.mixin", "backup.secret.mixin"]
    _description = "Compare two Backups"

    before_id = fields.Many2one("backup.copy", "Older", required=True, readonly=True)
    after_id = fields.Many2one("backup.copy", "Newer", required=True, readonly=True)
    key = fields.Text(
        "Private Key or Passphrase", compute="_compute_secrets", inverse="_inverse_key"
    )
    needs_key = fields.Boolean(readonly=True)
    table_count = fields.Integer("Tables that Differ", readonly=True)
    rows_added = fields.Float(
        "More Rows",
        digits=(20, 0),
        readonly=True,
        help="Of all tables that have more rows in the newer backup.",
    )
    rows_removed = fields.Float(
        "Fewer Rows",
        digits=(20, 0),
        readonly=True,
        help="Of all tables that have fewer rows in the newer backup.",
    )
    added_count = fields.Integer("Attachments Added", readonly=True)
    added_bytes = fields.Float("Bytes Added", digits=(20, 0), readonly=True)
    removed_count = fields.Integer("Attachments Removed", readonly=True)
    removed_bytes = fields.Float("Bytes Removed", digits=(20, 0), readonly=True)
    trouble = fields.Text(readonly=True)
    line_ids = fields.One2many("backup.compare.line", "compare_id", readonly=True)
    model_line_ids = _lines_of("model")
    table_line_ids = _lines_of("table")
    addon_line_ids = _lines_of("addon")
    file_line_ids = _lines_of("added", "removed")

    @api.depends("before_id", "after_id")
    def _compute_display_name(self):
        for comparison in self:
            comparison.display_name = self.env._(
                "%(older)s and %(newer)s",
                older=comparison.before_id._moment(),
                newer=comparison.after_id._moment(),
            )

    def _inverse_key(self):
        self._encrypt_secret("key")

    def action_compare(self):
        """Compare again, with the key that was entered."""
        self.before_id._check_manager()
        self.ensure_one()
        require_opened(self)
        self.sudo()._compare()
        return True

    def _compare(self):
        """Write down what differs. What cannot be compared is said, and hides
        nothing else."""
        self.line_ids.unlink()
        rows, files = ("rows_added", "rows_removed"), ("added_count", "removed_count")
        counts = dict.fromkeys(("table_count", *rows, *files), 0)
        self.write({"trouble": False, **counts})
        copies = self.before_id | self.after_id
        self.needs_key = any(copy._needs_key() for copy in copies)
        self._compare_manifests()
        self._compare_files()

    def _compare_manifests(self):
        try:
            before, after = (
                read_contents(copy._get_checked_storage(), copy.key)
                for copy in (self.before_id, self.after_id)
            )
        except EngineError as error:
            self._say(format_error(self.env, error))
            return
        rows = compare_rows(before.shown_rows(), after.shown_rows())
        self.table_count = len(rows)
        self.rows_added = sum(max(change.difference, 0) for change in rows)
        self.rows_removed = sum(max(-change.difference, 0) for change in rows)
        names = self._names_of_models()
        self._add_lines("model", _of_models(rows, names))
        self._add_lines("table", [_of_change(c) for c in rows if c.name not in names])
        self._add_lines(
            "addon",
            [
                {"name": name, "before": old, "after": new}
                for name, old, new in compare_addons(before.addons, after.addons)
            ],
        )

    def _compare_files(self):
        given = self._read_secret("key")
        try:
            with (
                self.before_id._looked_into(given) as old,
                self.after_id._looked_into(given) as new,
            ):
                added, removed = compare_files(
                    old.in_order(), new.in_order(), MOST_FILES
                )
                self._add_files("added", added, new)
                self._add_files("removed", removed, old)
        except UserError as error:
            cause = error.__cause__
            told = isinstance(cause, EngineError) and format_error(self.env, cause)
            self._say(told or str(error))

    @api.model
    def _names_of_models(self):
        """Return what the models are called that people work with, by their tables."""
        tables = {
            name: model._table
            for name, model in self.env.registry.items()
            if model._auto and not model._abstract and not model._transient
        }
        mine = [name for name in tables if not _is_technical(name)]
        known = self.env["ir.model"].sudo().search([("model", "in", mine)])
        return {tables[model.model]: model.name for model in known}

    def _add_files(self, kind, changes, reader):
        self[f"{kind}_count"], self[f"{kind}_bytes"] = changes.count, changes.bytes
        index = find_index(reader)
        named = name_files(reader, index, changes.first) if index else ()
        labels = {found.store_fname: found for found in named}
        self._add_lines(
            kind,
            [
                _of_file(kind, store_fname, size, labels.get(store_fname))
                for store_fname, size in changes.first.items()
            ],
        )
        if changes.count > len(changes.first):
            self._say(
                self.env._(
                    "Of %(count)s files that were %(kind)s the first %(shown)s are "
                    "listed.",
                    count=changes.count,
                    kind=self.env._("added")
                    if kind == "added"
                    else self.env._("removed"),
                    shown=len(changes.first),
                )
            )

    def _add_lines(self, kind, lines):
        self.env["backup.compare.line"].create(
            [{"compare_id": self.id, "kind": kind, **line} for line in lines]
        )

    def _say(self, text):
        if text not in (
            self.trouble or ""
        ):  # tables and files may lack the same archive
            self.trouble = "\n".join(filter(None, [self.trouble, text]))


class BackupCompareLine(models.TransientModel):
    _name = "backup.compare.line"
    _description = "Difference between two Backups"
    _order = "id"

    compare_id = fields.Many2one(
        "backup.compare", required=True, ondelete="cascade", index=True
    )
    kind = fields.Selection(KINDS, readonly=True)
    name = fields.Char(readonly=True)
    record = fields.Char(readonly=True)
    before = fields.Char("Older", readonly=True)
    after = fields.Char("Newer", readonly=True)
    table = fields.Char(readonly=True)
    difference = fields.Float(digits=(20, 0), readonly=True)
    added = fields.Float(digits=(20, 0), compute="_compute_added")
    removed = fields.Float(digits=(20, 0), compute="_compute_added")

    @api.depends("difference")
    def _compute_added(self):
        for line in self:
            line.added = max(line.difference, 0)
            line.removed = max(-line.difference, 0)


def _is_technical(name):
    return name.split(".")[0] in TECHNICAL or name in TECHNICAL_MODELS


def _of_models(changes, names):
    """Return the lines of the tables that have a name for people, in their order."""
    lines = [
        {**_of_change(change), "name": names[change.name], "table": change.name}
        for change in changes
        if change.name in names
    ]
    return sorted(lines, key=lambda line: line["name"])


def _of_change(change):
    return {
        "name": change.name,
        "before": _number(change.before),
        "after": _number(change.after),
        "difference": change.difference,
    }


def _number(value):
    return "" if value is None else f"{value:,}"


def _of_file(kind, store_fname, size, found):
    record = f"{found.model},{found.record}" if found and found.model else ""
    return {
        "name": found.name if found else store_fname,
        "record": record,
        "difference": size if kind == "added" else -size,
    }
