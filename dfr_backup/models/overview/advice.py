"""Can the data be restored after a disaster? What that depends on, the button for each
point, and the verdict."""

from datetime import timedelta

from odoo import fields

from ..plan.recipients import is_reachable

DISMISSED = "dfr_backup.dismissed_advice"
SETUP_STATE = "dfr_backup.setup"  # the page of the set-up to go on with
SETUP_DONE = "done"
PROOF_LASTS = timedelta(days=100)
TONES = ("success", "info", "warning", "danger")  # from good to bad


def _recent(env, lacking):
    title = env._("Recent backup available")
    text = env._("No backup within the plan's time limit.")
    button = env._("Run Backup Now")
    return _advise("recent", title, text, lacking, button, call="action_run_now")


def _setup(env, plans):
    state = setup_state(env)
    if not state and env["ir.config_parameter"].get_param(SETUP_STATE) != SETUP_DONE:
        return None  # set up by hand
    title = env._("Set-up completed")
    text = env._("Five short questions: storage, schedule, alerts, security.")
    lacking = plans[:1] if state else plans.browse()
    button = env._("Set Up") if state == "new" else env._("Continue")
    return _advise("setup", title, text, lacking, button, page="")


def _off_site(env, plans):
    title = env._("Off-site copy")
    text = env._(
        "A fire, a theft, a broken disk or an intruder takes the backups on this "
        "server together with the data. With two storages, one of them off-site: if "
        "one storage fails, the other still has your backup."
    )
    lacking = plans.filtered(lambda p: not _away(p) or len(p.storage_ids) < 2)
    waiting = (plans - lacking).filtered(is_only_here)
    if any(_is_whole(plan) for plan in plans - lacking - waiting):
        lacking = lacking.filtered(_is_whole)  # of the others this is a hint
        waiting = waiting.filtered(_is_whole)
    if waiting and not lacking:
        text = env._("No verified copy is off-site yet: the next backup stores one.")
        button = env._("Run Backup Now")
        return _advise("off_site", title, text, waiting, button, call="action_run_now")
    button = env._("Add a Storage")
    return _advise("off_site", title, text, lacking, button, page="where")


def is_only_here(plan):
    """Tell whether all backups of a plan are on its own server: no verified copy is
    off-site, whatever the plan says of those to come."""
    copies, away = plan.env["backup.copy"], _away(plan)
    mine = [("plan_id", "=", plan.id), ("storage_id", "in", away.ids)]
    return not (away and copies.search_count([*mine, *copies._countable()], limit=1))


def _away(plan):
    return plan.storage_ids.filtered(lambda storage: storage._is_off_site())


def _is_whole(plan):
    return plan.include_database and plan.include_filestore


def _encryption(env, plans):
    away = plans.filtered(_away)
    title = env._("Off-site backups are encrypted")
    text = env._("Anyone who can read the off-site storage can read the database.")
    lacking = away.filtered(lambda plan: plan.encryption == "none")
    return away and _advise(
        "encryption", title, text, lacking, env._("Encrypt"), page="safety"
    )


def _recovery_kit(env, plans):
    title = env._("Recovery kit downloaded")
    text = env._(
        "One page that says where the backups are and how to restore them. It "
        "contains no secrets. Keep it where you can reach it without this server."
    )
    lacking = plans.filtered(lambda plan: not plan.kit_downloaded_at)
    action = lacking and lacking[0].action_recovery_kit()
    return _advise("kit", title, text, lacking, env._("Download"), action=action)


def _verification(env, plans):
    title = env._("Backups are re-verified regularly")
    text = env._("Disks lose data unnoticed. Only reading the copies again finds that.")
    lacking = plans.filtered(lambda plan: plan.verify_every == "0")
    return _advise(
        "verification",
        title,
        text,
        lacking,
        env._("Schedule"),
        page="safety",
    )


def _drill(env, plans):
    title = env._("Restore tests are scheduled")
    text = env._(
        "A restore test restores the newest copy into a temporary database, checks "
        "it and drops it."
    )
    lacking = plans.filtered(lambda plan: plan.drill_every == "0")
    return _advise("drill", title, text, lacking, env._("Schedule"), page="safety")


def _proven(env, plans):
    title = env._("Restore test passed")
    text = env._("No restore test in the last months.")
    since = fields.Datetime.now() - PROOF_LASTS
    lacking = plans.filtered(
        lambda plan: not plan.last_proven or plan.last_proven < since
    )
    return _advise(
        "proven", title, text, lacking, env._("Run Restore Test"), call="action_drill"
    )


