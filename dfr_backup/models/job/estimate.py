"""How long the rest of a run takes."""

from ...engine.policy.eta import StepTime, seconds_left
from ...runs.registry import step_kind


def estimate_seconds_left(job):
    """Return how many seconds the rest of a run takes, 0 when that is not known."""
    before = _seconds_before(job)
    times = [
        _time_of(step, before.get((step.kind, step.storage_id.id)))
        for step in job.step_ids
        if step.state in ("running", "pending")
    ]
    return seconds_left(times) or 0


def _time_of(step, before):
    if step._failed_attempt():
        return StepTime()  # nothing moves
    if step.state == "pending":
        return StepTime(before)
    return StepTime(before, step.duration, step.bytes_done, step.bytes_total)


def _seconds_before(job):
    """Return what each step took in the last good run of the plan, by kind and
    storage."""
    same = [("plan_id", "=", job.plan_id.id), ("kind", "=", job.kind)]
    good = [("state", "=", "success"), ("id", "<", job.id)]
    last = job.search([*same, *good], limit=1)
    quick = job.step_ids.filtered(lambda step: step_kind(step.kind).quick)
    return {
        **{(step.kind, step.storage_id.id): 1 for step in quick},
        **{(step.kind, step.storage_id.id): step.seconds for step in last.step_ids},
    }
