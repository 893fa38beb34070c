"""When the turn of a run comes that waits for a slot of its server: what is asked of
the queue for it, and what the run says meanwhile."""

import time
from datetime import timezone

from odoo import fields

from ... import run_queue
from ...engine.errors.runs import WaitsForRun
from ...engine.queue.tickets import Ticket
from ...odoo_config import server_name
from ...runs.registry import run_kind
from ..engine_messages import error_columns, stored_text
from .estimate import estimate_seconds_left


def goes_before(job, others):
    """Tell whether a run need not wait for any of the others, which wait as well."""
    return all(_priority(job) < _priority(other) for other in others)


def request_after_commit(job):
    """Let a run begin, as soon as other processes can see it, or wait for its turn."""
    ticket = _ticket(job)
    reason = run_queue.why_it_waits(ticket)
    waits = isinstance(reason, run_queue.WAITS)
    _tell(job, reason)
    if not waits:  # what cannot start for want of slots is not tried for ever
        started = {"spawn_count": job.spawn_count + 1}
        job.write({"spawned_at": fields.Datetime.now(), **started})
    job.env.cr.postcommit.add(lambda: run_queue.request(ticket, is_counted=not waits))


def tell(job):
    """Let a run that others start say where it stands."""
    ticket = _ticket(job)
    waits = run_queue.is_waiting(ticket.database, ticket.run)
    _tell(job, run_queue.why_it_waits(ticket) if waits else None)


def tell_behind(job, order):
    """Let a run say that it waits for those of its database that are before it in
    ``order``."""
    ahead = order[: order.ids.index(job.id)]
    first = ahead[0]
    moment = time.time() if _runs(first) else run_queue.begins_at(_ticket(first))
    for other in ahead:
        seconds = estimate_seconds_left(other)
        moment = moment + seconds if moment and seconds else None
    about = {"run": first.name, "before": len(ahead)}
    _tell(job, run_queue.waits(WaitsForRun, moment, **about))


def in_order(jobs):
    """Return runs of this database in the order in which their turns come."""
    return jobs.sorted(lambda job: (job.state != "running", *_rank(job)))


def obstacle(job):
    """Return why no run can start on this server, None when one can."""
    reason = run_queue.why_it_waits(_ticket(job))
    return None if isinstance(reason, run_queue.WAITS) else reason


def leave_after_commit(job):
    """Let a run that was closed wait no longer."""
    database, run = job.env.cr.dbname, job.uuid
    job.env.cr.postcommit.add(lambda: run_queue.leave(database, run))


def is_waiting(job):
    """Tell whether somebody who starts runs knows of this one: it waits for others."""
    return run_queue.is_waiting(job.env.cr.dbname, job.uuid)


def has_to_wait(job):
    """Tell whether no process was started for a run that is open."""
    return job.state == "pending" and (is_waiting(job) or not job.spawn_count)


def says_so(job):
    """Tell whether a run was told that it waits for its turn."""
    return job.error_code in run_queue.WAITING_CODES


def place_of(job):
    """Return where a run stands that says that it waits, None for another one:
    ``before``, how many runs are before it, and ``expected``, when its turn comes in
    UTC, None where nobody knows."""
    if not says_so(job):
        return None
    values = {}
    for name in ("error", "hint"):
        values.update(getattr(stored_text(job, name), "values", {}))
    return {"before": values.get("before"), "expected": values.get("expected")}


def _tell(job, reason):
    """Write down why a run waits, or that it no longer does, unless it says so."""
    if reason is None and job.error_code not in run_queue.CODES:
        return
    columns = error_columns(reason)
    if any((job[name] or False) != value for name, value in columns.items()):
        job.write(columns)


def _runs(job):
    return job.state == "running" and not says_so(job)


def _rank(job):
    return _priority(job), job.id


def _priority(job):
    return run_kind(job.kind).priority


def _ticket(job):
    put_off = job.not_before and job.not_before <= fields.Datetime.now()
    since = job.not_before if put_off else job.create_date
    seconds = round(estimate_seconds_left(job))
    return Ticket(
        server_name(),
        job.env.cr.dbname,
        job.id,
        job.uuid,
        since.replace(tzinfo=timezone.utc).timestamp(),
        _priority(job),
        seconds or None,
    )
