"""What Odoo's own workers do for runs: start their processes, look after them, close
what has none any more. ``engine/policy/supervision.py`` decides."""

import logging
from datetime import timedelta

from odoo import fields

from ... import odoo_config, runner
from ...engine.errors import EngineError
from ...engine.errors.other import ForeignRun
from ...engine.errors.runs import NoWorker
from ...engine.messages import Message
from ...engine.policy.supervision import (
    CANCEL_PATIENCE,
    POSTPONE,
    WORKER_PATIENCE,
    Decision,
    RunFacts,
    after_loss,
    when_waiting,
)
from ...engine.postgres.sessions import end_sessions, held_lock
from ...runs import words
from ..locks import try_lock
from ..states import OPEN_STATES
from . import right_server, turn

_logger = logging.getLogger(__name__)

SUPERVISE_EVERY = timedelta(minutes=1)
# each server asks for due actions once a minute: when this one leaves runs alone, the
# next to ask must be another, and not this one again
LEAVE_TO_OTHERS = timedelta(seconds=10)
END_RUNNER = f"""
    SELECT pg_terminate_backend(pid) FROM pg_locks WHERE {held_lock("%s")}
"""  # noqa: S608 (nothing of it comes from outside)


def supervise(jobs):
    """Resume or close what lost its runner, then start the next waiting run. What
    another server has the files for is left to that one."""
    if not odoo_config.is_enabled():
        return
    _close_inherited_runs(jobs)
    other = right_server.other_server(jobs.env)
    mine = right_server.taken_here(other)
    for job in jobs.search([("state", "=", "running"), *mine]):
        if job._is_alive():
            _terminate_unresponsive(job)
        elif try_lock(job):
            resume_or_close(job)
    _start_waiting(jobs, mine)
    if jobs.search_count([("state", "in", OPEN_STATES)], limit=1):
        if other:
            _logger.info("Runs are left to another server: %s", other.in_full)
        pause = LEAVE_TO_OTHERS if other else SUPERVISE_EVERY
        jobs.env["backup.scheduler"]._wake_at(fields.Datetime.now() + pause)


def supervise_again(env):
    """Let the action look at a run that is about to be committed. What wakes it before
    may come too early to see that."""
    cron = env["backup.scheduler"]._cron()
    if cron:
        cron._trigger(fields.Datetime.now() + SUPERVISE_EVERY)


def spawn_after_commit(job):
    """Start a runner as soon as other processes can see this run and its turn has
    come, or leave it to a worker, or to another server."""
    job.ensure_one()
    if other := right_server.is_left(job):
        _logger.info("Backup %s is left: %s", job.name, other.in_full)
    elif odoo_config.starts_runs():
        turn.request_after_commit(job)
    else:
        _logger.info("Backup %s waits for a worker", job.name)
    supervise_again(job.env)


def let_wait(job, others):
    """Let a new run wait for others of its database, and say for which."""
    if not right_server.is_left(job):
        turn.tell_behind(job, turn.in_order(job | others))
    supervise_again(job.env)


def worker_problem(env):
    """Return NoWorker when a run has waited for one for some minutes."""
    if odoo_config.starts_runs():
        return None
    env.flush_all()
    since = runner.untaken_since(env.cr)
    if not since or fields.Datetime.now() - since < WORKER_PATIENCE:
        return None
    jobs = env["backup.job"].search([("state", "in", OPEN_STATES)])
    if any(map(turn.is_waiting, jobs)):
        return None  # a worker knows of it
    return NoWorker(since=fields.Datetime.to_string(since))


def _close_inherited_runs(jobs):
    """Close the runs that were open in the dump from which this database was restored.

    They belong to the original: going on with them would write into its storages.
    """
    for job in jobs.search([("state", "in", OPEN_STATES)]):
        if job._is_own():
            continue
        for step in job.step_ids.filtered(lambda step: step.state in OPEN_STATES):
            step._skip(Message(words.RESTORED_COPY))
        job._run_context().ending.close("cancelled", ForeignRun())


def resume_or_close(job):
    """Go on with a run whose runner died, or close it after too many attempts."""
    ending = job._run_context().ending
    # what waits for a worker, or for its turn, is looked at again and again
    waits = turn.says_so(job) or not odoo_config.starts_runs()
    level = logging.INFO if waits else logging.WARNING
    where = ending.interrupted_step()
    _logger.log(level, "Backup %s lost its runner in step %s", job.name, where)
    _end_leftovers(job)
    has_to_clean = job._run().needs_last_runner()
    decision = after_loss(_run_facts(job, has_to_clean), fields.Datetime.now())
    if decision is Decision.START and not turn.says_so(job):
        running = job.step_ids.filtered(lambda step: step.state == "running")[:1]
        running._note(Message(words.TRYING_AGAIN, attempt=job.attempt))
    elif decision is Decision.LEAVE_TO_WORKER:
        _logger.info("Backup %s waits for a worker", job.name)
    _carry_out(job, decision)


def _start_waiting(jobs, mine):
    """Start the run of the domain ``mine`` that waits and is next, when nothing
    runs. Let the others say where they stand."""
    now = fields.Datetime.now()
    # a moment that is too far away was set before the clock was put back
    ready = ["|", ("not_before", "=", False), "|", ("not_before", "<=", now)]
    ready += [("not_before", ">", now + 2 * POSTPONE)]
    ready += [("state", "=", "pending"), *mine]
    waiting = turn.in_order(jobs.search(ready))
    running = jobs.search([("state", "=", "running")])
    if not running:
        _start_first(waiting[:1], now)
    for job in waiting[0 if running else 1 :]:
        if try_lock(job) and job.state == "pending":
            turn.tell_behind(job, running | waiting)


def _start_first(job, now):
    if job and try_lock(job) and not job._is_alive():
        _carry_out(job, when_waiting(_run_facts(job), now))


def _run_facts(job, has_to_clean=False):
    return RunFacts(
        attempt=job.attempt,
        spawn_count=job.spawn_count,
        spawned_at=job.spawned_at or None,
        cancel_requested=job.cancel_requested,
        starts_runs=odoo_config.starts_runs(),
        has_to_clean=has_to_clean,
    )


def _carry_out(job, decision):
    ending = job._run_context().ending
    if decision is Decision.START:
        spawn_after_commit(job)
    elif decision is Decision.LEAVE_TO_WORKER:
        turn.tell(job)
    elif decision is Decision.CLOSE_CANCELLED:
        ending.cancel()
    elif decision is Decision.CLOSE_INTERRUPTED:
        ending.interrupt()
    elif decision is Decision.CLOSE_UNSTARTABLE:
        ending.close_unstartable()


def _terminate_unresponsive(job):
    """End a runner that has been asked to stop and does not listen, because it hangs:
    it dies with the session that holds its lock."""
    if (
        job.cancel_requested
        and job.write_date < fields.Datetime.now() - CANCEL_PATIENCE
    ):
        _logger.warning("Backup %s does not stop: its process is ended", job.name)
        job.env.cr.execute(END_RUNNER, [job.id])


def _end_leftovers(job):
    """End the database sessions of a runner that died."""
    database = job._run_context().database
    try:
        count = end_sessions(database.connection(), database.application_name())
    except EngineError:
        return
    if count:
        _logger.warning("Backup %s left %s database sessions: ended", job.name, count)
