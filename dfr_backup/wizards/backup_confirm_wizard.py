from collections import Counter

from odoo import api, fields, models

from ..models.copy.states import PRESENT_STATES

NAMED = 5  # databases or storages that are named


class BackupConfirmWizard(models.TransientModel):
    """Says how many copies of which database something is about, before it is done:
    what a button says before it is pressed is the same for all records."""

    _name = "backup.confirm.wizard"
    _description = "Please Confirm"

    operation = fields.Selection(
        [
            ("delete", "Delete"),
            ("take_over", "Take Over"),
            ("delete_staging", "Delete Staging Copies"),
        ],
        required=True,
        readonly=True,
    )
    copy_ids = fields.Many2many("backup.copy", readonly=True)
    storage_ids = fields.Many2many("backup.storage", readonly=True)
    staging_ids = fields.Many2many("backup.staging", readonly=True)
    text = fields.Text(compute="_compute_text")

    @api.depends("operation", "copy_ids", "storage_ids", "staging_ids")
    def _compute_text(self):
        for wizard in self:
            if wizard.operation == "delete_staging":
                wizard.text = wizard._dropping_in_words()
            elif wizard.operation == "delete":
                wizard.text = wizard._deleting_in_words(wizard.copy_ids)
            else:
                wizard.text = wizard._taking_over_in_words(wizard._held())

    def _held(self):
        """Return what the storages hold."""
        held = [("storage_id", "in", self.storage_ids.ids), ("state", "!=", "deleted")]
        return self.env["backup.copy"].search(held)

    def _deleting_in_words(self, copies):
        return self.env._(
            "Copies to be deleted for good: %(count)s\n"
            "Backups that lose their last copy: %(last)s\n"
            "Database: %(databases)s\nStorage: %(storages)s",
            count=len(copies),
            last=len(self._losing_their_last(copies)),
            databases=_counted(copies.mapped(lambda c: c.database or "?")),
            storages=_counted(copies.mapped(lambda copy: copy.storage_id.name)),
        )

    def _losing_their_last(self, copies):
        """Return the backups that could be restored, and cannot be without these."""
        return copies.backup_id.filtered(
            lambda backup: (
                backup.state in PRESENT_STATES
                and not (backup.copy_ids - copies).filtered(
                    lambda copy: copy.state in PRESENT_STATES
                )
            )
        )

    def _taking_over_in_words(self, copies):
        return self.env._(
            "Backups in “%(storages)s”: %(count)s\nDatabase: %(databases)s",
            storages=", ".join(self.storage_ids.mapped("name")),
            count=len(copies),
            databases=_counted(copies.mapped(lambda c: c.database or "?")),
        )

    def _dropping_in_words(self):
        lines = [
            self.env._(
                "Database: %(database)s (%(size)s)",
                database=staging.database,
                size=staging._size_in_words(),
            )
            for staging in self.staging_ids
        ]
        return "\n".join(lines)

    def action_confirm(self):
        """Do it. Each of these asks for the password."""
        self.ensure_one()
        if self.operation == "delete_staging":
            return self.staging_ids.action_delete()
        if self.operation == "delete":
            return self.copy_ids.action_delete()
        return self.storage_ids.action_take_over()


def _counted(names):
    """Return names with how often they occur, the most frequent first."""
    found = Counter(names).most_common()
    shown = [f"{name} ({count})" for name, count in found[:NAMED]]
    more = ["…"] if len(found) > NAMED else []
    return ", ".join([*shown, *more])
