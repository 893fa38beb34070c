"""What storages will hold in a month, and when one of them is full."""

from datetime import datetime, timedelta, timezone

from odoo import fields

from ...engine.policy.forecast import (
    Series,
    Trend,
    days_until_full,
    growth,
    is_enough,
)
from ...engine.policy.retention import Copy
from ...engine.policy.schedule import LONGEST_GAP
from ..copy.states import PRESENT_STATES
from ..moments import from_odoo_datetime
from ..plan.retention import rules_for
from ..storage.backup_original_mixin import identity_error

AHEAD = 30  # days
RECENT = timedelta(days=30)  # whose backups say how large the next ones are
FEW = 3  # backups that do so at least, however rarely they are made
# of a copy: all are read at once, however many there are
FACTS = (
    "storage_id",
    "plan_id",
    "date",
    "size",
    "new_size",
    "state",
    "complete",
    "protected",
    "incremental",
)
GAPS = {**LONGEST_GAP, "monthly": timedelta(days=30.4)}  # on average


def forecasts(plans, storages):
    """Return what becomes of storages by the schedules of these plans: for each, how
    many bytes "more" it holds in a month, and "full_in" how many days nothing fits
    any more: None when not within a year, or when nobody knows how much is free, or
    how it goes on. One query for all."""
    now = datetime.now(timezone.utc)
    stuck = _stuck(plans.env["backup.storage"].concat(*storages))
    found = {storage: _series(plans, storage, storage in stuck) for storage in storages}
    copies = _copies(plans.env, found)
    return {
        storage: _forecast(storage, wanted, copies, now)
        for storage, wanted in found.items()
    }


def full_in(storages):
    """Return in how many days nothing fits into each of these any more, as
    ``forecasts`` does by the schedules of all plans."""
    if not storages:
        return {}
    plans = storages.env["backup.plan"].search([("active", "=", True)])
    found = forecasts(plans, storages)
    return {storage: coming["full_in"] for storage, coming in found.items()}


def _stuck(storages):
    """Return those where nothing is deleted, because this database may be a copy."""
    if not storages.env["backup.identity"]._objection(storages):
        return storages.browse()  # as nearly always: asked once for all
    return storages.filtered(identity_error)


def _series(plans, storage, is_stuck):
    """Return the rules of each plan that will store there; None for those that keep
    all, as all do where nothing is deleted."""
    if storage.is_foreign:
        return {}
    coming = plans.filtered(lambda p: storage in p.storage_ids and p.frequency in GAPS)
    return {plan: None if is_stuck else _policy(plan, storage) for plan in coming}


def _policy(plan, storage):
    rules = rules_for(plan, storage)
    policy = rules._policy() if rules and storage.can_delete else None
    return policy if policy and not policy.problems() else None


def _copies(env, found):
    """Return the copies that say how it goes on, by storage and plan: where all stay,
    the last ones."""
    now = fields.Datetime.now()
    wanted = []  # one after the other in prefix notation, each with its "or" before it
    for storage, plans in found.items():
        for plan, policy in plans.items():
            of_plan = [("storage_id", "=", storage.id), ("plan_id", "=", plan.id)]
            recent = [] if policy else [("date", ">=", now - _recent(plan))]
            wanted += ["|", *["&"] * (1 + len(recent)), *of_plan, *recent]
    any_of_them = [*wanted, (0, "=", 1)]  # that is none
    present = [("state", "in", PRESENT_STATES), *any_of_them]
    copies = env["backup.copy"].search_fetch(present, FACTS)
    return copies.grouped(lambda copy: (copy.storage_id, copy.plan_id))


def _forecast(storage, policies, copies, now):
    known = {plan: copies.get((storage, plan)) for plan in policies}
    every = (
        _one(plan, policy, known[plan], now)
        for plan, policy in policies.items()
        if known[plan]
    )
    series = [one for one in every if one]
    free = _free(storage, known.values())
    return {
        "more": growth(series, now + timedelta(days=AHEAD)) if series else None,
        "full_in": None if free is None else days_until_full(series, free, now),
    }


def _one(plan, policy, copies, now):
    """Return how the backups of one plan in one storage go on, None when they have
    begun too recently to say so."""
    newest = copies[:1]
    since = newest.date - _recent(plan)
    recent = copies.filtered(
        lambda copy: copy.incremental == newest.incremental and copy.date >= since
    )
    dates = recent.mapped("date")
    if not is_enough(dates):
        return None
    # the oldest of them may be the first of all, which has stored all attachments
    packed = sum(recent.mapped("new_size")) - recent[-1].new_size
    gap = GAPS[plan.frequency]
    due = plan.next_run and from_odoo_datetime(plan.next_run)
    return Series(
        copies=[_as_retention_copy(copy) for copy in copies] if policy else [],
        sizes={str(copy.id): copy.size for copy in copies} if policy else {},
        policy=policy,
        tz=plan.tz,
        first=max(due or now, now),
        gap=gap,
        trend=Trend.of([(from_odoo_datetime(c.date), c.size) for c in recent]),
        packed=packed * (gap / (max(dates) - min(dates))),
    )


def _recent(plan):
    """Return how old a backup may be that says how large the next ones are."""
    return max(RECENT, FEW * GAPS[plan.frequency])


def _as_retention_copy(copy):
    """Return a copy as the rules see it, once no run is busy with it."""
    return Copy(
        identifier=str(copy.id),
        taken_at=from_odoo_datetime(copy.date),
        verified=copy.state == "verified" and copy.complete,
        protected=copy.protected,
    )


def _free(storage, known):
    """Return how many bytes are free, less what was stored since somebody looked; None
    when nobody knows."""
    seen_at = storage.space_at
    if not seen_at:
        return None
    later = [
        copy.size + copy.new_size
        for copies in known
        for copy in copies or ()
        if copy.date > seen_at
    ]
    return max(storage.free_space - sum(later), 0.0)