def _notification(env, plans):
    title = env._("Failure alerts are set up")
    text = env._("Without alerts, a failure goes unnoticed.")
    lacking = plans.filtered(lambda plan: not is_reachable(plan))
    trouble = (lacking[:1].alert_trouble or text).replace("\n", " ")
    return _advise(
        "notification",
        title,
        trouble,
        lacking,
        env._("Set Up Alerts"),
        page="who",
    )


def _advise(key, title, text, lacking, button, **leads_to):
    """Return one point: it is met when no plan is ``lacking``."""
    return {
        "key": key,
        "done": not lacking,
        "title": title,
        "text": text,
        "plans": ", ".join(lacking.mapped("name")),
        "plan_id": lacking[:1].id,
        "button": button,
        **leads_to,
    }


def advice_for(env, plans, cards):
    """Return the points, each with what it needs to be met.

    Each has a ``key``, ``done``, ``open`` (missing, and nobody has dismissed it),
    texts, and what its ``button`` leads to: a ``page`` of the set-up of the plan
    ``plan_id`` ("": all of it), a ``call`` of a method of that plan, or an
    ``action``.
    """
    if not plans:
        return []
    hidden = dismissed(env)
    states = {card["id"]: card["good"] for card in cards}
    recent = plans.filtered(lambda plan: states[plan.id] and not plan.is_overdue)
    found = [_recent(env, plans - recent)]
    found += [point(env, plans) for point in POINTS.values()]
    found = [item for item in found if item]
    for item in found:
        item["dismissed"] = item["key"] in hidden
        item["open"] = not item["done"] and not item["dismissed"]
    return found


def setup_state(env):
    """Return "new" before the set-up, "open" when it was left in the middle,
    else False."""
    state = env["ir.config_parameter"].sudo().get_param(SETUP_STATE)
    if state:
        return state != SETUP_DONE and "open"
    return not env["backup.job"].sudo().search_count([], limit=1) and "new"


def dismissed(env):
    names = env["ir.config_parameter"].sudo().get_param(DISMISSED, "")
    return set(filter(None, names.split(",")))


def verdict(env, plans, cards, problems, advice):
    """Return the answer to “Am I safe?”: does every plan have a verified backup in
    time, and is a complete one off-site? A state, its tone, a title, and the newest
    good backup."""
    goods = [card["good"] for card in cards if card["good"]]
    newest = max(goods, key=lambda good: good["date"], default=False)
    tones = [card["tone"] for card in cards] + [problem["tone"] for problem in problems]
    worst = max(tones, key=TONES.index, default="danger")
    if not cards:
        state = "no_plan"
        title = env._("Nothing is backed up: there is no plan")
    elif not newest and worst == "danger":
        state, title = "no_good", env._("No verified backup")
    elif not newest and any(card["state"] == "first" for card in cards):
        state, worst = "first", "info"
        title = env._("The first backup is running")
    elif not newest:
        state, title = "none_yet", env._("There is no backup yet")
    elif worst in ("danger", "warning"):
        state = "alarm" if worst == "danger" else "gap"
        title = _worst_in_words(env, worst, cards)
    elif _is_here_only(plans, advice):
        state, worst = "here_only", "warning"
        title = env._("Your data is backed up, on this server only")
    else:
        state, worst = "good", "success"
        title = env._("Your data is backed up")
    return {"state": state, "tone": worst, "title": title, "good": newest}


def _worst_in_words(env, tone, cards):
    """Return what the headline says when something is wrong. What it is stands below;
    of several plans, those that lack something are named."""
    state = env._("Backed up, with warnings")
    if tone == "danger":
        state = env._("Action needed")
    lacking = [card["name"] for card in cards if card["tone"] == tone]
    if len(cards) < 2 or not lacking:
        return state
    plans = ", ".join(lacking)
    return env._("%(plan)s: %(state)s", plan=plans, state=state)


def _is_here_only(plans, advice):
    """Tell whether no plan has its complete backups off-site, and nobody has said
    that this is right."""
    accepted = any(item["key"] == "off_site" and item["dismissed"] for item in advice)
    away = any(_is_whole(plan) and not is_only_here(plan) for plan in plans)
    return not away and not accepted


# the first is what all the others are for, and needs to know more: it cannot be
# dismissed
POINTS = {
    "setup": _setup,
    "off_site": _off_site,
    "encryption": _encryption,
    "kit": _recovery_kit,
    "verification": _verification,
    "drill": _drill,
    "proven": _proven,
    "notification": _notification,
}
