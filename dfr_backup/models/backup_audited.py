"""What is written down, and takes a password, of storages and plans."""

from odoo import models

from ..engine.storages.registry import kinds
from .backup_retention_mixin import RULES

PARTS = ("include_database", "include_filestore", "include_addons")
LOCKS = [False, "GOVERNANCE", "COMPLIANCE"]  # from the weakest on


def _is_active(record):
    return "active" if record.active else "archived"


def _contents(plan):
    """Return which parts a plan saves, in order."""
    return [name.removeprefix("include_") for name in PARTS if plan[name]]


def _keeps(record):
    """Return how much the rules of a record keep, None when that is everything."""
    if record.retention == "none":
        return None
    return {name: record[name] for name in RULES}


def _readers(plan):
    """Return who can read the backups that a plan makes: the kind of its encryption,
    and the keys, without a secret."""
    if plan.encryption == "recipients":
        return "recipients", _keys(plan)
    sealed = (plan.sealed_secrets or {}).get("age_passphrase")
    return plan.encryption, sealed if plan.encryption == "passphrase" else None


def _keys(plan):
    lines = (line.strip() for line in (plan.age_recipients or "").splitlines())
    return frozenset(line for line in lines if line and not line.startswith("#"))


def _readers_in_words(plan):
    kind, keys = _readers(plan)
    return ", ".join([kind, *sorted(keys)]) if kind == "recipients" else kind


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
        rules = _rules_in_words(storage) if storage.own_retention else ""
        lock = f"{storage.s3_lock_mode or 'none'} ({storage.s3_lock_days})"
        address = ", ".join([storage.provider, *given])
        return {
            "address": address,
            "rules": rules,
            "lock": lock,
            "active": _is_active(storage),
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


class BackupPlan(models.Model):
    _name = "backup.plan"
    _inherit = ["backup.plan", "backup.audit.mixin"]

    def _audited_fields(self):
        keys = {"encryption", "age_recipients", "age_passphrase"}
        when = {"frequency", "active"}
        return {"storage_ids", "retention", *keys, *when, *PARTS, *RULES}

    def _audited(self):
        plan = self.sudo()
        names = plan.storage_ids.sorted("id").mapped("name")
        return {
            "storages": ", ".join(names),
            "encryption": plan.encryption,
            "keys": _readers_in_words(plan),
            "retention": _rules_in_words(plan),
            "contents": ", ".join(_contents(plan)),
            "schedule": plan.frequency,
            "active": _is_active(plan),
        }

    def _guarded_values(self):
        plan = self.sudo()
        return {
            "storages": set(plan.storage_ids.ids),
            "encryption": plan.encryption,
            "keys": _readers(plan),
            "retention": _keeps(plan),
            "contents": set(_contents(plan)),
            "schedule": plan.frequency,
            "active": plan.active,
        }

    def _weakens(self, action, before):
        now = self._guarded_values()[action]
        if action == "active":
            return True
        if action in ("storages", "contents"):
            return bool(before - now)
        if action == "schedule":
            return now == "manual"
        if action == "encryption":
            return now == "none"
        if action == "keys":
            had_some = before[0] != "none" and before[1]
            return bool(had_some and now[0] != "none")
        if now is None:
            return False
        return before is None or any(now[name] < before[name] for name in RULES)
