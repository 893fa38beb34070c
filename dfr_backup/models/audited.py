"""How the audit trail tells what storages and plans have in common."""

from .mixins.backup_retention_mixin import RULES


def active_in_words(record):
    return "active" if record.active else "archived"


def kept(record):
    """Return how much the rules of a record keep, None when that is everything."""
    if record.retention == "none":
        return None
    return {name: record[name] for name in RULES}


def rules_in_words(record):
    rules = kept(record)
    if rules is None:
        return "none"
    parts = ", ".join(f"{RULES[name]}: {value}" for name, value in rules.items())
    return f"{record.retention} ({parts})"


def used_storages(env):
    """Return the ids of the storages that plans store into, also archived ones: what is
    sent there went there before."""
    plans = env["backup.plan"].sudo().with_context(active_test=False)
    return set(plans.search([]).storage_ids.ids)
