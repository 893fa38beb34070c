"""Archives that neither a run of this database has made nor a signature vouches for:
who has said that they may be restored."""

import logging

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError

from ...engine.errors.trust import NeverTrusted
from ...runs.registry import kinds_with
from ..engine_messages import translate_engine_errors

_logger = logging.getLogger(__name__)


class BackupTrust(models.Model):
    _name = "backup.trust"
    _inherit = ["backup.record.mixin"]
    _description = "Trusted Archive"
    _order = "id desc"
    _rec_name = "key"

    sha256 = fields.Char("SHA-256", required=True, readonly=True)
    key = fields.Char("Name", required=True, readonly=True)
    user_id = fields.Many2one("res.users", required=True, readonly=True)
    date = fields.Datetime(required=True, readonly=True, default=fields.Datetime.now)

    _sha256_uniq = models.UniqueIndex("(sha256)", "This archive is trusted already.")

    @api.model
    def _said_of(self, copies):
        """Return who has said it, by the checksum of the archive."""
        trusts = self.search([("sha256", "in", copies.mapped("sha256"))])
        return {trust.sha256: trust for trust in trusts}

    @api.model
    def _made_here(self, copies):
        """Return the checksums of copies that runs of this database have noted when
        they made them, under whatever name somebody has stored them since."""
        noted = [("kind", "in", kinds_with("vouches")), ("archive_sha256", "!=", False)]
        wanted = ("archive_sha256", "in", copies.filtered("sha256").mapped("sha256"))
        runs = self.env["backup.job"].sudo().search([*noted, wanted])
        return set(runs.mapped("archive_sha256"))

    @api.model
    def _require_settings(self):
        if not self.env.user.has_group("base.group_system"):
            raise AccessError(
                self.env._(
                    "Only an administrator with the right “Settings” may trust a file."
                )
            )

    @api.model
    def _trust(self, copy):
        """Write down that this user trusts the archive of a copy. Raise AccessError
        without the right “Settings”, UserError when nobody has read it yet."""
        self._require_settings()
        if not copy.sha256:
            raise UserError(
                self.env._(
                    "Verify this backup first: its checksum is not known yet, and a "
                    "file is trusted by its checksum."
                )
            )
        trusts = self.sudo()
        if not trusts.search_count([("sha256", "=", copy.sha256)], limit=1):
            values = {"sha256": copy.sha256, "key": copy.key}
            trusts.create({**values, "user_id": self.env.uid})
            self.env["backup.audit"]._note("trust", copy, new=_in_words(copy))
        self._has_changed()
        _logger.info(
            "User %s trusts %s (SHA-256 %s)", self.env.uid, copy.key, copy.sha256
        )

    @api.model
    def _distrust(self, copy):
        """Take back that somebody trusts the archive, under all of its names, and
        write that down. Raise AccessError without the right “Settings”, UserError when
        nobody trusts it."""
        self._require_settings()
        trust = copy.trust_id.sudo()
        with translate_engine_errors(self.env):
            if not trust:
                raise NeverTrusted(key=copy.key)
        self.env["backup.audit"]._note("distrust", copy, old=_in_words(copy))
        trust.unlink()
        self._has_changed()
        _logger.info(
            "User %s withdraws the trust in %s (SHA-256 %s)",
            self.env.uid,
            copy.key,
            copy.sha256,
        )

    @api.model
    def _has_changed(self):
        self.env["backup.copy"].invalidate_model(["trust_id", "is_trusted"])


def _in_words(copy):
    return f"{copy.key}, SHA-256 {copy.sha256}"
