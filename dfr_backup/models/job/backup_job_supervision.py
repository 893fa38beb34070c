"""What Odoo's own workers do for a run: start its runner, look after it, close it."""

import logging
from datetime import timedelta

from psycopg2.errors import SerializationFailure

from odoo import api, fields, models

from ... import odoo_config, runner
from ...engine.errors import EngineError
from ...engine.errors.command_line import DataFolderUnusable
from ...engine.errors.other import CancelledBy, ForeignRun
from ...engine.errors.runs import Interrupted, NotStarted, NoWorker
from ...engine.messages import Message
from ...engine.postgres.sessions import end_sessions
from ...runs import words
from ..states import OPEN_STATES
from .context import MAX_ATTEMPTS

_logger = logging.getLogger(__name__)

MAX_SPAWNS = 3  # runners that may be started without one of them taking the run up
SPAWN_PATIENCE = timedelta(minutes=1)
SUPERVISE_EVERY = timedelta(minutes=1)
POSTPONE = timedelta(minutes=10)
WORKER_PATIENCE = timedelta(minutes=5)
CANCEL_PATIENCE = timedelta(minutes=2)
END_RUNNER = """
    SELECT pg_terminate_backend(pid) FROM pg_locks
     WHERE locktype = 'advisory' AND classid = %s AND objid = %s
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class BackupJob(models.Model):
    _inherit = "backup.job"

    waits_for_worker = fields.Boolean(compute="_compute_waits_for_worker")

    @api.depends("state")
    def _compute_waits_for_worker(self):
        left_to_worker = not odoo_config.starts_runs()
        for job in self:
            job.waits_for_worker = left_to_worker and job.state == "pending"

    @api.model
    def _supervise(self):
        """Resume or close what lost its runner, then start the next waiting run."""
        if not odoo_config.is_enabled():
            return
        self._close_inherited_runs()
        for job in self.search([("state", "=", "running")]):
            if job._is_alive():
                job._terminate_unresponsive()
            elif job._hold():
                job._resume_or_close()
        self._start_waiting()
        if self.search_count([("state", "in", OPEN_STATES)], limit=1):
            soon = fields.Datetime.now() + SUPERVISE_EVERY
            self.env["backup.scheduler"]._wake_at(soon)

    @api.model
    def _supervise_again(self):
        """Let the action look at a run that is about to be committed. What wakes it
        before may come too early to see that."""
        cron = self.env["backup.scheduler"]._cron()
        if cron:
            cron._trigger(fields.Datetime.now() + SUPERVISE_EVERY)

    def _spawn_after_commit(self):
        """Start a runner as soon as other processes can see this run, or leave it to
        a worker."""
        self.ensure_one()
        if not odoo_config.starts_runs():
            _logger.info("Backup %s waits for a worker", self.name)
            self._supervise_again()
            return
        self.write(
            {"spawned_at": fields.Datetime.now(), "spawn_count": self.spawn_count + 1}
        )
        database, number, name = self.env.cr.dbname, self.id, self.uuid
        self.env.cr.postcommit.add(lambda: runner.spawn(database, number, name))
        self._supervise_again()

    def _is_starting(self):
        """Tell whether a process was started for this run so recently that it may
        still load."""
        if not self.spawned_at:
            return False
        # also when the clock was put back, or the one of the server that started it is
        # ahead
        return abs(fields.Datetime.now() - self.spawned_at) < SPAWN_PATIENCE

    def _is_alive(self):
        """Tell whether a runner holds this run's lock, which dies with its process."""
        self.env.cr.execute(
            "SELECT pg_try_advisory_xact_lock(%s, %s)", [runner.LOCK_CLASS, self.id]
        )
        return not self.env.cr.fetchone()[0]

    @api.model
    def _close_inherited_runs(self):
        """Close the runs that were open in the dump from which this database was
        restored.

        They belong to the original: going on with them would write into its storages.
        """
        for job in self.search([("state", "in", OPEN_STATES)]):
            if job._is_own():
                continue
            for step in job.step_ids.filtered(lambda step: step.state in OPEN_STATES):
                step._skip(Message(words.RESTORED_COPY))
            job._close("cancelled", ForeignRun())

    def _hold(self):
        """Lock this row; tell whether it still is what this transaction sees.

        The runner may have ended well after our snapshot was taken, and let go of its
        lock.
        """
        try:
            with self.env.cr.savepoint():
                return bool(self.try_lock_for_update())
        except SerializationFailure:
            return False

    def _resume_or_close(self):
        """Go on with a run whose runner died, or close it after too many attempts."""
        step = self.step_ids.filtered(lambda step: step.state == "running")[:1]
        where = self._interrupted_step()
        # what waits for a worker is looked at again and again
        level = logging.WARNING if odoo_config.starts_runs() else logging.INFO
        _logger.log(level, "Backup %s lost its runner in step %s", self.name, where)
        self._end_leftovers()
        last_runner = self._needs_a_last_runner()
        if self.cancel_requested and not last_runner:
            self._close_cancelled()
        elif self.attempt >= MAX_ATTEMPTS and not last_runner:
            self._close_interrupted(where)
        elif not odoo_config.starts_runs():
            _logger.info("Backup %s waits for a worker", self.name)
        elif self.spawn_count >= MAX_SPAWNS:
            # none of them has claimed the run yet; the last one may still be starting
            if not self._is_starting():
                self._close_unstartable()
        else:
            step._note(Message(words.TRYING_AGAIN, attempt=self.attempt))
            self._spawn_after_commit()

    def _needs_a_last_runner(self):
        """Tell whether one more runner is worth it: it removes what a storage may
        hold of this run's archive, because an Odoo worker may not wait for storages,
        or it closes a restore that was complete. One that dies as well is the last."""
        return self.attempt <= MAX_ATTEMPTS and self._run().needs_last_runner()

    def _interrupted_step(self):
        step = self.step_ids.filtered(lambda step: step.state == "running")[:1]
        return step._label() if step else Message(words.BETWEEN_STEPS)

    @api.model
    def _start_waiting(self):
        """Start the oldest run that waits, when nothing runs."""
        now = fields.Datetime.now()
        # a moment that is too far away was set before the clock was put back
        ready = ["|", ("not_before", "=", False), "|", ("not_before", "<=", now)]
        ready += [("not_before", ">", now + 2 * POSTPONE)]
        job = self.search([("state", "=", "pending"), *ready], order="id", limit=1)
        if (
            not job
            or not job._hold()
            or self.search_count([("state", "=", "running")], limit=1)
        ):
            return
        if job._is_starting() or job._is_alive() or not odoo_config.starts_runs():
            return
        if job.spawn_count < MAX_SPAWNS:
            job._spawn_after_commit()
        else:
            job._close_unstartable()

    @api.model
    def _worker_problem(self):
        """Return NoWorker when a run has waited for one for some minutes."""
        if odoo_config.starts_runs():
            return None
        self.env.flush_all()
        since = runner.untaken_since(self.env.cr)
        if not since or fields.Datetime.now() - since < WORKER_PATIENCE:
            return None
        return NoWorker(since=fields.Datetime.to_string(since))

    @api.model
    def _is_reading_filestore(self):
        """Tell whether a run may still read attachment files that were deleted
        meanwhile."""
        steps = self.env["backup.step"].sudo()
        reading = [("kind", "=", "archive_files"), ("state", "in", OPEN_STATES)]
        return bool(
            steps.search_count([*reading, ("job_id.state", "=", "running")], limit=1)
        )

    def _close_interrupted(self, where):
        self._close_broken(
            Interrupted(
                step=where,
                attempt=min(self.attempt, MAX_ATTEMPTS),
                log_file=self.runner_log,
            )
        )

    def _close_unstartable(self):
        log = runner.log_tail(self.uuid)
        error = NotStarted(log_file=self.runner_log, log=log)
        try:
            runner.open_log(self.uuid).close()
        except DataFolderUnusable as reason:
            error = reason
        self._close_broken(error)

    def _close_broken(self, error):
        for step in self.step_ids.filtered(lambda step: step.state in OPEN_STATES):
            if step.state == "running":
                step._fail(error)
            else:
                step._skip(Message(words.INTERRUPTED))
        self._run().remove_files()
        self._finish(error)

    def _close_cancelled(self):
        who = self.cancelled_by_id.name or Message(words.AN_ADMINISTRATOR)
        for step in self.step_ids.filtered(lambda step: step.state in OPEN_STATES):
            step._skip(Message(words.CANCELLED))
        self._run().remove_files()
        self._close("cancelled", CancelledBy(who=who))

    def _terminate_unresponsive(self):
        """End a runner that has been asked to stop and does not listen, because it
        hangs: it dies with the session that holds its lock."""
        if (
            self.cancel_requested
            and self.write_date < fields.Datetime.now() - CANCEL_PATIENCE
        ):
            _logger.warning("Backup %s does not stop: its process is ended", self.name)
            self.env.cr.execute(END_RUNNER, [runner.LOCK_CLASS, self.id])

    def _end_leftovers(self):
        """End the database sessions of a runner that died."""
        try:
            database = self._run_context().database
            count = end_sessions(database.connection(), database.application_name())
        except EngineError:
            return
        if count:
            _logger.warning(
                "Backup %s left %s database sessions: ended", self.name, count
            )
