"""What people and monitors are told about a run."""

from ...engine.messages import Joined
from ..engine_messages import displayed, size_in_words, translate
from ..moments import as_iso
from ..plan.mails import GREEN, RED, YELLOW, link_to, mail_facts
from ..states import BAD_STATES

COLORS = {"failure": RED, "partial": YELLOW}


def kind_in_words(job, env):
    kinds = dict(job._fields["kind"]._description_selection(env))
    return kinds.get(job.kind, job.kind)


def subject(job):
    """Return what a run is about: its plan, the backups that it reads, or its
    storages."""
    steps, env = job.step_ids, job.env
    copies = steps.copy_id
    if len(copies) > 1:
        about = env._("%s backups", len(copies))
    else:
        names = ", ".join(steps.storage_id.mapped("name"))
        about = _stored(copies, env) if copies else job.plan_id.name or names
    if not job.restore_database:
        return about
    return env._(
        "%(backup)s into %(database)s", backup=about, database=job.restore_database
    )


def _stored(copy, env):
    where = copy.sudo().storage_id.name
    return env._("%(backup)s in %(storage)s", backup=copy._moment(), storage=where)


def title(job):
    """Return what a run does and to what."""
    kind, about = kind_in_words(job, job.env), subject(job)
    if not about:
        return kind
    if job.step_ids.copy_id:
        return job.env._("%(kind)s of %(backup)s", kind=kind, backup=about)
    return f"{kind}: {about}"


def notice(job):
    """Return what a run has warned of so far and what it tries again, one a line."""
    told = [
        Joined([step._label(), line], ": ")
        for step in job.step_ids
        for line in [*step._warned(), step._failed_attempt()]
        if line
    ]
    return translate(job.env, Joined(told, "\n"))


def summary_line(job, plan, recovered=False):
    """Return how a run ended, in one line, in the language of ``plan``."""
    env = plan.env
    kind = kind_in_words(job, env)
    about = {"kind": kind, "plan": plan.name, "database": env.cr.dbname}
    if job.state == "failure":
        return env._("%(kind)s failed: %(plan)s (%(database)s)", **about)
    if job.state == "partial":
        return env._("%(kind)s partially succeeded: %(plan)s (%(database)s)", **about)
    if job.bad_packs:
        return env._("%(kind)s found damaged packs: %(plan)s (%(database)s)", **about)
    if job.unread_packs:
        return env._("%(kind)s could not read packs: %(plan)s (%(database)s)", **about)
    if job.size_drop:
        drop = {**about, "drop": job.size_drop}
        return env._("%(kind)s is %(drop)s%% smaller: %(plan)s (%(database)s)", **drop)
    if recovered:
        return env._("%(kind)s is working again: %(plan)s (%(database)s)", **about)
    return env._("%(kind)s succeeded: %(plan)s (%(database)s)", **about)


def size_drop_in_words(job, env):
    """Return what is the matter with an archive that is much smaller, and what to do,
    in the language of ``env``."""
    return (
        env._("The backup is %s%% smaller than the previous ones.", job.size_drop),
        env._(
            "Unless someone has deleted that much, data is missing: compare it with "
            "an older backup, and protect that one until you know."
        ),
    )


def bad_packs_in_words(job, env):
    """Return what is the matter with packs that a run has found damaged, and what to
    do, in the language of ``env``."""
    return (
        env._(
            "Damaged packs of attachments: %s. The backups that need them are marked "
            "as damaged.",
            job.bad_packs,
        ),
        env._(
            "Check the disk or the service behind the storage. Until the next "
            "backups, rely on copies in another storage: new backups store again what "
            "the server still has."
        ),
    )


def unread_packs_in_words(job, env):
    """Return what is the matter with packs that could not be read in several nights,
    and what to do, in the language of ``env``."""
    return (
        env._(
            "Packs of attachments that could not be read for more than one night: %s. "
            "The backups that need them cannot be relied on.",
            job.unread_packs,
        ),
        env._(
            "Check the disk or the service behind the storage: the log of the run says "
            "which packs, and why. Until then, rely on copies in another storage."
        ),
    )


def new_in_words(job):
    """Return how much of an incremental backup its run has stored; "" for others."""
    copies = job.copy_ids
    if not (job.incremental and copies):
        return ""
    new = {int(copy.new_size + job.archive_size) for copy in copies}
    return job.env._(
        "%(new)s new of %(all)s",
        new=size_in_words(job.env, max(new)),
        all=size_in_words(job.env, job.archive_size + job.packed_size),
    )


def compose_mail(job, plan, recovered):
    """Return the values of the mail about a run, in the language of ``plan``."""
    local = job.with_env(plan.env)
    found = local.size_drop or local.bad_packs or local.unread_packs
    state = "partial" if found else local.state
    return {
        "title": summary_line(local, plan, recovered),
        "color": COLORS.get(state, GREEN),
        "intro": False,
        "problems": _problems(local),
        "facts": [
            (plan.env._("Run"), local.name),
            (plan.env._("Started"), plan._in_words(local.date_start)),
            *mail_facts(plan),
        ],
        "link": link_to(plan, job),
        "button": plan.env._("Open the Run"),
    }


def _problems(job):
    """Return what went wrong, as dicts of what, why and todo."""
    failed = job.step_ids.filtered(lambda step: step.state == "failure")
    problems = [
        _problem(translate(job.env, step._label(step.error)), step) for step in failed
    ]
    for found, in_words in (
        (job.size_drop, size_drop_in_words),
        (job.bad_packs, bad_packs_in_words),
        (job.unread_packs, unread_packs_in_words),
    ):
        if found:
            why, todo = in_words(job, job.env)
            problems.append({"what": False, "why": why, "todo": todo})
    if problems or job.state not in BAD_STATES:
        return problems
    return [_problem(False, job)]


def _problem(what, told):
    why = displayed(told, "error")
    if told.error_code:
        why = f"{why} [{told.error_code}]"
    return {"what": what, "why": why, "todo": displayed(told, "hint")}


def summary_for_monitors(job):
    """Return a run as a JSON object. Times are UTC, sizes are bytes."""
    return {
        "database": job.env.cr.dbname,
        "plan": job.plan_id.name,
        "run": job.name,
        "uuid": job.uuid,
        "kind": job.kind,
        "state": job.state,
        "started_at": as_iso(job.date_start),
        "ended_at": as_iso(job.date_end),
        "seconds": job.duration,
        "size": int(job.archive_size),
        "incremental": job.incremental,
        "packed_size": int(job.packed_size),
        "new_size": {
            copy.storage_id.name: int(copy.new_size)
            for copy in job.copy_ids
            if copy.incremental
        },
        "smaller_by": job.size_drop,
        "warnings": job.warning_count,
        "error": job.error or None,
        "hint": job.hint or None,
        "error_code": job.error_code or None,
        "last_good": as_iso(job.plan_id.last_success),
        "url": link_to(job.plan_id, job),
        "steps": [
            {
                "kind": step.kind,
                "storage": step.storage_id.name or None,
                "state": step.state,
                "seconds": step.seconds,
                "error": step.error or None,
                "error_code": step.error_code or None,
            }
            for step in job.step_ids
        ],
    }
