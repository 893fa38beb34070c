import shutil
from datetime import datetime, timezone

from odoo import api, fields, models
from odoo.exceptions import UserError

from .. import odoo_config
from ..engine.catalog.upload_receiver import PIECE, append, look_at, require_space
from ..models.actions import form_action
from ..models.copy.preview import facts_in_words, trouble_in_words
from ..models.engine_messages import translate_engine_errors
from ..models.grants import (
    forget_opened,
    grant,
    granted,
    is_opened,
    remember_opened,
    require_opened,
)
from ..models.moments import from_odoo_datetime, to_odoo_datetime
from ..runs.importing import UPLOADED, ImportRun
from ..runs.state import RunState

UPLOAD_SECONDS = 24 * 3600  # for which an upload may go on
UPLOAD_SCOPE = "dfr_backup.upload"
LONGEST_NAME = 255


class BackupImportWizard(models.TransientModel):
    """An archive on its way from a browser to a storage. The file arrives in pieces,
    each in a request of its own: no worker is busy for longer than one of them, and
    an upload that was interrupted goes on."""

    _name = "backup.import.wizard"
    _inherit = ["backup.readonly.mixin"]
    _description = "Import a Backup"

    storage_id = fields.Many2one(
        "backup.storage",
        "Store in",
        required=True,
        default=lambda self: self._default_storage(),
        help="It is kept there until someone deletes it; retention never does.",
    )
    name = fields.Char("File", readonly=True)
    made_at = fields.Datetime(readonly=True)
    size = fields.Float(digits=(20, 0), readonly=True)
    received = fields.Float(digits=(20, 0), readonly=True)
    date = fields.Datetime("Data As Of", readonly=True)
    facts = fields.Text("Contents", readonly=True)
    trouble = fields.Text(readonly=True)
    is_ready = fields.Boolean(readonly=True)

    def _default_storage(self):
        """Return a storage that this database may write to, one on this server if
        there is one."""
        storages = (
            self.env["backup.storage"].search([]).filtered(lambda s: not s.is_foreign)
        )
        return storages.filtered(lambda storage: storage._is_near())[:1] or storages[:1]

    @api.model
    def _open(self):
        """Return the form of a new import. The user's identity was checked."""
        wizard = self.create({})
        remember_opened(wizard)
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_import_wizard_action"
        )
        return {**action, "res_id": wizard.id}

    def unlink(self):
        for wizard in self:
            shutil.rmtree(wizard._folder(), ignore_errors=True)
        return super().unlink()

    def _folder(self):
        return odoo_config.upload_path(self.env.cr.dbname, self.id)

    # === CALLED BY THE BROWSER === #

    def start_upload(self, name, size, modified):
        """Make room for a file; return the address for its pieces, their size, and
        how much of it has arrived. ``modified`` is in milliseconds since 1970, as
        browsers have it."""
        self._require_granted()
        folder = self._folder()
        known = (self.name, int(self.size)) == (name, size) and (
            folder / UPLOADED
        ).exists()
        if not known:
            self._forget()
        values = {
            "name": name[:LONGEST_NAME],
            "size": size,
            "is_ready": False,
            "trouble": False,
        }
        self.sudo().write({**values, "made_at": _moment(modified), "facts": False})
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        arrived = (folder / UPLOADED).stat().st_size if known else 0
        with translate_engine_errors(self.env):
            require_space(folder, size - arrived)
        return {"url": self._upload_path(), "piece": PIECE, "received": arrived}

    def finish_upload(self):
        """Look at the file that has arrived, and say in the form what it is."""
        self._require_granted()
        path = self._folder() / UPLOADED
        if not path.exists() or path.stat().st_size != self.size:
            raise UserError(
                self.env._("The upload is incomplete. Upload the file again.")
            )
        try:
            with translate_engine_errors(self.env):
                arrival = look_at(path, self.name, from_odoo_datetime(self.made_at))
        except UserError:
            self._forget()
            raise
        values = {"is_ready": True, "facts": self._describe(arrival)}
        sidecar = arrival.sidecar
        values["date"] = to_odoo_datetime(sidecar.taken_at)
        values["trouble"] = trouble_in_words(self.env, sidecar, arrival.made_by_odoo)
        self.sudo().write(values)

    def _require_granted(self):
        self.ensure_one()
        self.env["backup.job"]._check_manager()
        require_opened(self)

    def _describe(self, arrival):
        return facts_in_words(self.env, arrival.sidecar)

    def _forget(self):
        shutil.rmtree(self._folder(), ignore_errors=True)
        self.sudo().write(
            {"is_ready": False, "facts": False, "trouble": False, "date": False}
        )

    # === CALLED BY THE CONTROLLER === #

    def _upload_path(self):
        """Return the address to which this user may send pieces of this file."""
        token = grant(self, UPLOAD_SCOPE, UPLOAD_SECONDS)
        return f"/dfr_backup/upload/{self.id}/{token}"

    @api.model
    def _from_upload_token(self, number, token):
        """Return the import that a token lets this user send to; empty when it does
        not."""
        wizard = granted(self, UPLOAD_SCOPE, number, token)
        return wizard.filtered(is_opened)

    def _receive(self, offset, piece):
        """Add a piece to the file; return how many bytes of it are there. Raise
        EngineError."""
        piece = piece[
            : max(int(self.size) - offset, 0)
        ]  # no more than there was room for
        received = append(self._folder() / UPLOADED, offset, piece)
        self.sudo().received = received  # also says that this record is still needed
        return received

    # === BUTTONS === #

    def action_import(self):
        """Check, store and verify the archive in a run of its own, and show that."""
        self._require_granted()
        path = self._folder() / UPLOADED
        if not self.is_ready or not path.exists():
            raise UserError(self.env._("Choose a file and wait until it is uploaded."))
        if self.storage_id.is_foreign:
            raise UserError(
                self.env._(
                    "“%s” is read-only here. Choose another storage.",
                    self.storage_id.name,
                )
            )
        job = self.sudo()._create_run()
        job._run_context().files.work_path().parent.mkdir(
            mode=0o700, parents=True, exist_ok=True
        )
        path.parent.rename(job._run_context().files.work_path())
        forget_opened(self)
        return form_action(job._start())

    def _create_run(self):
        steps = ImportRun.planned(storages=self.storage_id)
        modified = from_odoo_datetime(self.made_at).isoformat()
        uploaded = {"name": self.name, "modified": modified}
        data = RunState(uploaded=uploaded).to_json()
        return self.env["backup.job"]._create_run("import", steps, "manual", data=data)


def _moment(milliseconds):
    """Return a browser's moment as Odoo keeps it; now, when it is none."""
    try:
        found = datetime.fromtimestamp(milliseconds / 1000, tz=timezone.utc)
    except (OverflowError, OSError, TypeError, ValueError):
        found = datetime.now(timezone.utc)
    return to_odoo_datetime(min(found, datetime.now(timezone.utc)))
