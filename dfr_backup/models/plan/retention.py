"""Which stored copies of a plan stay, which ones go and when, and a preview of it."""

from datetime import datetime, timezone

from markupsafe import Markup

from ...engine.policy.expiry import expires_at
from ...engine.policy.retention import Copy, plan_retention
from ...engine.policy.schedule import next_time
from ..engine_messages import size_in_words, translate
from ..moments import from_odoo_datetime, in_words, to_odoo_datetime
from .copies import stored
from .freed import freed_in_words

COMING = "next"  # the backup that is made next, among the identifiers of copies


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


def fates(plan, storage):
    """Return when each copy in ``storage`` goes (naive, in UTC; False: not by itself)
    and why it stays until then, in words, by the copy's id."""
    copies = stored(plan, storage)
    kept = _kept_anyway(plan, storage)
    if kept:
        return {copy.id: (False, kept) for copy in copies}
    facts = [copy._as_retention_copy() for copy in copies]
    policy, now = rules_for(plan, storage)._policy(), _now()
    decision = plan_retention(facts, policy, plan.tz, now)
    ends = _ends(plan, facts, policy, now)
    coming = _next_backup(plan)  # nothing is deleted before there is one
    return {
        int(verdict.identifier): (
            to_odoo_datetime(end and max(end, coming)),
            reasons_in_words(plan.env, verdict.reasons),
        )
        for verdict in decision.verdicts
        for end in [ends[verdict.identifier]]
    }


def _ends(plan, facts, policy, now):
    paused_until = from_odoo_datetime(plan.paused_until)
    return expires_at(facts, policy, plan.tz, now, plan._schedule(), paused_until)


def _kept_anyway(plan, storage):
    """Return in words why nothing is ever deleted in a storage, if so."""
    if not rules_for(plan, storage):
        return plan.env._("everything is kept")
    if storage.is_foreign:
        return plan.env._("the storage belongs to another database")
    if not storage.can_delete:
        return plan.env._("the storage deletes by its own rules")
    if not storage.can_list:
        return plan.env._("the storage cannot be listed")
    return ""


def preview(plan, storage):
    """Return what the clean-up after the next backup would do in one storage, as
    HTML."""
    title = Markup("<h4>%s</h4>") % storage.name
    kept = _kept_anyway(plan, storage)
    if kept:
        return title + Markup("<p>%s</p>") % _sentence(kept)
    policy = rules_for(plan, storage)._policy()
    if policy.problems():
        return title + Markup("<p class='text-danger'>%s</p>") % " ".join(
            translate(plan.env, problem) for problem in policy.problems()
        )
    copies = {str(copy.id): copy for copy in stored(plan._origin, storage)}
    facts = [copy._as_retention_copy() for copy in copies.values()]
    refused = plan_retention(facts, policy, plan.tz, _now()).refused
    if refused:
        told = translate(plan.env, refused)
        return title + Markup("<p class='text-danger'>%s</p>") % told
    ends = _ends(plan, facts, policy, _now())
    verdicts = _after_the_next(plan, facts, policy)
    going = [copies[v.identifier] for v in verdicts if not v.keep]
    freed = freed_in_words(storage._origin, going)
    summary = _summary(plan.env, going, copies) + freed
    return title + summary + _table(verdicts, copies, ends)


def _after_the_next(plan, facts, policy):
    """Return what becomes of each copy once there is one backup more."""
    moment = _next_backup(plan)
    coming = Copy(COMING, moment, verified=True)
    decision = plan_retention([*facts, coming], policy, plan.tz, moment)
    return [v for v in decision.verdicts if v.identifier != COMING]


def _next_backup(plan):
    """Return when the plan runs next; now, when somebody has to start it."""
    schedule, now = plan._schedule(), _now()
    if not schedule:
        return now
    return next_time(schedule, max(now, from_odoo_datetime(plan.paused_until) or now))


def _summary(env, going, copies):
    if not copies:
        text = env._("Nothing is stored here yet.")
    elif not going:
        text = env._("Nothing will be deleted after the next backup.")
    else:
        text = env._(
            "%(count)s of %(all)s backups (%(size)s) will be deleted after the next "
            "verified backup.",
            count=len(going),
            all=len(copies),
            size=size_in_words(env, sum(copy.size for copy in going)),
        )
    return Markup("<p>%s</p>") % text


def _table(verdicts, copies, ends):
    """Return the copies as a table, what goes first; nothing when there is none."""
    if not copies:
        return Markup()
    env = next(iter(copies.values())).env
    names = [
        env._("Date"),
        env._("Age"),
        env._("Size"),
        env._("Kept until"),
        env._("Reason Kept"),
    ]
    head = Markup().join(Markup("<th>%s</th>") % name for name in names)
    groups = [
        (env._("Deleted after the next backup"), [v for v in verdicts if not v.keep]),
        (env._("Kept"), [v for v in verdicts if v.keep]),
    ]
    body = Markup().join(_group(*group, copies, ends) for group in groups if group[1])
    return Markup(
        "<div class='table-responsive'><table class='table table-sm'>"
        "<thead><tr>%s</tr></thead>%s</table></div>"
    ) % (head, body)


def _group(title, verdicts, copies, ends):
    rows = Markup().join(
        _row(copies[verdict.identifier], verdict, ends) for verdict in verdicts
    )
    return Markup(
        "<tbody><tr class='table-active'><th colspan='5'>%s (%s)</th></tr>%s</tbody>"
    ) % (title, len(verdicts), rows)


def _row(copy, verdict, ends):
    end = ends[verdict.identifier]
    cells = [
        in_words(copy.env, copy.date),
        copy.age,
        size_in_words(copy.env, copy.size),
        in_words(copy.env, to_odoo_datetime(end)) if end and verdict.keep else "",
        reasons_in_words(copy.env, verdict.reasons),
    ]
    fate = "kept" if verdict.keep else "deleted"
    return Markup("<tr data-fate='%s' data-copy='%s' class='%s'>%s</tr>") % (
        fate,
        copy.id,
        "" if verdict.keep else "text-muted",
        Markup().join(Markup("<td>%s</td>") % cell for cell in cells),
    )


def reasons_in_words(env, reasons):
    """Return why a copy stays or goes: each reason once."""
    words = {
        "last": env._("one of the latest"),
        "hourly": env._("hourly"),
        "daily": env._("daily"),
        "weekly": env._("weekly"),
        "monthly": env._("monthly"),
        "yearly": env._("yearly"),
        "minimum": env._("always kept"),
        "within": env._("recent"),
        "foreign": env._("of another database"),
        "protected": env._("protected"),
        "running": env._("still being stored"),
        "unverified": env._("too few are verified"),
        "refused": env._("nothing is deleted now"),
        "surplus": env._("no rule matches"),
    }
    return ", ".join(dict.fromkeys(words[reason.rule] for reason in reasons))


def _sentence(words):
    return f"{words[:1].upper()}{words[1:]}."


def _now():
    return datetime.now(timezone.utc)
