"""What is written down of a plan, and what takes a password: whatever makes it protect
less."""

from ..audited import active_in_words, kept, rules_in_words
from ..mixins.backup_retention_mixin import RULES

PARTS = ("include_database", "include_filestore", "include_addons")
FIELDS = frozenset(
    {
        "storage_ids",
        "retention",
        "encryption",
        "age_recipients",
        "age_passphrase",
        "frequency",
        "active",
        *PARTS,
        *RULES,
    }
)


def texts(plan):
    """Return what is written down, without a secret: {action: text}."""
    names = plan.storage_ids.sorted("id").mapped("name")
    return {
        "storages": ", ".join(names),
        "encryption": plan.encryption,
        "keys": _readers_in_words(plan),
        "retention": rules_in_words(plan),
        "contents": ", ".join(_contents(plan)),
        "schedule": plan.frequency,
        "active": active_in_words(plan),
    }


def values(plan):
    """Return what ``weakens`` compares: {action: value}."""
    return {
        "storages": set(plan.storage_ids.ids),
        "encryption": plan.encryption,
        "keys": _readers(plan),
        "retention": kept(plan),
        "contents": set(_contents(plan)),
        "schedule": plan.frequency,
        "active": plan.active,
    }


def weakens(action, before, now):
    """Tell whether a plan protects less with the value ``now`` than ``before``."""
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


def _contents(plan):
    """Return which parts a plan saves, in order."""
    return [name.removeprefix("include_") for name in PARTS if plan[name]]


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
