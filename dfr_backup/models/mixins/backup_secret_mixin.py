import logging
import re

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import SQL

from ... import odoo_config
from ...compat import NO_ACCESS
from ...engine.encryption.secret_box import is_bound
from ...engine.errors import PermanentError
from ...engine.errors.secrets import FieldUnreadable, NoOwner, SecretOfAnother
from ..engine_messages import translate_engine_errors

_logger = logging.getLogger(__name__)

MASK = "********"  # what a form shows instead of a secret; writing it changes nothing
STARS = re.compile(r"^\*+$|\*{4}")  # a mask that somebody has typed into


class BackupSecretMixin(models.AbstractModel):
    """Secrets that can be written and never read: encrypted in the database, by a key
    that lies outside of it.

    A secret is a field with ``compute="_compute_secrets"`` and an inverse that calls
    ``_encrypt_secret`` with its name.
    """

    _name = "backup.secret.mixin"
    _description = "Record with Secrets"

    sealed_secrets = fields.Json(groups=NO_ACCESS, copy=False)

    def _compute_secrets(self):
        for record in self:
            sealed = record.sudo().sealed_secrets or {}
            for name in self._secret_names():
                record[name] = (
                    MASK
                    if name in sealed or record._has_external_secret(name)
                    else False
                )

    def _secret_names(self):
        return [
            name
            for name, field in self._fields.items()
            if field.compute == "_compute_secrets"
        ]

    def _encrypt_secret(self, name):
        """Encrypt what was written into the field ``name``; writing nothing forgets
        it."""
        for record in self:
            value = record[name]
            if value == MASK:
                continue
            if value and STARS.search(value):
                # who types into the mask gets a secret that nobody knows
                raise ValidationError(
                    self.env._("Clear the field first, then enter the whole secret.")
                )
            sealed = dict(record.sudo().sealed_secrets or {})
            sealed.pop(name, None)
            if value:
                with translate_engine_errors(self.env):
                    sealed[name] = record._encrypted(name, value)
            record.sudo().sealed_secrets = sealed
        # the answer to whoever has saved it would hold what he has typed
        self.invalidate_recordset([name], flush=False)

    def _read_secret(self, name):
        """Return a secret, "" when there is none. Raise PermanentError when the key is
        another.

        One that the server's administrator has set, in the environment or in odoo.conf,
        is used instead of the one in the database.
        """
        self.ensure_one()
        token = (self.sudo().sealed_secrets or {}).get(name)
        external = self._external_secret(name)
        if external or not token:
            return external
        try:
            return self._decrypted(name, token)
        except PermanentError as error:
            raise self._unreadable(name, error) from error

    def _unreadable(self, name, problem):
        field = self._fields[name].string
        error = FieldUnreadable(record=self.display_name, problem=problem, field=field)
        if isinstance(problem, (NoOwner, SecretOfAnother)):
            error.code, error.hint = problem.code, problem.hint
        return error

    def _encrypted(self, name, value):
        owner = self._secret_owner()
        return odoo_config.secret_box().encrypt(
            value, self._secret_context(name), owner
        )

    def _decrypted(self, name, token):
        owner = self._secret_owner()
        return odoo_config.secret_box().decrypt(
            token, self._secret_context(name), owner
        )

    def _secret_owner(self):
        """Return the identity of the database, without which nothing of it opens: it
        goes with the data when they are moved or restored, and no copy has it."""
        return self.env["backup.job"]._current_database_uuid() or ""

    def _secret_context(self, name):
        """Return what binds an encrypted secret to its place: it is of no use in
        another."""
        return f"{self._name}:{self.id}:{name}"

    @api.autovacuum
    def _bind_secrets(self):
        """Bind the secrets of older releases to this database. One that cannot be
        opened stays as it is, until its key is there again: each day tries it."""
        if (
            self._abstract
            or not self._secret_owner()
            or not odoo_config.has_secret_key()
        ):
            return
        self.flush_model(["sealed_secrets"])
        self.env.cr.execute(
            SQL(
                "SELECT id FROM %s WHERE sealed_secrets IS NOT NULL"
                " FOR UPDATE SKIP LOCKED",
                SQL.identifier(self._table),
            )
        )
        ids = [identifier for (identifier,) in self.env.cr.fetchall()]
        for record in self.sudo().browse(ids):
            sealed = record.sealed_secrets or {}
            bound = {name: record._rebound(name, t) for name, t in sealed.items()}
            if bound != sealed:
                record.sealed_secrets = bound

    def _rebound(self, name, token):
        if is_bound(token):
            return token
        try:
            return self._encrypted(name, self._decrypted(name, token))
        except PermanentError as error:
            _logger.warning("%s %s, %s: %s", self._name, self.id, name, error.message)
            return token

    def _external_secret(self, name):
        """Return the secret that the server's administrator has set for this record,
        if any. Raise PermanentError when it may not be used here."""
        return ""

    def _has_external_secret(self, name):
        return False
