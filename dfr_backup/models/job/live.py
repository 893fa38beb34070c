"""What runs tell whoever looks at them while they run."""

import logging
import time

import psycopg2

from odoo import SUPERUSER_ID, api
from odoo.sql_db import PoolError

_logger = logging.getLogger(__name__)

MESSAGE = "dfr_backup.job"
TELL_EVERY = 1.0  # seconds between two messages that only say how far a run is
POSTCOMMIT_KEY = "dfr_backup.live"

_last_told = {"news": (), "at": 0.0}  # of this process


def live_values(job):
    """Return how far a run is, in numbers, ids and states: what a message may hold."""
    job.ensure_one()
    step = job.step_ids.filtered(lambda step: step.state == "running")[:1]
    return {
        "id": job.id,
        "plan_id": job.plan_id.id,
        "kind": job.kind,
        "state": job.state,
        "cancel_requested": job.cancel_requested,
        "progress": round(job.progress, 1),
        "seconds_left": round(job.seconds_left),
        "step_id": step.id,
        "step_kind": step.kind,
        "bytes_done": step.bytes_done,
        "bytes_total": step.bytes_total,
        "speed": round(step.speed),
    }


def tell_after_commit(jobs):
    """Send a message about runs as soon as others can see what has changed."""
    cr, registry = jobs.env.cr, jobs.env.registry
    waiting = cr.postcommit.data.setdefault(POSTCOMMIT_KEY, set())
    if not waiting:
        cr.postcommit.add(lambda: _tell_committed(registry, waiting))
    waiting.update(jobs.ids)


def tell(jobs):
    """Send the state of runs to whoever may see them; progress alone once a second."""
    group = jobs.env.ref("dfr_backup.group_viewer")
    for job in jobs:
        values = live_values(job)
        news = (job.id, job.state, values["step_id"])
        too_soon = time.monotonic() - _last_told["at"] < TELL_EVERY
        if news == _last_told["news"] and too_soon:
            continue
        _last_told.update(news=news, at=time.monotonic())
        group._bus_send(MESSAGE, values)


def _tell_committed(registry, numbers):
    """Send what was committed, by a cursor of its own: a run never fails because of a
    message.

    Whoever does not get it looks again in a few seconds.
    """
    jobs = sorted(numbers)
    numbers.clear()
    try:
        with registry.cursor() as cr:
            env = api.Environment(cr, SUPERUSER_ID, {})
            tell(env["backup.job"].browse(jobs).exists())
    except (psycopg2.Error, PoolError) as error:
        _logger.info("No live message about a backup: %s", error)
