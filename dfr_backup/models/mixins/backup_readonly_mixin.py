from odoo import api, models
from odoo.exceptions import AccessError


class BackupReadonlyMixin(models.AbstractModel):
    """Fields that no user writes: not by values, and not by a default that the context
    of a call may name, or that a user has chosen for himself.

    They are those that are declared ``readonly`` and stored, and ``READONLY_FIELDS``.
    Our own methods write them with ``sudo``.
    """

    _name = "backup.readonly.mixin"
    _description = "Record with Read-only Data"

    READONLY_FIELDS = frozenset()

    @api.model
    def _own_fields(self):
        """Return the names of the fields that only our own methods write."""
        found = {
            name
            for name, field in self._fields.items()
            if field.readonly and field.store and not field.compute
        }
        # an import names records by it; the ORM writes none
        return (self.READONLY_FIELDS | found) - {"id"}

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            self._refuse_own_fields(vals)
        context = {
            name: value
            for name, value in self.env.context.items()
            if name.removeprefix("default_") not in self._own_fields()
        }
        own = self.with_context(context)  # pylint: disable=context-overridden
        return super(BackupReadonlyMixin, own).create(vals_list)

    def write(self, vals):
        self._refuse_own_fields(vals)
        return super().write(vals)

    def _refuse_own_fields(self, vals):
        if not self.env.su and self._own_fields() & vals.keys():
            raise AccessError(
                self.env._("These fields are only written by the addon itself.")
            )


class BackupRecordMixin(models.AbstractModel):
    """A record that only our own methods make: neither the context of whoever has
    pressed a button decides anything in it, nor a default of his own."""

    _name = "backup.record.mixin"
    _description = "Record Owned by the Addon"

    @api.model
    def _own_fields(self):
        return frozenset(self._fields)

    @api.model_create_multi
    def create(self, vals_list):
        context = {
            name: value
            for name, value in self.env.context.items()
            if not name.startswith("default_")
        }
        own = self.with_context(context)  # pylint: disable=context-overridden
        return super(BackupRecordMixin, own).create(vals_list)
