"""What is written down, and takes a password, of storages."""

from odoo import models

from ..engine.storages.registry import kinds
from .audited import active_in_words, rules_in_words
from .backup_retention_mixin import RULES

LOCKS = [False, "GOVERNANCE", "COMPLIANCE"]  # from the weakest on


class BackupStorage(models.Model):
    _name = "backup.storage"
    _inherit = ["backup.storage", "backup.audit.mixin"]

    def _audited_fields(self):
        places = (n for kind in kinds() for n in kind.fields("host", "folder"))
        named = {"provider", "external_name", "own_retention", "retention", "active"}
        named |= {"s3_lock_mode", "s3_lock_days"}
        return {*named, *RULES, *places}

    def _address_names(self):
        return self._kind().fields("host", "folder")

    def _audited(self):
        storage = self.sudo()
        names = ["external_name", *storage._address_names()]
        given = [f"{name}: {storage[name]}" for name in names if storage[name]]
        rules = rules_in_words(storage) if storage.own_retention else ""
        lock = f"{storage.s3_lock_mode or 'none'} ({storage.s3_lock_days})"
        address = ", ".join([storage.provider, *given])
        return {
            "address": address,
            "rules": rules,
            "lock": lock,
            "active": active_in_words(storage),
        }

    def _guarded_values(self):
        storage, values = self.sudo(), self._audited()
        is_used = bool(storage.place_id or storage.prepared_at or storage.copy_ids)
        lock = LOCKS.index(storage.s3_lock_mode), storage.s3_lock_days
        return {
            **values,
            "address": (values["address"], is_used),
            "lock": (lock, is_used),
        }

    def _weakens(self, action, before):
        if action in ("rules", "active"):
            return True
        (was, was_used), (now, _) = before, self._guarded_values()[action]
        if action == "lock" and was[0]:
            return was_used and (now[0] < was[0] or now[1] < was[1])
        return action == "address" and was_used  # else it has nothing to lose yet
