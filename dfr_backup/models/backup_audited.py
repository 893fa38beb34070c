"""What is written down, and takes a password, of storages and plans."""

from odoo import models

from .backup_retention_mixin import RULES
from .backup_storage_place import Address


def _keeps(record):
    """Return how much the rules of a record keep, None when that is everything."""
    if record.retention == "none":
        return None
    return {name: record[name] for name in RULES}


def _rules_in_words(record):
    rules = _keeps(record)
    if rules is None:
        return "none"
    kept = ", ".join(f"{RULES[name]}: {value}" for name, value in rules.items())
    return f"{record.retention} ({kept})"


class BackupStorage(models.Model):
    _name = "backup.storage"
    _inherit = ["backup.storage", "backup.audit.mixin"]

    def _audited_fields(self):
        addresses = self._addresses().values()
        places = (n for one in addresses for n in one.host + one.folder)
        named = {"provider", "external_name", "own_retention", "retention"}
        return {*named, *RULES, *places}

    def _address_names(self):
        address = self._addresses().get(self.provider, Address())
        return (*address.host, *address.folder)

    def _audited(self):
        storage = self.sudo()
        names = ["external_name", *storage._address_names()]
        given = [f"{name}: {storage[name]}" for name in names if storage[name]]
        rules = _rules_in_words(storage) if storage.own_retention else ""
        return {"address": ", ".join([storage.provider, *given]), "rules": rules}

    def _guarded_values(self):
        storage, values = self.sudo(), self._audited()
        is_used = bool(storage.place_id or storage.prepared_at or storage.copy_ids)
        return {**values, "address": (values["address"], is_used)}

    def _weakens(self, action, before):
        if action != "address":
            return True
        _address, was_used = before
        return was_used  # else it has nothing to lose yet


class BackupPlan(models.Model):
    _name = "backup.plan"
    _inherit = ["backup.plan", "backup.audit.mixin"]

    def _audited_fields(self):
        return {"storage_ids", "encryption", "retention", *RULES}

    def _audited(self):
        plan = self.sudo()
        names = plan.storage_ids.sorted("id").mapped("name")
        return {
            "storages": ", ".join(names),
            "encryption": plan.encryption,
            "retention": _rules_in_words(plan),
        }

    def _guarded_values(self):
        plan = self.sudo()
        return {
            "storages": set(plan.storage_ids.ids),
            "encryption": plan.encryption,
            "retention": _keeps(plan),
        }

    def _weakens(self, action, before):
        now = self._guarded_values()[action]
        if action == "storages":
            return bool(before - now)
        if action == "encryption":
            return now == "none"
        if now is None:
            return False
        return before is None or any(now[name] < before[name] for name in RULES)
