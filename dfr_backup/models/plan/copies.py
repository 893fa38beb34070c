"""The stored copies of a plan: those that are there, and the ones to test or to use."""

from ...runs.registry import kinds_with
from ..copy.states import PRESENT_STATES


def stored(plan, storage):
    """Return this plan's copies that are in ``storage``."""
    return plan.env["backup.copy"].search(
        [
            ("plan_id", "=", plan.id),
            ("storage_id", "=", storage.id),
            ("state", "in", PRESENT_STATES),
        ]
    )


def backup_runs(plan):
    """Return the domain of this plan's backups among all runs."""
    return [("plan_id", "=", plan.id), ("kind", "in", kinds_with("keeps_promise"))]


def stored_backups(plans):
    """Return the domain of the backups of these plans that are there."""
    return [("plan_id", "in", plans.ids), ("state", "in", PRESENT_STATES)]


def newest_copies(plan):
    """Return the newest copies of this plan in each of its storages."""
    copies = plan.env["backup.copy"]
    return copies.union(
        *(stored(plan, s)[: plan.verify_newest] for s in plan.storage_ids)
    )


def _restorable(plan, storage):
    return stored(plan, storage).filtered(
        lambda copy: "database" in (copy.contents or "")
    )


def newest_of_each_storage(plan):
    """Return the newest trusted copy of each storage; where none is trusted, the
    newest."""
    copies = plan.env["backup.copy"]
    for storage in plan.storage_ids:
        found = _restorable(plan, storage)
        copies |= (found.filtered("is_trusted") or found)[:1]
    return copies


def untrusted_since(plan, copies):
    """Return the names of newer copies that nobody vouches for, by the identifier
    of their storage."""
    found = {}
    for storage in plan.storage_ids:
        tested = copies.filtered(lambda copy, where=storage: copy.storage_id == where)
        newer = _restorable(plan, storage).filtered(
            lambda copy, since=tested.date: not since or copy.date > since
        )
        keys = newer.filtered(lambda copy: not copy.is_trusted).mapped("key")
        if keys:
            found[str(storage.id)] = keys
    return found


def newest_whole_copy(plan):
    """Return a verified copy of the newest backup with a database that lacks nothing:
    the one on this server, if there is one."""
    newest = plan.env["backup.backup"].search(
        [
            ("plan_id", "=", plan.id),
            ("state", "=", "verified"),
            ("complete", "=", True),
            ("contents", "like", "database"),
        ],
        limit=1,
    )
    verified = newest.copy_ids.filtered(lambda copy: copy.state == "verified")
    return verified.sorted(lambda copy: not copy.storage_id._is_near())[:1]
