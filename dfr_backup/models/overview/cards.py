"""What the overview shows of each plan, each storage and each open run."""

from ..copy.states import PRESENT_STATES
from ..job.in_words import kind_in_words
from ..job.live import live_values
from ..plan.copies import backup_runs
from ..plan.in_words import contents_in_words, schedule_in_words
from ..states import OPEN_STATES
from ..storage.health import health_of
from .advice import is_only_here
from .growth import last_change

STRIP = 30  # runs of a plan that the overview shows


def plan_card(env, plan, last):
    """Return what the card of one plan shows. ``last`` is the last of its runs
    that ended."""
    runs = env["backup.job"].search(backup_runs(plan), limit=STRIP)
    good = _last_good(env, plan)
    is_running = any(job.state in OPEN_STATES for job in runs)
    state, tone, label = _plan_state(env, plan, last, good, is_running)
    return {
        "id": plan.id,
        "name": plan.name,
        "schedule": schedule_in_words(plan),
        "contents": contents_in_words(plan),
        "storages": plan.storage_ids.mapped("name"),
        "next_run": plan.next_run,
        "state": state,
        "tone": tone,
        "label": label,
        "only_here": is_only_here(plan),
        "good": good,
        "proof": plan.last_proven,
        "proof_seconds": plan.last_proven_seconds,
        "runs": [_run(env, job) for job in reversed(runs)],
        "change": last_change(env, runs),
    }


def _run(env, job):
    states = dict(job._fields["state"]._description_selection(env))
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "label": states[job.state],
        "date": job.date_start or job.create_date,
        "duration": job.duration,
        "size": job.archive_size,
    }


def last_ended(env, plan, kind="backup"):
    """Return the last run of ``plan`` that was not stopped by somebody; maybe
    empty."""
    mine = [("plan_id", "=", plan.id), ("kind", "=", kind)]
    ended = ("state", "not in", (*OPEN_STATES, "cancelled"))
    return env["backup.job"].search([*mine, ended], limit=1)


def _last_good(env, plan):
    """Return the newest backup that is complete, verified and still there, or
    False."""
    copies = env["backup.copy"]
    mine = [("plan_id", "=", plan.id), *copies._countable()]
    newest = copies.search(mine, limit=1)
    backup = newest.backup_id
    if not backup:
        return False
    there = backup.copy_ids.filtered_domain(copies._countable(PRESENT_STATES))
    return {
        "job_id": backup.job_id.id,
        "date": backup.date,
        "size": backup.size + newest.packed_size,
        "verified_at": newest.verified_at,
        "storages": there.storage_id.mapped("name"),
        "missing": (plan.storage_ids - there.storage_id).mapped("name"),
    }


def has_restorable(env):
    """Tell whether a copy is there that can be restored, of whatever plan and
    database: on a new server, those that a scan has found have none of its plans."""
    there = [("state", "in", PRESENT_STATES)]
    return bool(env["backup.copy"].search_count(there, limit=1))


def _plan_state(env, plan, last, good, is_running):
    """Return the state of a plan: a key, a tone and the words."""
    if plan.is_overdue:
        return "overdue", "danger", env._("Overdue")
    if not last and is_running:
        return "first", "info", env._("First backup")
    if not last:
        return "never", "warning", env._("No backup yet")
    if last.state == "failure":
        return "failure", "danger", env._("The last run failed")
    if not good:
        return "gone", "danger", env._("No verified backup left")
    if last.state == "partial":
        return "partial", "warning", env._("The last run partially succeeded")
    return "good", "success", env._("Backed up")


def storage_cards(env, healths, forecasts):
    """Return what is shown of each storage: how it is, and what becomes of it."""
    fields_of = env["backup.storage"]._fields
    providers = dict(fields_of["provider"]._description_selection(env))
    used = env["backup.plan"].search([("active", "=", True)]).storage_ids
    lost = [("state", "=", "missing"), ("storage_id", "in", [s.id for s in healths])]
    missing = dict(env["backup.copy"]._read_group(lost, ["storage_id"], ["__count"]))
    newest = _newest_incremental(env)
    return [
        {
            "id": storage.id,
            "name": storage.name,
            "provider": providers[storage.provider],
            "off_site": storage._is_off_site(),
            "count": storage.copy_count,
            "size": storage.copy_size,
            "missing": missing.get(storage, 0),
            "packs_size": storage.packs_size,
            "unneeded_size": storage.unneeded_size,
            **_new_in(newest.get(storage)),
            "free": storage.free_space if storage.space_at else None,
            "used": storage in used,
            **health,
            **forecasts[storage],
        }
        for storage, health in healths.items()
    ]


def _newest_incremental(env):
    """Return the newest incremental backup that a run has stored, by storage."""
    stored = [("origin", "=", "run"), ("state", "in", PRESENT_STATES)]
    found = env["backup.copy"]._read_group(
        [("incremental", "=", True), *stored], ["storage_id"], ["id:max"]
    )
    copies = env["backup.copy"].browse(number for _storage, number in found)
    return {copy.storage_id: copy for copy in copies}


def _new_in(copy):
    """Return how much a backup has added to its storage, and the plan whose form says
    what its retention would free."""
    if not copy:
        return {"new_size": 0, "plan": False}
    plan = copy.plan_id.filtered("active").id
    return {"new_size": copy.size + copy.new_size, "plan": plan}


def storage_healths(env):
    """Return how each active storage is, by storage."""
    return health_of(env["backup.storage"].search([("active", "=", True)]))


def open_runs(env):
    """Return the runs that are open, the one that goes on first."""
    jobs = env["backup.job"].search([("state", "in", OPEN_STATES)], limit=STRIP)
    return [
        {
            **live_values(job),
            "name": job.name,
            "label": kind_in_words(job, env),
            "step": job.current_step,
        }
        for job in jobs.sorted(lambda job: (job.state != "running", job.id))
    ]
