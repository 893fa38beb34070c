"""How a run ends, or waits for another attempt."""

import logging

from odoo import fields

from ... import runner
from ...engine.errors.command_line import DataFolderUnusable
from ...engine.errors.other import CancelledBy
from ...engine.errors.runs import Interrupted, NoReason, NotStarted, StepFailed
from ...engine.messages import Message
from ...engine.policy.outcome import StepOutcome
from ...engine.policy.supervision import MAX_ATTEMPTS, POSTPONE
from ...runs import words
from ..engine_messages import error_columns, stored_error
from ..states import OPEN_STATES
from . import alerts, turn
from .afterwards import hand_over
from .part import Part

_logger = logging.getLogger(__name__)


class Ending(Part):
    def finish(self):
        """Close the run with the state that follows from its steps."""
        steps = self.job.step_ids
        failed = steps.filtered(lambda step: step.state == "failure")[:1]
        self._close_by_steps(_step_failed(failed) if failed else None)

    def cancel(self):
        """Close the run because somebody has asked for it."""
        who = self.job.cancelled_by_id.name or Message(words.AN_ADMINISTRATOR)
        self._skip_open(Message(words.CANCELLED))
        self.job._run().remove_files()
        self.close("cancelled", CancelledBy(who=who))

    def interrupt(self):
        """Close a run whose processes have died too often."""
        self.break_off(
            Interrupted(
                step=self.interrupted_step(),
                attempt=min(self.job.attempt, MAX_ATTEMPTS),
                log_file=self.job.runner_log,
            )
        )

    def interrupted_step(self):
        """Return the name of the step that was running, as a message."""
        step = self.job.step_ids.filtered(lambda step: step.state == "running")[:1]
        return step._label() if step else Message(words.BETWEEN_STEPS)

    def close_unstartable(self):
        """Close a run that no process has taken up."""
        log = runner.log_tail(self.job.uuid)
        error = NotStarted(log_file=self.job.runner_log, log=log)
        try:
            runner.open_log(self.job.uuid).close()
        except DataFolderUnusable as reason:
            error = reason
        self.break_off(turn.obstacle(self.job) or error)

    def break_off(self, error):
        """Close the run although some of its steps are open."""
        running = self.job.step_ids.filtered(lambda step: step.state == "running")
        for step in running:
            step._fail(error)
        self._skip_open(Message(words.INTERRUPTED))
        self.job._run().remove_files()
        self._close_by_steps(error)

    def postpone(self, error):
        """Stop here; the supervisor starts the next attempt in a while.

        When another run of the plan waits already, that one is the next attempt: a plan
        has at most one waiting run.
        """
        self.job._run().remove_files()
        other = self.job._waiting_alike()
        if other:
            self._yield_to(other, error)
            return
        self.job._persist(
            self.job,
            {
                "state": "pending",
                "not_before": fields.Datetime.now() + POSTPONE,
                "spawned_at": False,
                "spawn_count": 0,
                **error_columns(error),
            },
        )
        _logger.info("Backup %s waits: %s", self.job.name, error.message)

    def _yield_to(self, other, error):
        reason = Message(words.REPLACED, run=other.name)
        self._skip_open(reason)
        hand_over(self.job, other)
        error.hint = reason
        self.close("cancelled", error)

    def _skip_open(self, reason):
        for step in self.job.step_ids.filtered(lambda s: s.state in OPEN_STATES):
            step._skip(reason)

    def _close_by_steps(self, error):
        outcomes = [
            StepOutcome(s.kind, s.state, s.storage_id.name or "")
            for s in self.job.step_ids
        ]
        self.close(self.job._run().overall_state(outcomes), error)

    def close(self, state, error=None):
        """Close the run with this state."""
        job = self.job
        turn.leave_after_commit(job)
        warned = job.step_ids.filtered(lambda step: step.state == "warning")
        job._persist(
            job,
            {
                "state": state,
                "date_end": fields.Datetime.now(),
                "warning_count": len(warned),
                "to_announce": job._may_speak(),
                **error_columns(error),
            },
        )
        _logger.info("Backup %s ended: %s", job.name, state)
        if job.to_announce:
            alerts.announce(job)


def _step_failed(step):
    """Return the error of a step as that of its run."""
    cause = stored_error(step) or NoReason(log_file=step.job_id.runner_log)
    error = StepFailed(step=step._label(cause.message), problem=cause)
    error.code, error.hint = cause.code, cause.hint
    return error
