import re

from odoo import fields, models
from odoo.exceptions import ValidationError
from odoo.orm.models import NO_ACCESS

from .. import server
from ..engine.errors import PermanentError
from ..engine.errors.secrets import FieldUnreadable

MASK = "********"  # what a form shows instead of a secret; writing it changes nothing
STARS = re.compile(r"^\*+$|\*{4}")  # a mask that somebody has typed into


class BackupSecretMixin(models.AbstractModel):
    """Secrets that can be written and never read: encrypted in the database, by a key
    that lies outside of it.

    A secret is a field with ``compute="_compute_secrets"`` and an inverse that calls
    ``_seal_secret`` with its name.
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

    def _seal_secret(self, name):
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
                sealed[name] = server.secret_box().seal(
                    value, record._secret_context(name)
                )
            record.sudo().sealed_secrets = sealed

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
            return server.secret_box().open(token, self._secret_context(name))
        except PermanentError as error:
            raise FieldUnreadable(
                record=self.display_name,
                problem=error,
                field=self._fields[name].string,
            ) from error

    def _secret_context(self, name):
        """Return what binds an encrypted secret to its place: it is of no use in
        another."""
        return f"{self._name}:{self.id}:{name}"

    def _external_secret(self, name):
        """Return the secret that the server's administrator has set for this record,
        if any. Raise PermanentError when it may not be used here."""
        return ""

    def _has_external_secret(self, name):
        return False
