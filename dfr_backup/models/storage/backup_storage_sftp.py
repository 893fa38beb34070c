from odoo import api, fields, models

from ...engine.storages.sftp.keys import HostKey
from ...engine.storages.sftp.link import fetch_host_key
from ..backup_audit import asks_password
from ..engine_messages import translate_engine_errors
from .form import propose_name
from .setup import stay


class BackupStorage(models.Model):
    _inherit = "backup.storage"

    provider = fields.Selection(
        selection_add=[("sftp", "SFTP")], ondelete={"sftp": "cascade"}
    )
    sftp_host = fields.Char(string="Host")
    sftp_port = fields.Integer(string="Port", default=22)
    sftp_user = fields.Char(string="User")
    sftp_password = fields.Char(
        string="Password", compute="_compute_secrets", inverse="_inverse_sftp_password"
    )
    sftp_private_key = fields.Text(
        string="Private Key",
        compute="_compute_secrets",
        inverse="_inverse_sftp_private_key",
        help="The text of the key file, from “-----BEGIN” to “-----END”.",
    )
    sftp_passphrase = fields.Char(
        string="Passphrase of the Key",
        compute="_compute_secrets",
        inverse="_inverse_sftp_passphrase",
    )
    sftp_directory = fields.Char(
        string="Folder on the Server",
        help="Absolute, or relative to the login directory. It is created if it "
        "is missing.",
    )
    sftp_host_key = fields.Char(
        string="Trusted Host Key",
        readonly=True,
        copy=False,
        help="Any other host is refused.",
    )
    sftp_fingerprint = fields.Char(
        string="Trusted Fingerprint", readonly=True, copy=False
    )
    sftp_offered_key = fields.Char(readonly=True, copy=False)
    sftp_offered_fingerprint = fields.Char(
        string="Offered Fingerprint", readonly=True, copy=False
    )

    @api.onchange("sftp_host")
    def _onchange_sftp_host(self):
        propose_name(self, self.sftp_host)

    def _inverse_sftp_password(self):
        self._encrypt_secret("sftp_password")

    def _inverse_sftp_private_key(self):
        self._encrypt_secret("sftp_private_key")

    def _inverse_sftp_passphrase(self):
        self._encrypt_secret("sftp_passphrase")

    def write(self, vals):
        result = super().write(vals)
        if {"sftp_host", "sftp_port"} & vals.keys():
            self.sudo().write(
                {"sftp_offered_key": False, "sftp_offered_fingerprint": False}
            )
        return result

    def action_fetch_host_key(self):
        """Ask the server for its host key, and show its fingerprint: nothing is
        trusted yet."""
        self.ensure_one()
        self.check_access("write")
        with translate_engine_errors(self.env):
            offered = fetch_host_key(
                self._at("sftp_host") or "",
                self._at("sftp_port"),
                self.timeout,
                self._outbound_rules(),
            )
        self.sudo().write(
            {
                "sftp_offered_key": offered.line,
                "sftp_offered_fingerprint": offered.fingerprint,
            }
        )
        return stay(self, True)

    def action_trust_host_key(self):
        """Trust the key that the server has offered, and from now on no other.
        Another one than was trusted before takes the password: whoever has it gets
        the secrets of this storage."""
        self.ensure_one()
        self.check_access("write")
        if self.sftp_host_key:
            return self._trust_other_host_key()
        return self._trust_offered_key()

    @asks_password
    def _trust_other_host_key(self):
        return self._trust_offered_key()

    def _trust_offered_key(self):
        before, now = self.sftp_fingerprint, self.sftp_offered_fingerprint
        self.env["backup.audit"]._note("host_key", self, before or "", now or "")
        self.sudo().write(
            {
                "sftp_host_key": self.sftp_offered_key,
                "sftp_fingerprint": self.sftp_offered_fingerprint,
                "sftp_offered_key": False,
                "sftp_offered_fingerprint": False,
            }
        )
        return stay(self, True)

    def _adopt_operator_address(self):
        adopted = super()._adopt_operator_address()
        line = self._operator_address().get("sftp_host_key")
        fingerprint = line and HostKey.from_line(line).fingerprint
        if line and fingerprint != self.sftp_fingerprint:
            self.sudo().sftp_fingerprint = fingerprint
        return adopted

    def _offer_what_to_trust(self):
        offered = super()._offer_what_to_trust()
        if not self.sftp_offered_key:
            self.action_fetch_host_key()
        return offered
