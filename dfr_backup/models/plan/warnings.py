"""What is allowed in a plan and dangerous, and why. The form says it while it is
changed."""

from datetime import timedelta

from odoo import fields

from ...engine.errors import EngineError
from ...engine.policy.schedule import LONGEST_GAP
from ..engine_messages import format_error
from .incremental import obstacle_of
from .retention import rules_for

FEW = 3  # copies: with fewer, a fault that is noticed late is in all of them


def warnings_of(plan):
    """Return all of them, the gravest kind first: {kind: text}."""
    found = {kind: warning(plan) for kind, warning in WARNINGS.items()}
    return {kind: text for kind, text in found.items() if text}


def profile_warning(plan):
    lost = plan.storage_ids._origin.filtered("profile_problem")
    names = [f"{storage.name}: {storage.profile_problem}" for storage in lost]
    return "\n".join(names)


def contents_warning(plan):
    if not plan.include_database:
        return plan.env._(
            "The database is left out: Odoo cannot be rebuilt from attachments alone."
        )
    if not plan.include_filestore:
        return plan.env._(
            "The attachments are left out: after a restore, documents and pictures "
            "are missing, unless another plan saves them."
        )
    return False


def incremental_warning(plan):
    obstacle = plan.incremental and obstacle_of(plan)
    if not obstacle:
        return False
    return plan.env._(
        "Backups of this plan are complete, not incremental: %(problem)s",
        problem=format_error(plan.env, obstacle),
    )


def schedule_warning(plan):
    if plan.frequency == "manual":
        return plan.env._(
            "This plan only runs when started manually. No backup is made unless "
            "someone starts it."
        )
    if not plan.promise_hours:
        return plan.env._(
            "No alert is sent when backups stop: the time limit of “Alert if no "
            "verified backup” is 0."
        )
    hours = LONGEST_GAP[plan.frequency] // timedelta(hours=1)
    if plan.promise_hours <= hours:
        return plan.env._(
            "“Alert if no verified backup” is set to %(hours)s hours, but runs "
            "can be %(interval)s hours apart: the plan will be reported as "
            "overdue although nothing is wrong.",
            hours=plan.promise_hours,
            interval=hours,
        )
    return False


def pause_warning(plan):
    if not plan.paused_until or plan.paused_until <= fields.Datetime.now():
        return False
    return plan.env._(
        "The plan is paused until %s: its schedule starts no run before.",
        plan._in_words(plan.paused_until),
    )


def snooze_warning(plan):
    if not plan._is_snoozed():
        return False
    return plan.env._(
        "Alerts are snoozed until %s: nobody is notified of failures until then.",
        plan._in_words(plan.snoozed_until),
    )


def off_site_warning(plan):
    storages = plan.storage_ids._origin
    if not storages or any(storage._is_off_site() for storage in storages):
        return False
    if all(storage._is_beside_the_data() for storage in storages):
        return plan.env._(
            "All copies are on the disk of Odoo's data: when it breaks, both are gone."
        )
    return plan.env._(
        "All copies are on this server: fire, theft or an intruder takes them "
        "together with the data."
    )


def retention_warning(plan):
    if plan.retention == "none":
        return plan.env._(
            "Nothing is ever deleted: a storage that is full fails the backup."
        )
    if plan._policy().most_copies() < FEW:
        return plan.env._(
            "So few backups are kept that a mistake noticed a day later may be in "
            "all of them."
        )
    return False


def lifecycle_warning(plan):
    found = []
    for storage in plan.storage_ids._origin.filtered("expires_days"):
        kept, days = _days_kept(plan, storage), storage.expires_days
        if kept is None or kept > days:
            found.append(
                plan.env._(
                    "A lifecycle rule of %(storage)s deletes backups after %(days)s "
                    "days, although the plan keeps them longer.",
                    storage=storage.name,
                    days=days,
                )
            )
    return "\n".join(found)


def lock_warning(plan):
    found = []
    for storage in plan.storage_ids._origin:
        kept, days = _days_kept(plan, storage), _days_locked(storage)
        if kept and days > kept:
            found.append(
                plan.env._(
                    "%(storage)s locks backups for %(days)s days, longer than the plan "
                    "keeps them (about %(kept)s days). Until then they take space.",
                    storage=storage.name,
                    days=days,
                    kept=kept,
                )
            )
    return "\n".join(found)


def _days_locked(storage):
    try:
        return storage._lock_days()
    except EngineError:  # its own form says what the operator has to mend
        return 0


def _days_kept(plan, storage):
    """Return for about how many days backups stay in a storage, None: for ever."""
    rules = rules_for(plan, storage)
    gap = LONGEST_GAP.get(plan.frequency, timedelta(0))
    return rules._policy().days_kept(gap) if rules else None


def encryption_warning(plan):
    if plan.encryption == "none":
        return False
    lost = plan.encryption == "passphrase" and _passphrase_problem(plan)
    if lost:
        return lost
    if not plan.kit_downloaded_at:
        return plan.env._(
            "Without the key the backups are lost. Download the recovery kit and "
            "keep it, with the key, outside this server. It has not been downloaded "
            "since the keys or storages last changed."
        )
    return False


def _passphrase_problem(plan):
    try:
        for stored in plan._origin:
            stored._read_secret("age_passphrase")
    except EngineError as error:
        return format_error(plan.env, error)
    return False


def restore_test_warning(plan):
    if (
        plan.drill_every != "0"
        and plan.encryption == "recipients"
        and not plan.age_identity
    ):
        return plan.env._(
            "Restore tests will fail: this server cannot read its own backups. Enter "
            "a private key for restore tests under Verification, or test on another "
            "machine."
        )
    if plan.drill_every == "0" and plan.verify_every == "0":
        return plan.env._(
            "Backups are never verified again: a damaged copy would only be noticed "
            "when it is needed."
        )
    return False


# the gravest first; the form has a button for each that one press can mend
WARNINGS = {
    "profile": profile_warning,
    "contents": contents_warning,
    "incremental": incremental_warning,
    "schedule": schedule_warning,
    "pause": pause_warning,
    "snooze": snooze_warning,
    "off_site": off_site_warning,
    "retention": retention_warning,
    "lifecycle": lifecycle_warning,
    "lock": lock_warning,
    "encryption": encryption_warning,
    "restore_test": restore_test_warning,
}
