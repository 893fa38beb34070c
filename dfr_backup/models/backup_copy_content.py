"""Stored backups, looked into and compared."""

import logging
from contextlib import contextmanager

from odoo import models
from odoo.exceptions import UserError
from odoo.tools import format_datetime

from odoo.addons.base.models.res_users import check_identity

from ..engine.catalog.browse import look_into
from ..engine.encryption.files import Passphrase, parse_identities
from .backup_copy import PRESENT_STATES
from .engine_messages import translate_engine_errors
from .grants import remember_opened

_logger = logging.getLogger(__name__)


class BackupCopy(models.Model):
    _inherit = "backup.copy"

    @check_identity
    def action_browse(self):
        """Show what this backup holds."""
        self._check_manager()
        self.ensure_one()
        if self.state not in PRESENT_STATES:
            raise UserError(self.env._("This backup is not there to be looked into."))
        browser = self.env["backup.browse"].sudo().create({"copy_id": self.id})
        browser._read_manifest()
        remember_opened(browser)
        self.env["backup.audit"]._note("browse", self)
        _logger.info("User %s looks into %s", self.env.uid, self.key)
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Browse Backup"),
            "res_model": "backup.browse",
            "res_id": browser.id,
            "views": [(False, "form")],
        }

    def _identities(self, given=""):
        """Return what decrypts the archive: the key that somebody has ``given``, or
        the one of this server. None when there is none. Raise PermanentError when it
        is not one."""
        text = given or self._read_key()
        if not text or not self.encrypted:
            return None
        if "AGE-SECRET-KEY-" in text or "PRIVATE KEY" in text:
            return parse_identities(text)
        return Passphrase(text)

    @contextmanager
    def _looked_into(self, given=""):
        """Open the archive where it is stored. Raise UserError, also for what the
        body meets."""
        with translate_engine_errors(self.env):
            identities = self._identities(given)
            storage, known = self.storage_id._get_storage(), self._catalogued()
            with look_into(storage, self.key, identities, known) as reader:
                yield reader

    def _moment(self):
        """Return when the data was saved, as people say it."""
        return format_datetime(self.env, self.date, dt_format="medium")

    @check_identity
    def action_compare(self):
        """Show what differs between two backups."""
        self._check_manager()
        if len(self) != 2 or self.filtered(
            lambda copy: copy.state not in PRESENT_STATES
        ):
            raise UserError(
                self.env._("Select two backups that are there, and compare them.")
            )
        older, newer = self.sorted("date")
        for copy in self:
            self.env["backup.audit"]._note("browse", copy)
        comparison = (
            self.env["backup.compare"]
            .sudo()
            .create({"before_id": older.id, "after_id": newer.id})
        )
        comparison._compare()
        remember_opened(comparison)
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Compare Backups"),
            "res_model": "backup.compare",
            "res_id": comparison.id,
            "views": [(False, "form")],
        }
