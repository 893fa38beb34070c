"""What is written down of a storage, and what takes a password: whatever makes it
protect less."""

from ...engine.storages.registry import kinds
from ..audited import active_in_words, rules_in_words, used_storages
from ..mixins.backup_retention_mixin import RULES

LOCKS = [False, "GOVERNANCE", "COMPLIANCE"]  # from the weakest on


def fields():
    """Return the names of the fields that ``texts`` reads."""
    places = (n for kind in kinds() for n in kind.fields("host", "folder"))
    named = {"provider", "external_name", "own_retention", "retention", "active"}
    named |= {"s3_lock_mode", "s3_lock_days", "rules_confirmed"}
    return {*named, *RULES, *places}


def texts(storage):
    """Return what is written down, without a secret: {action: text}."""
    names = ["external_name", *storage._kind().fields("host", "folder")]
    given = [f"{name}: {storage[name]}" for name in names if storage[name]]
    rules = rules_in_words(storage) if storage.own_retention else ""
    lock = f"{storage.s3_lock_mode or 'none'} ({storage.s3_lock_days})"
    address = ", ".join([storage.provider, *given])
    return {
        "address": address,
        "rules": rules,
        "lock": lock,
        "lifecycle": "no lifecycle rules" if storage.rules_confirmed else "",
        "active": active_in_words(storage),
    }


def values(storage):
    """Return what ``weakens`` compares: {action: value}."""
    found = texts(storage)
    known = storage.place_id or storage.prepared_at or storage.copy_ids
    is_used = bool(known) or storage.id in used_storages(storage.env)
    lock = LOCKS.index(storage.s3_lock_mode), storage.s3_lock_days
    return {
        **found,
        "address": (found["address"], is_used),
        "lock": (lock, is_used),
    }


def weakens(action, before, after):
    """Tell whether a storage protects less with the value ``after`` than ``before``."""
    if action in ("rules", "active"):
        return True
    if action == "lifecycle":
        return bool(after)
    (was, was_used), (now, _) = before, after
    if action == "lock" and was[0]:
        return was_used and (now[0] < was[0] or now[1] < was[1])
    return action == "address" and was_used  # else it has nothing to lose yet
