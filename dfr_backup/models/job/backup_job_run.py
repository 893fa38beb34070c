"""What the detached runner does with a run: perform it, and write down what
happened."""

import logging
from datetime import timedelta

from psycopg2.errors import SerializationFailure

from odoo import fields, models

from ... import runner
from ...engine.errors import Cancelled, Deferred
from ...engine.errors.runs import NoReason, StepFailed, UnknownKind, UnknownState
from ...engine.messages import Message
from ...engine.policy.outcome import StepOutcome
from ...runs import words
from ...runs.state import RunState
from ..engine_messages import error_columns, stored_error
from ..states import OPEN_STATES
from .backup_job_supervision import POSTPONE
from .context import MAX_ATTEMPTS

_logger = logging.getLogger(__name__)

KEEP_ARCHIVE = timedelta(days=3)
PERSIST_TRIES = 5


class BackupJob(models.Model):
    _inherit = "backup.job"

    def _perform(self):
        """Do what is left of this run, from its first open step on."""
        self.ensure_one()
        run = self._run()
        if run.recover():
            self._finish()
            return
        try:
            self._check_cancel()
            if self.attempt > MAX_ATTEMPTS:
                run.give_up()
                self._close_interrupted(self._interrupted_step())
                return
            self._forget_failed_cleanup()
            if not self._is_state_known():
                run.begin_again(Message(words.STARTING_AGAIN, problem=UnknownState()))
            run.run()
        except Cancelled:
            run.abandon()
            self._close_cancelled()
        except UnknownKind as error:
            self._close_broken(error)
        except Deferred as error:
            self._wait(error)
        else:
            self._finish()

    def _forget_failed_cleanup(self):
        """Let a later attempt clean up once more: a process that could not do even
        that, for want of memory perhaps, has not closed the run either."""
        cleanup = self._step("cleanup")
        if cleanup.state == "failure":
            cleanup._reset()

    def _wait(self, error):
        """Stop here; the supervisor starts the next attempt in a while.

        When another run of the plan waits already, that one is the next attempt: a plan
        has at most one waiting run.
        """
        self._run().remove_files()
        other = self._waiting_alike()
        if other:
            self._yield_to(other, error)
            return
        self._persist(
            self,
            {
                "state": "pending",
                "not_before": fields.Datetime.now() + POSTPONE,
                "spawned_at": False,
                "spawn_count": 0,
                **error_columns(error),
            },
        )
        _logger.info("Backup %s waits: %s", self.name, error.message)

    def _yield_to(self, other, error):
        reason = Message(words.REPLACED, run=other.name)
        for step in self.step_ids.filtered(lambda step: step.state in OPEN_STATES):
            step._skip(reason)
        self._hand_over(other)
        error.hint = reason
        self._close("cancelled", error)

    def _check_cancel(self):
        """Raise ``Cancelled`` when somebody asked for it.

        A runner writes its sign of life into its steps, never into this row: otherwise
        whoever asks would have to be quicker than the runner between two of its writes.
        """
        runner.heartbeat()
        if self.cancel_requested:
            raise Cancelled()

    def _persist(self, records, values):
        """Write, and in the runner also commit: whoever looks sees it at once.

        The runner's cursor records nothing but what happened, and each write stands for
        itself; between two of them no transaction may stay open. When a user changes
        the same row in the same moment, the write is simply made once more.
        """
        if not runner.is_runner(self.env):
            records.write(values)
            return
        for tries_left in reversed(range(PERSIST_TRIES)):
            try:
                records.write(values)
                self.env.cr.commit()  # pylint: disable=invalid-commit
                break
            except SerializationFailure:
                self.env.cr.rollback()
                if not tries_left:
                    raise
            finally:
                self.env.invalidate_all()

    def _roll_back(self):
        """In the runner, drop what a step that failed has left in its transaction."""
        if runner.is_runner(self.env):
            self.env.cr.rollback()
            self.env.invalidate_all()

    def _finish(self, error=None):
        """Close the run with the state that follows from its steps."""
        outcomes = [
            StepOutcome(s.kind, s.state, s.storage_id.name or "") for s in self.step_ids
        ]
        failed = self.step_ids.filtered(lambda step: step.state == "failure")[:1]
        if error is None and failed:
            error = self._step_failed(failed)
        self._close(self._run().overall_state(outcomes), error)

    def _close(self, state, error=None):
        self._persist(
            self,
            {
                "state": state,
                "date_end": fields.Datetime.now(),
                **error_columns(error),
                "warning_count": len(
                    self.step_ids.filtered(lambda s: s.state == "warning")
                ),
            },
        )
        _logger.info("Backup %s ended: %s", self.name, state)

    @staticmethod
    def _step_failed(step):
        """Return the error of a step as that of its run."""
        cause = stored_error(step) or NoReason(log_file=step.job_id.runner_log)
        error = StepFailed(step=step._label(), problem=cause)
        error.code, error.hint = cause.code, cause.hint
        return error

    # === WHAT A RUN ASKS === #

    def _step(self, kind, storage=None):
        """Return the step of that kind and storage, empty when it is not planned."""
        return self.step_ids.filtered(
            lambda step: (
                step.kind == kind and (storage is None or step.storage_id == storage)
            )
        )[:1]

    def _storages(self):
        return self.step_ids.filtered(lambda step: step.kind == "upload").storage_id

    def _uploads_missing(self):
        """Return the steps that a retry of the upload does again; none when all is
        verified."""
        verified = self.step_ids.filtered(
            lambda s: s.kind == "verify" and s._is_good()
        ).storage_id
        missing = self.step_ids.filtered(
            lambda s: s.storage_id and s.storage_id not in verified
        )
        return missing and missing | self._step("cleanup")

    # === WHAT A RUN TELLS === #

    @property
    def run_state(self):
        """What the steps of this run have left for each other, as far as it can be
        read."""
        return RunState.read(self.data)

    def _is_state_known(self):
        try:
            RunState.from_json(self.data)
        except UnknownState:
            return False
        return True

    # === TEMPORARY FILES === #
