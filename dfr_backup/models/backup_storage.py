from pathlib import Path

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from .. import server
from ..engine.errors import EngineError
from ..engine.storages.local import LocalStorage


class BackupStorage(models.Model):
    _name = "backup.storage"
    _description = "Backup Storage"
    _order = "sequence, id"

    name = fields.Char(required=True)
    active = fields.Boolean(default=True)
    sequence = fields.Integer(default=10)
    provider = fields.Selection(
        [("local", "Local directory")], required=True, default="local", string="Kind"
    )
    local_path = fields.Char(
        string="Directory",
        help="An absolute path on the Odoo server: a disk of its own, or a mounted network "
        "share. It must be below dfr_backup/backups in the data directory, /var/backups, /mnt, "
        "/media, /srv, or a directory that odoo.conf names in dfr_backup_local_roots.",
    )
    copy_ids = fields.One2many("backup.copy", "storage_id", string="Copies")
    copy_count = fields.Integer(compute="_compute_copies")
    copy_size = fields.Float(compute="_compute_copies", string="Stored Bytes")
    last_test = fields.Datetime(readonly=True, copy=False)
    last_test_error = fields.Char(readonly=True, copy=False)

    @api.depends("copy_ids.state", "copy_ids.size")
    def _compute_copies(self):
        groups = self.env["backup.copy"]._read_group(
            [("storage_id", "in", self.ids), ("state", "in", ("stored", "verified"))],
            ["storage_id"],
            ["__count", "size:sum"],
        )
        found = {storage.id: (count, size) for storage, count, size in groups}
        for storage in self:
            storage.copy_count, storage.copy_size = found.get(storage.id, (0, 0))

    @api.constrains("provider", "local_path")
    def _check_configuration(self):
        for storage in self:
            storage._get_storage(ValidationError)

    @api.model_create_multi
    def create(self, vals_list):
        storages = super().create(vals_list)
        storages._prepare()
        return storages

    def write(self, vals):
        result = super().write(vals)
        if "local_path" in vals or "provider" in vals:
            self._prepare()
        return result

    @api.ondelete(at_uninstall=False)
    def _unlink_except_used(self):
        if self.copy_ids.filtered(lambda copy: copy.state in ("stored", "verified")):
            raise UserError(
                self.env._(
                    "This storage still holds backups. Archive it instead: the backups stay "
                    "where they are, and the history keeps telling where that is."
                )
            )

    def _prepare_storage(self):
        """Return the engine storage of this record. Providers extend it."""
        self.ensure_one()
        return LocalStorage(Path(self.local_path or ""), server.local_rules())

    def _get_storage(self, error_class=None):
        """Return the engine storage. Raise ``error_class`` instead of an engine error if given."""
        try:
            return self._prepare_storage()
        except EngineError as error:
            if error_class is None:
                raise
            raise error_class(f"{error.message}\n{error.hint}") from error

    def _prepare(self):
        """Make what a storage needs before its first backup, for example its directory."""
        for storage in self:
            try:
                storage._get_storage().prepare()
            except EngineError as error:
                # the engine's text: pylint: disable-next=translation-required
                raise UserError(f"{error.message}\n{error.hint}") from error

    def action_test(self):
        """Write, read back, list and delete a probe, and say in words what fails."""
        self.ensure_one()
        self.check_access("write")
        error = None
        try:
            self._get_storage().prepare()
            self._get_storage().probe()
        except EngineError as failure:
            error = failure
        self.write(
            {
                "last_test": fields.Datetime.now(),
                "last_test_error": error and f"{error.message} {error.hint}",
            }
        )
        return self._notify_test(error)

    def _notify_test(self, error):
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "danger" if error else "success",
                "sticky": bool(error),
                "title": self.env._("The test failed") if error else self.env._("It works"),
                "message": (
                    f"{error.message} {error.hint}"
                    if error
                    else self.env._("A probe was written, read back, listed and deleted.")
                ),
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }
