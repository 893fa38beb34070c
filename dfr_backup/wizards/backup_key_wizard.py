from odoo import api, fields, models
from odoo.exceptions import UserError

from ..engine.encryption.files import fingerprint, generate_key, parse_recipients
from ..models.backup_audit import asks_password
from ..models.engine_messages import translate_engine_errors
from ..models.plan.audited import has_readers


class BackupKeyWizard(models.TransientModel):
    _name = "backup.key.wizard"
    _description = "New Key Pair for Backups"

    plan_id = fields.Many2one("backup.plan", required=True)
    public_key = fields.Char(readonly=True)
    fingerprint = fields.Char(compute="_compute_fingerprint")
    # made for the form, shown once and stored nowhere
    private_key = fields.Char(store=False, readonly=True)
    kept_elsewhere = fields.Boolean(
        "I have stored the private key outside of this server"
    )

    @api.model
    def default_get(self, names):
        values = super().default_get(names)
        with translate_engine_errors(self.env):
            pair = generate_key()
        return {**values, "public_key": pair.public, "private_key": pair.private}

    @api.depends("public_key")
    def _compute_fingerprint(self):
        for wizard in self:
            wizard.fingerprint = wizard.public_key and fingerprint(wizard.public_key)

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            vals.pop("private_key", None)
        return super().create(vals_list)

    def action_use(self):
        """Encrypt the plan's next backups for the new public key, besides those it
        has."""
        self.ensure_one()
        if not self.kept_elsewhere:
            raise UserError(
                self.env._(
                    "Store the private key first: in a password manager, or on paper "
                    "in a safe. "
                    "Nobody can read the backups without it, and it is shown only now."
                )
            )
        return self._use_asking() if has_readers(self.plan_id) else self._use()

    @asks_password
    def _use_asking(self):
        """A plan gets another reader of its backups."""
        return self._use()

    def _use(self):
        plan = self.plan_id
        keys = [
            line for line in (plan.age_recipients or "").splitlines() if line.strip()
        ]
        with translate_engine_errors(self.env):
            parse_recipients(self.public_key or "")
        plan.write(
            {
                "encryption": "recipients",
                "age_recipients": "\n".join([*keys, self.public_key]),
            }
        )
        return self._close()

    def _close(self):
        """Go on with the set-up whose page this is, if the context names one."""
        setup = self.env["backup.setup"].browse(self.env.context.get("backup_setup"))
        if not setup.exists():
            return {"type": "ir.actions.act_window_close"}
        setup._compute_encryption()
        return setup._show()
