from odoo import api, fields, models
from odoo.exceptions import ValidationError

from odoo.addons.base.models.res_users import check_identity

from ..engine.catalogue import describe_stored
from ..engine.errors import EngineError
from ..engine.restore.target import check_name
from ..models.engine_messages import format_error, translate_engine_errors


class BackupRestoreWizard(models.TransientModel):
    _name = "backup.restore.wizard"
    _inherit = ["backup.secret.mixin"]
    _description = "Restore a Backup"

    copy_id = fields.Many2one("backup.copy", required=True, readonly=True)
    date = fields.Datetime(related="copy_id.date")
    size = fields.Float(related="copy_id.size")
    contents = fields.Char(related="copy_id.contents_in_words")
    encrypted = fields.Boolean(related="copy_id.encrypted")
    facts = fields.Text(compute="_compute_facts")
    trouble = fields.Text(compute="_compute_facts")
    database = fields.Char(
        "New Database",
        required=True,
        help="The restored data goes into a new database; this one is not touched.",
    )
    neutralize = fields.Boolean(
        default=True,
        help="A harmless copy: its mails do not go out, its scheduled actions and "
        "payment "
        "providers are switched off.",
    )
    new_identity = fields.Boolean(
        default=True,
        help="The copy is another database than the original. Only switch this off "
        "when the "
        "original is gone for good and this one takes its place.",
    )
    accept_missing_modules = fields.Boolean(
        help="The database needs them to be served: install them before you open it."
    )
    unpack_addons = fields.Boolean(
        "Unpack Custom Addons",
        help="Into a directory of their own on the server. The run then says where, "
        "which of them "
        "the database needs, and which line of odoo.conf lets Odoo load them.",
    )
    is_trusted = fields.Boolean(related="copy_id.is_trusted")
    i_trust = fields.Boolean(
        "I Trust This File",
        groups="base.group_system",
        help="A restore runs what is in the dump. Your name and the checksum of the "
        "file are written down.",
    )
    key = fields.Text(
        "Private Key or Passphrase", compute="_compute_secrets", inverse="_inverse_key"
    )

    @api.model
    def default_get(self, names):
        values = super().default_get(names)
        copy = self.env["backup.copy"].browse(values.get("copy_id"))
        if copy and "database" in names:
            values["database"] = f"{copy.database or self.env.cr.dbname}_restored"
        return values

    @api.constrains("database")
    def _check_database(self):
        # when it is saved, and not when it starts: the form is gone once the password
        # is asked for
        for wizard in self:
            with translate_engine_errors(self.env, ValidationError):
                check_name(wizard.database)

    @api.depends("copy_id")
    def _compute_facts(self):
        for wizard in self:
            wizard.facts, wizard.trouble = wizard._look()

    def _look(self):
        """Return what the manifest says about the archive, and what speaks against
        restoring it."""
        copy = self.copy_id.sudo()
        try:
            sidecar = describe_stored(copy._get_checked_storage(), copy.key)
        except EngineError as error:
            return False, format_error(self.env, error)
        return copy._facts_of(sidecar), copy._trouble_with(
            sidecar, sidecar.made_by_odoo
        )

    def _inverse_key(self):
        self._seal_secret("key")

    @check_identity
    def action_restore(self):
        """Start the restore, and show its run."""
        self.ensure_one()
        self.copy_id._check_manager()
        if not self.is_trusted and self.sudo().i_trust:
            self.copy_id._trust()
        copy = self.copy_id.sudo()
        with translate_engine_errors(self.env):
            copy._require_trusted()
        job = copy._request_restore(
            restore_database=self.database,
            restore_neutralize=self.neutralize,
            restore_new_identity=self.new_identity,
            restore_addons=self.unpack_addons,
            restore_accepted=["modules_missing"] if self.accept_missing_modules else [],
        )
        job.restore_key = self.sudo()._read_secret("key")
        self.sudo().sealed_secrets = False
        return job._action_open()
