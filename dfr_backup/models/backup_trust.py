"""Archives that neither a run of this database has made nor a signature vouches for:
who has said that they may be restored."""

import logging

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError

from odoo.addons.base.models.res_users import check_identity

from ..engine.catalog.catalogued import Catalogued
from ..engine.errors.trust import NeverTrusted, NotTrusted
from .engine_messages import translate_engine_errors

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

    _sha256_uniq = models.UniqueIndex("(sha256)", "An archive is trusted once.")


class BackupCopy(models.Model):
    _inherit = "backup.copy"

    trust_id = fields.Many2one(
        "backup.trust", string="Trusted by", compute="_compute_trust"
    )
    is_trusted = fields.Boolean(
        compute="_compute_trust",
        help="Made by a run of this database, signed by it, or trusted by an "
        "administrator.",
    )

    @api.depends("sha256", "key", "signature", "job_id")
    def _compute_trust(self):
        said = self.env["backup.trust"].sudo()
        found = {
            trust.sha256: trust
            for trust in said.search([("sha256", "in", self.mapped("sha256"))])
        }
        made = self._made_here()
        for copy in self:
            copy.trust_id = found.get(copy.sha256, said)
            vouched = copy.sha256 in made or copy.signature == "ours"
            copy.is_trusted = vouched or bool(copy.trust_id)

    def _made_here(self):
        """Return the checksums of these copies that runs of this database have noted
        when they made them, under whatever name somebody has stored them since."""
        noted = [("kind", "=", "backup"), ("archive_sha256", "!=", False)]
        wanted = ("archive_sha256", "in", self.filtered("sha256").mapped("sha256"))
        runs = self.env["backup.job"].sudo().search([*noted, wanted])
        return set(runs.mapped("archive_sha256"))

    def _require_trusted(self):
        """Raise NotTrusted for an archive that nobody vouches for."""
        for copy in self:
            if not copy.is_trusted:
                raise NotTrusted(key=copy.key)

    def _catalogued_to_restore(self):
        """Return what the archive has to be. Somebody trusts the archive, not the
        manifest beside it: then that vouches for nothing."""
        known = self._catalogued()
        job = self.job_id
        noted = job.kind == "backup" and job.archive_sha256 == self.sha256
        if noted or self.signature == "ours":
            return known
        return Catalogued(known.size, known.sha256)

    @check_identity
    def action_trust(self):
        """Let this archive be restored, whoever has made it."""
        self.ensure_one()
        self._trust()
        return True

    @check_identity
    def action_distrust(self):
        """Let this archive be restored no more, unless something else vouches for
        it."""
        self.ensure_one()
        self._distrust()
        return True

    def _require_settings(self):
        if not self.env.user.has_group("base.group_system"):
            raise AccessError(
                self.env._(
                    "Only an administrator with the right “Settings” may trust a file."
                )
            )

    def _trust(self):
        """Write down that this user trusts the archive. Raise AccessError without the
        right “Settings”, UserError when nobody has read it yet."""
        self._require_settings()
        if not self.sha256:
            raise UserError(
                self.env._(
                    "Verify this backup first: its checksum is not known yet, and a "
                    "file is trusted by its checksum."
                )
            )
        trusts = self.env["backup.trust"].sudo()
        if not trusts.search_count([("sha256", "=", self.sha256)], limit=1):
            values = {"sha256": self.sha256, "key": self.key}
            trusts.create({**values, "user_id": self.env.uid})
            self.env["backup.audit"]._note("trust", self, new=self._in_words())
        self._trust_has_changed()
        _logger.info(
            "User %s trusts %s (SHA-256 %s)", self.env.uid, self.key, self.sha256
        )

    def _distrust(self):
        """Take back that somebody trusts the archive, under all of its names, and
        write that down. Raise AccessError without the right “Settings”, UserError when
        nobody trusts it."""
        self._require_settings()
        trust = self.trust_id.sudo()
        with translate_engine_errors(self.env):
            if not trust:
                raise NeverTrusted(key=self.key)
        self.env["backup.audit"]._note("distrust", self, old=self._in_words())
        trust.unlink()
        self._trust_has_changed()
        _logger.info(
            "User %s withdraws the trust in %s (SHA-256 %s)",
            self.env.uid,
            self.key,
            self.sha256,
        )

    def _in_words(self):
        return f"{self.key}, SHA-256 {self.sha256}"

    def _trust_has_changed(self):
        self.env["backup.copy"].invalidate_model(["trust_id", "is_trusted"])
