"""What the overview calls wrong, and the button for each."""

from ... import odoo_config
from ...engine.errors import EngineError
from ...engine.errors.identity import NotOriginal
from ...engine.errors.runs import ActionOff, SwitchedOff
from ..actions import form_action
from ..engine_messages import displayed, format_error, translate
from ..job.in_words import kind_in_words, size_drop_in_words
from ..pause import pause_problem
from ..storage.location import sharing_in_words
from .cards import last_ended
from .forecast import full_in
from .loose_runs import bad_without_plan, what_it_was_about

FULL_SOON = 7  # days


def all_problems(env, lasts, healths):
    """Return what is wrong, the worst first. Each has a tone, a text and an action.

    ``lasts`` holds the last run that ended of each plan, ``healths`` how each storage
    is.
    """
    found = identity_problems(env) + scheduler_problems(env) + _profile_problems(env)
    found += _pause_problems(env)
    for plan, last in lasts.items():
        found += plan_problems(env, plan, last)
    for storage, health in healths.items():
        found += _storage_problems(env, storage, health["state"])
    found += loose_problems(env)
    found += _lost_copies(env)
    found += _unseen_copies(env)
    found += _lost_files(env)
    return sorted(found, key=lambda problem: problem["tone"] != "danger")


def identity_problems(env):
    """Return why nothing is deleted and nobody pinged, and since when."""
    identities = env["backup.identity"]
    error = identities._objection()
    if not error:
        return []
    switched_off = isinstance(error, SwitchedOff)
    title = env._("Backups are added, but none is deleted")
    if switched_off:
        title = env._("Backups are switched off on this server")
    since = identities._since() if isinstance(error, NotOriginal) else 0
    days = env._("For %s days now: the storage is filling up.", since)
    full = _days_until_full_in_words(env) if not switched_off else ""
    told = format_error(env, error)
    text = _sentences(told, days if since else "", full)
    action = env["ir.actions.act_window"]._for_xml_id(
        "dfr_backup.backup_storage_action"
    )
    button = env._("Open Storages")
    kind = "switched_off" if switched_off else "identity"
    about = {"button": button, "code": error.code}
    return [make_problem(env, kind, "danger", title, text, action, **about)]


def _profile_problems(env):
    """Return what is wrong with the profile of the server: once, not for each of its
    storages."""
    error = _profile_error()
    if not error:
        return []
    action = env["ir.actions.act_window"]._for_xml_id(
        "dfr_backup.backup_storage_action"
    )
    title = env._("The server's profile cannot be used")
    text = format_error(env, error)
    button = env._("Open Storages")
    about = {"button": button, "code": error.code}
    return [make_problem(env, "profile", "danger", title, text, action, **about)]


def _profile_error():
    try:
        odoo_config.profile()
    except EngineError as error:
        return error
    return None


def _days_until_full_in_words(env):
    storages = env["backup.storage"].search([("active", "=", True)])
    found = full_in(storages.filtered("identity_problem"))
    left = {storage: days for storage, days in found.items() if days is not None}
    if not left:
        return ""
    first = min(left, key=left.get)
    return env._(
        "At the current rate, “%(storage)s” will be full in %(days)s days.",
        storage=first.name,
        days=left[first],
    )


def scheduler_problems(env):
    """Return what is wrong with the action that starts all runs. Looking heals it,
    but for one that somebody has switched off: a button does that."""
    error = env["backup.scheduler"]._look()
    if not error:
        return []
    action = env["ir.actions.act_window"]._for_xml_id("dfr_backup.backup_plan_action")
    problem = make_problem(
        env,
        "scheduler",
        "danger",
        translate(env, error.message),
        translate(env, error.hint),
        action,
        button=env._("Open Plans"),
        code=error.code,
    )
    if isinstance(error, ActionOff):
        button = env._("Switch On")
        problem.update(call="switch_scheduler_on", button=button)
    return [problem]


def _pause_problems(env):
    """Return who has paused the backups, and how they are resumed."""
    error = pause_problem(env)
    if not error:
        return []
    title = env._("Backups are paused")
    text = format_error(env, error)
    action = env["ir.actions.act_window"]._for_xml_id("dfr_backup.backup_plan_action")
    about = {"button": env._("Open Plans"), "code": error.code}
    return [make_problem(env, "paused", "warning", title, text, action, **about)]


def plan_problems(env, plan, last):
    """Return what is wrong with a plan, given the last backup of it that ended."""
    return _backup_problems(env, plan, last) + _check_problems(env, plan)


def _backup_problems(env, plan, last):
    """Return one problem, however many signs there are of it."""
    if last.state == "failure":
        title = env._("%s: the last run failed", plan.name)
        return [job_problem(env, "failure", "danger", title, last)]
    if plan.is_overdue:
        title = env._("%s: overdue", plan.name)
        text = _sentences(plan.overdue_reason, plan.overdue_remedy)
        return [
            make_problem(env, "overdue", "danger", title, text, form_action(plan), plan)
        ]
    if last.state == "partial":
        title = env._("%s: the last run partially succeeded", plan.name)
        return [job_problem(env, "partial", "warning", title, last)]
    if last.size_drop:
        title = env._("%s: the last backup is much smaller", plan.name)
        text = _sentences(*size_drop_in_words(last, env))
        return [_run_problem(env, "size_drop", "warning", title, text, last)]
    return []


def _check_problems(env, plan):
    """Return what the last looks at stored copies have found."""
    titles = {
        "verify": env._("%s: the last verification failed", plan.name),
        "drill": env._("%s: the last restore test failed", plan.name),
        "prune": env._("%s: the last prune failed", plan.name),
    }
    lasts = [
        (kind, title, last_ended(env, plan, kind)) for kind, title in titles.items()
    ]
    return [
        job_problem(env, kind, "danger", title, job)
        for kind, title, job in lasts
        if job.state in ("failure", "partial")
    ]


