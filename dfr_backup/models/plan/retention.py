"""Which stored copies of a plan stay, which ones go and when, and a preview of it."""

from datetime import datetime, timezone

from markupsafe import Markup

from ...engine.policy.expiry import expires_at
from ...engine.policy.retention import plan_retention
from ..engine_messages import translate
from ..moments import to_odoo_datetime
from .copies import stored


def rules_for(plan, storage):
    """Return the record whose rules hold for this plan in ``storage``; none:
    keep all."""
    plan.ensure_one()
    rules = storage if storage.own_retention else plan
    return rules if rules.retention != "none" else None


def decide(plan, storage, storage_now=None):
    """Return the engine's decision for this plan's copies in ``storage``."""
    copies = [copy._as_retention_copy() for copy in stored(plan, storage)]
    policy = rules_for(plan, storage)._policy()
    return plan_retention(copies, policy, plan.tz, _now(), storage_now)


def expiry(plan, storage):
    """Return when each copy in ``storage`` goes, by the copy's id; naive, in
    UTC."""
    rules = rules_for(plan, storage)
    if not rules or storage.is_foreign or not storage.can_delete:
        return {}
    copies = [copy._as_retention_copy() for copy in stored(plan, storage)]
    found = expires_at(copies, rules._policy(), plan.tz, _now())
    return {
        int(key): to_odoo_datetime(moment) for key, moment in found.items() if moment
    }


def preview(plan, storage):
    """Return what the next clean-up would do in one storage, as HTML."""
    title = Markup("<h4>%s</h4>") % storage.name
    rules = storage if storage.own_retention else plan
    if rules.retention == "none":
        return title + Markup("<p>%s</p>") % plan.env._("Everything stays.")
    if not storage.can_delete:
        text = plan.env._("The credentials may not delete: the storage itself must.")
        return title + Markup("<p>%s</p>") % text
    copies = stored(plan._origin, storage)
    policy = rules._policy()
    if policy.problems():
        return title + Markup("<p class='text-danger'>%s</p>") % " ".join(
            translate(plan.env, p) for p in policy.problems()
        )
    decision = plan_retention(
        [c._as_retention_copy() for c in copies], policy, plan.tz, _now()
    )
    return title + _preview_table(
        plan, decision, {str(copy.id): copy for copy in copies}
    )


def _preview_table(plan, decision, copies):
    going = len(decision.deletions)
    text = plan.env._(
        "After the next good backup %(go)s of these would go, and %(stay)s would stay.",
        go=going,
        stay=len(copies) - going,
    )
    rows = [
        Markup("<tr class='%s'><td>%s</td><td>%s</td><td>%s</td></tr>")
        % (
            "" if verdict.keep else "text-danger",
            copies[verdict.identifier].key,
            plan.env._("stays") if verdict.keep else plan.env._("goes"),
            ", ".join(_reason(plan, reason) for reason in verdict.reasons),
        )
        for verdict in decision.verdicts
    ]
    table = Markup("<table class='table table-sm'>%s</table>") % Markup().join(rows)
    refused = Markup("<p class='text-danger'>%s</p>") % translate(
        plan.env, decision.refused
    )
    return (
        (refused if decision.refused else Markup()) + Markup("<p>%s</p>") % text + table
    )


def _reason(plan, reason):
    """Return why a copy stays or goes, in words."""
    words = {
        "last": plan.env._("newest"),
        "hourly": plan.env._("hourly"),
        "daily": plan.env._("daily"),
        "weekly": plan.env._("weekly"),
        "monthly": plan.env._("monthly"),
        "yearly": plan.env._("yearly"),
        "minimum": plan.env._("one of the newest that always stay"),
        "within": plan.env._("of the last days"),
        "foreign": plan.env._("of another database"),
        "protected": plan.env._("protected"),
        "running": plan.env._("still being made"),
        "unverified": plan.env._("too few are verified"),
        "refused": plan.env._("nothing is deleted now"),
        "surplus": plan.env._("no rule wants it"),
    }
    detail = reason.period if reason.rule not in ("minimum", "last", "within") else ""
    return f"{words[reason.rule]} {detail}".strip()


def _now():
    return datetime.now(timezone.utc)
