"""For whom archives are encrypted, and the page that says how to open them again."""

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ...engine.encryption.files import parse_recipients
from ..engine_messages import translate_engine_errors
from ..grants import grant
from ..mixins.backup_secret_mixin import MASK
from ..states import ENCRYPTIONS
from .recovery_kit import KIT_SCOPE, KIT_SECONDS

MIN_PASSPHRASE = 12  # characters
# a page that was printed before one of these changed tells the wrong things
PRINTED = {
    "encryption",
    "age_recipients",
    "age_passphrase",
    "storage_ids",
    "incremental",
}


class BackupEncryptionMixin(models.AbstractModel):
    """The keys of a plan. What is written here decides whether backups can ever be read
    again, so it stands apart from what only decides when they are made."""

    _name = "backup.encryption.mixin"
    _inherit = ["backup.secret.mixin"]
    _description = "Record That Encrypts Backups"

    encryption = fields.Selection(ENCRYPTIONS, required=True, default="none")
    age_recipients = fields.Text(
        string="Public Keys",
        help="One for each line, as age or ssh-keygen make them: age1…, ssh-ed25519 …. "
        "Whoever "
        "has one of the private keys can read the backups; this server cannot.",
    )
    age_passphrase = fields.Char(
        string="Passphrase",
        compute="_compute_secrets",
        inverse="_inverse_age_passphrase",
    )
    age_identity = fields.Text(
        "Private Key for Restore Tests",
        compute="_compute_secrets",
        inverse="_inverse_age_identity",
        help="With it this server can read its own backups, which public keys "
        "otherwise prevent. If that matters more to you, leave it empty and run "
        "restore tests on another machine.",
    )
    passphrase_mark = fields.Char(
        readonly=True,
        copy=False,
        help="A random name of the present passphrase: what was encrypted by another "
        "one is stored again.",
    )
    kit_downloaded_at = fields.Datetime(
        "Recovery Kit Downloaded",
        readonly=True,
        copy=False,
        help="Empty also when keys or storages have changed since then.",
    )

    def _inverse_age_passphrase(self):
        for plan in self:
            value = plan.age_passphrase
            if value and set(value) != {"*"} and len(value) < MIN_PASSPHRASE:
                raise ValidationError(
                    self.env._(
                        "A passphrase of fewer than %s characters can be guessed.", 12
                    )
                )
        changed = self.filtered(lambda plan: plan.age_passphrase != MASK)
        changed.sudo().passphrase_mark = False
        self._encrypt_secret("age_passphrase")

    def _inverse_age_identity(self):
        self._encrypt_secret("age_identity")

    @api.constrains("encryption", "age_recipients")
    def _check_encryption(self):
        for plan in self.filtered(lambda plan: plan.encryption == "recipients"):
            with translate_engine_errors(self.env, ValidationError):
                parse_recipients(plan.age_recipients or "")

    def _recipients(self):
        """Return the public keys for which archives are encrypted, as text."""
        if self.encryption != "recipients":
            return []
        return [
            recipient.text for recipient in parse_recipients(self.age_recipients or "")
        ]

    # === RECOVERY KIT === #

    def action_recovery_kit(self):
        """Download one page that says what is needed to get the data back."""
        self.ensure_one()
        self.check_access("read")
        token = grant(self, KIT_SCOPE, KIT_SECONDS)
        url = f"/dfr_backup/recovery_kit/{self.id}?token={token}"
        return {"type": "ir.actions.act_url", "url": url, "target": "download"}

    def write(self, vals):
        if not PRINTED & vals.keys():
            return super().write(vals)
        before = {plan: plan._printed() for plan in self}
        result = super().write(vals)
        changed = self.filtered(lambda plan: plan._printed() != before[plan])
        changed.filtered("kit_downloaded_at").sudo().kit_downloaded_at = False
        return result

    def _printed(self):
        return (
            self.encryption,
            self.age_recipients,
            self.sudo().sealed_secrets,
            self.storage_ids,
            self.incremental,
        )

    def _note_kit(self):
        self.sudo().kit_downloaded_at = fields.Datetime.now()