def job_problem(env, kind, tone, title, job):
    text = _sentences(displayed(job, "error"), displayed(job, "hint"))
    problem = _run_problem(env, kind, tone, title, text, job, job.error_code)
    storage = job.failed_storage_id
    return {**problem, "storage": form_action(storage) if storage else False}


def _run_problem(env, kind, tone, title, text, job, code=None):
    about = {"record": job, "button": env._("Open Run"), "code": code}
    return make_problem(env, kind, tone, title, text, form_action(job), **about)


def _storage_problems(env, storage, health):
    name, action = storage.name, form_action(storage)
    if storage.is_foreign:
        title = env._("%s: read-only here", name)
        text = env._(
            "It belongs to the database that this one is a copy of. Nothing is stored "
            "there."
        )
        return [make_problem(env, "foreign", "danger", title, text, action, storage)]
    used = _is_used(env, storage)
    if storage.profile_problem and not _profile_error():
        title = env._("%s: no longer configured by the server", name)
        text, tone = storage.profile_problem, "danger" if used else "warning"
        return [make_problem(env, "section", tone, title, text, action, storage)]
    if health == "test_failed":
        title = env._("%s: the last test failed", name)
        text = displayed(storage, "last_test_error")
        tone = "danger" if used else "warning"
        about = {"record": storage, "code": storage.last_test_error_code}
        return [make_problem(env, "test", tone, title, text, action, **about)]
    if used and storage.is_shared:
        title = env._("%s: shared with other databases", name)
        text = sharing_in_words(storage)
        return [make_problem(env, "shared", "warning", title, text, action, storage)]
    if used and health == "never" and storage._is_off_site():
        title = env._("%s: never tested", name)
        text = env._("Nothing has been stored there yet, so it may not work.")
        return [make_problem(env, "untested", "warning", title, text, action, storage)]
    return []


def space_problems(env, forecasts):
    """Return which storages will be full soon, given what becomes of each."""
    return [
        _space_problem(env, storage, forecast["full_in"])
        for storage, forecast in forecasts.items()
        if forecast["full_in"] is not None and forecast["full_in"] <= FULL_SOON
    ]


def _space_problem(env, storage, days):
    about = {"storage": storage.name, "days": days}
    title = env._("%(storage)s: full in about %(days)s days", **about)
    text = env._(
        "This is at the current rate of growth. Free some space, or keep "
        "fewer backups there."
    )
    return make_problem(
        env, "space", "warning", title, text, form_action(storage), storage
    )


def _is_used(env, storage):
    uses = [("storage_ids", "in", storage.ids)]
    return bool(env["backup.plan"].search_count(uses, limit=1))


def _lost_copies(env):
    lost = [("state", "in", ("damaged", "missing"))]
    count = env["backup.copy"].search_count(lost)
    if not count:
        return []
    action = env["ir.actions.act_window"]._for_xml_id("dfr_backup.backup_copy_action")
    title = env._("Damaged or missing copies: %s", count)
    text = env._("These backups can no longer be restored from there.")
    action = {**action, "domain": lost, "context": {}}
    button = env._("Show")
    return [make_problem(env, "copies", "danger", title, text, action, button=button)]


def _unseen_copies(env):
    unseen = [("state", "=", "unknown"), ("storage_id.active", "=", True)]
    count = env["backup.copy"].search_count(unseen)
    if not count:
        return []
    action = env["ir.actions.act_window"]._for_xml_id("dfr_backup.backup_copy_action")
    title = env._("Copies not confirmed: %s", count)
    text = env._(
        "The address of their storage has changed. They count again once a scan has "
        "found them."
    )
    action = {**action, "domain": unseen, "context": {}}
    button = env._("Show")
    return [make_problem(env, "unseen", "warning", title, text, action, button=button)]


def _lost_files(env):
    count = env["backup.filestore.issue"].search_count([("state", "=", "open")])
    if not count:
        return []
    action = env["ir.actions.act_window"]._for_xml_id(
        "dfr_backup.backup_filestore_issue_action"
    )
    title = env._("Attachments with a missing or damaged file: %s", count)
    text = env._("An older backup may still have the intact file and can restore it.")
    button = env._("Show")
    return [make_problem(env, "files", "warning", title, text, action, button=button)]


def make_problem(
    env, kind, tone, title, text, action, record=None, button=None, code=None
):
    return {
        "key": f"{kind}:{record}",
        "kind": kind,
        "code": code or None,
        "call": False,
        "storage": False,
        "dismiss": False,
        "tone": tone,
        "title": title,
        "text": text or "",
        "action": action,
        "button": _button(env, record) if button is None else button,
    }


def _button(env, record):
    if record._name == "backup.storage":
        return env._("Open Storage")
    return env._("Open Plan")


def loose_problems(env):
    """Return what became of runs of no plan, for example of a restore that was
    started from a stored backup."""
    return [_loose_problem(env, job) for job in bad_without_plan(env)]


def _loose_problem(env, job):
    kind = kind_in_words(job, env)
    about = {"kind": kind, "run": job.name, "what": what_it_was_about(job)}
    if job.state == "partial":
        title = env._("%(kind)s %(run)s partially succeeded: %(what)s", **about)
    else:
        title = env._("%(kind)s %(run)s failed: %(what)s", **about)
    tone = "danger" if job._run().loud else "warning"
    problem = job_problem(env, job.kind, tone, title, job)
    return {**problem, "dismiss": job.id}


def _sentences(*texts):
    return " ".join(filter(None, texts))
