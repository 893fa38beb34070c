"""Runs of no plan that did not end well: as loud on the overview as a failed backup."""

from ..states import BAD_STATES

SHOWN = 20


def bad_without_plan(env):
    """Return the runs of no plan that did not end well and that still matter: no later
    run was about the same, nobody has dismissed them, and what they were about was not
    deleted."""
    loose = [("plan_id", "=", False), ("dismissed", "=", False)]
    bad = [*loose, ("state", "in", BAD_STATES)]
    found = env["backup.job"].search(bad, limit=SHOWN)
    return found.filtered(lambda job: not _is_past(job))


def _is_past(job):
    steps = job.step_ids
    copies = steps.copy_id
    if copies and set(copies.mapped("state")) == {"deleted"}:
        return True
    ended = ("state", "in", ("success", *BAD_STATES))
    later = [("kind", "=", job.kind), ended, ("id", ">", job.id)]
    if copies:
        later.append(("step_ids.copy_id", "in", copies.ids))
    elif steps.storage_id:
        later.append(("step_ids.storage_id", "in", steps.storage_id.ids))
    return bool(job.search_count(later, limit=1))


def what_it_was_about(job):
    """Return what a run was about: its copies, else its storages or files."""
    steps = job.step_ids
    return ", ".join(
        steps.copy_id.mapped("key")
        or steps.storage_id.mapped("name")
        or [job.archive_name or job.name]
    )
