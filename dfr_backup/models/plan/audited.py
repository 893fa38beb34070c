"""What is written down of a plan, and what takes a password: whatever makes it protect
less."""

from ...engine.policy.overdue import promised_hours
from ..audited import active_in_words, kept, rules_in_words, used_storages
from ..copy.states import PRESENT_STATES
from ..mixins.backup_retention_mixin import RULES
from .pausing import NOT, long_pause

PARTS = ("include_database", "include_filestore", "include_addons")
RARER = ("hourly", "daily", "weekly", "monthly", "manual")
WATCHING = ("promise_hours", "verify_every", "drill_every", "alert_failure")
PEOPLE = ("alert_user_ids", "alert_group_ids", "attention_user_ids")
MONITORS = ("ping_url", "push_url", "webhook_url", "chat_url")
# what silences a plan is written down, and asks nobody: backups stay what they are
UNASKED = frozenset({"alerts", "pause"})
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
        *WATCHING,
        *PEOPLE,
        *MONITORS,
        "alert_emails",
        "chat_service",
        "snoozed_until",
        "paused_until",
    }
)


def texts(plan):
    """Return what is written down, without a secret: {action: text}."""
    names = plan.storage_ids.sorted("id").mapped("name")
    return {
        "storages": ", ".join(names),
        "destination": ", ".join(names),
        "encryption": plan.encryption,
        "keys": _readers_in_words(plan),
        "retention": rules_in_words(plan),
        "contents": ", ".join(_contents(plan)),
        "schedule": _schedule_in_words(plan),
        "pause": f"{plan.paused_until or ''}",
        "alerts": _alerts_in_words(plan),
        "active": active_in_words(plan),
    }


def values(plan):
    """Return what ``weakens`` compares: {action: value}."""
    backups, pause = has_backups(plan), long_pause(plan)
    return {
        "storages": set(plan.storage_ids.ids),
        "destination": (far_storages(plan), used_storages(plan.env)),
        "encryption": plan.encryption,
        "keys": (*_readers(plan), backups),
        "retention": kept(plan),
        "contents": set(_contents(plan)),
        "schedule": (plan.frequency, backups, pause),
        "pause": (plan.paused_until or NOT, backups and pause > NOT),
        "alerts": (_watching(plan), _told(plan), plan.snoozed_until or NOT),
        "active": plan.active,
    }


def weakens(action, before, now):
    """Tell whether a plan protects less with the value ``now`` than ``before``."""
    if action == "active":
        return True
    if action in ("storages", "contents"):
        return bool(before - now)
    if action == "destination":
        (had, used), (has, _) = before, now
        return bool(has - had - used)
    if action == "schedule":
        (was, had_backups, paused), (frequency, _, pauses) = before, now
        is_rarer = RARER.index(frequency) > RARER.index(was)
        is_paused = pauses > paused and had_backups
        return is_paused or (is_rarer and (had_backups or frequency == "manual"))
    if action == "pause":
        (was, _), (until, is_noted_as_schedule) = before, now
        return until > was and not is_noted_as_schedule
    if action == "alerts":
        (watched, told, snoozed), (watches, tells, snoozes) = before, now
        is_less = any(a < b for a, b in zip(watches, watched, strict=True))
        return bool(told - tells) or is_less or snoozes > snoozed
    if action == "encryption":
        return now == "none"
    if action == "keys":
        kind, keys, had_backups = before
        had_some = kind != "none" and keys
        # who may choose the first keys can keep the owner out as well
        return now[0] != "none" and bool(had_some or had_backups)
    if now is None:
        return False
    return before is None or any(now[name] < before[name] for name in RULES)


def far_storages(plan):
    """Return the ids of the plan's storages to which its backups leave this server."""
    return {one.id for one in plan.storage_ids if not one._is_near()}


def note_first_destinations(plan, used):
    """Note where a new plan sends backups, and want the password for storages outside
    of this server that no plan has ``used``: whoever adds one of his own gets all that
    is in the database, as by a download."""
    whole = plan.sudo()
    if far_storages(whole) - used:
        audit = plan.env["backup.audit"]
        audit._require_password(plan)
        audit._note("destination", plan, "", texts(whole)["destination"])


def has_backups(plan):
    """Tell whether the catalogue has backups of a plan: until then it has nothing to
    lose."""
    stored = [("plan_id", "=", plan.id), ("state", "in", PRESENT_STATES)]
    return bool(plan.env["backup.copy"].sudo().search_count(stored, limit=1))


def _schedule_in_words(plan):
    until = plan.paused_until and f"paused_until: {plan.paused_until}"
    return ", ".join(filter(None, [plan.frequency, until]))


def _watching(plan):
    """Return how closely a plan is watched, as numbers of which a smaller one is
    less."""
    every = int(plan.verify_every), int(plan.drill_every)
    rates = [1 / days if days else 0 for days in every]
    return (_promise(plan), *rates, int(plan.alert_failure))


def _promise(plan):
    """Return how much a plan promises, 1 for what its schedule lets it promise."""
    usual, promised = promised_hours(plan.frequency), plan.promise_hours
    if promised == usual:
        return 1
    return usual / promised if promised else 0


def _told(plan):
    """Return whom a plan tells, and which monitors, without their addresses."""
    people = {(name, who.id) for name in PEOPLE for who in plan[name]}
    emails = {("alert_emails", one) for one in _emails(plan)}
    sealed = dict(plan.sealed_secrets or {})
    if "chat_url" in sealed:
        where = sealed["chat_url"]
        sealed["chat_url"] = plan.chat_service and f"{plan.chat_service} {where}"
    return people | emails | {(n, sealed[n]) for n in MONITORS if sealed.get(n)}


def _emails(plan):
    parts = (part.strip() for part in (plan.alert_emails or "").split(","))
    return [part for part in parts if part]


def _alerts_in_words(plan):
    watching = [f"{name}: {plan[name]}" for name in WATCHING]
    people = [who for name in PEOPLE for who in plan[name].mapped("display_name")]
    sealed = plan.sealed_secrets or {}
    monitors = [name for name in MONITORS if name in sealed]
    if plan.snoozed_until:
        watching.append(f"snoozed_until: {plan.snoozed_until}")
    return ", ".join([*watching, *dict.fromkeys(people), *_emails(plan), *monitors])


def has_readers(plan):
    """Tell whether other keys than before would keep somebody out who can read the
    backups."""
    return plan.encryption != "none" or has_backups(plan)


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
