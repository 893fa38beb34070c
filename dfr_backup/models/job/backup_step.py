import logging
from contextlib import contextmanager

import psycopg2

from odoo import api, fields, models

from ...engine.errors import Cancelled, Deferred, EngineError, is_out_of_memory
from ...engine.errors.other import OutOfMemory, Unexpected
from ...engine.messages import Joined, Message, NotAMessage, from_json, to_json
from ...engine.progress import WARNING, Progress
from ...engine.retry import AGAIN
from ...runs.registry import step_kind
from ...runs.words import MORE_LINES
from ..engine_messages import MessageText, error_columns, translate
from ..rights import MANAGER
from ..states import GOOD_STATES, OPEN_STATES, STEP_KINDS, STEP_STATES
from . import live

_logger = logging.getLogger(__name__)


class BackupStep(models.Model):
    _name = "backup.step"
    _inherit = ["backup.record.mixin", "backup.error.mixin"]
    _description = "Backup Step"
    _order = "job_id, sequence, id"

    job_id = fields.Many2one(
        "backup.job", string="Run", required=True, ondelete="cascade", index=True
    )
    sequence = fields.Integer()
    kind = fields.Selection(STEP_KINDS, required=True)
    storage_id = fields.Many2one("backup.storage", ondelete="restrict")
    copy_id = fields.Many2one(
        "backup.copy", ondelete="set null", index="btree_not_null"
    )
    about = fields.Char(compute="_compute_about", help="The backup that it reads.")
    state = fields.Selection(STEP_STATES, required=True, default="pending")
    date_start = fields.Datetime()
    date_end = fields.Datetime()
    duration = fields.Float(compute="_compute_duration", help="In seconds.")
    seconds = fields.Float(help="Measured with a monotonic clock, while the step ran.")
    bytes_done = fields.Float(digits=(20, 0))
    bytes_total = fields.Float(digits=(20, 0))
    speed = fields.Float(help="Bytes per second.")
    progress = fields.Float(compute="_compute_progress", help="In percent.")
    # it may quote what is in the database
    log = MessageText(values_field="log_values", groups=MANAGER)
    log_values = fields.Json(groups=MANAGER)

    @api.depends("kind", "storage_id.name", "copy_id")
    @api.depends_context("lang")
    def _compute_display_name(self):
        """A step of one backup is done with it, and not at its storage: ``about`` says
        which backup that is."""
        for step in self:
            name = Message(step_kind(step.kind).name)
            where = None if step.copy_id else step.storage_id.sudo().name
            step.display_name = translate(self.env, Joined([name, where], ": "))

    @api.depends("copy_id.date", "storage_id.name")
    @api.depends_context("lang", "tz")
    def _compute_about(self):
        for step in self:
            copy = step.copy_id
            step.about = False
            if copy:
                step.about = self.env._(
                    "Backup of %(moment)s in %(storage)s",
                    moment=copy._moment(),
                    storage=step.storage_id.name,
                )

    @api.depends("date_start", "seconds", "state")
    def _compute_duration(self):
        now = fields.Datetime.now()
        for step in self:
            running = step.state == "running" and step.date_start
            step.duration = (
                (now - step.date_start).total_seconds() if running else step.seconds
            )

    @api.depends("state", "bytes_done", "bytes_total")
    def _compute_progress(self):
        for step in self:
            if step.state in GOOD_STATES:
                step.progress = 100.0
            elif step.bytes_total:
                # the total is an estimate: never call a running step complete
                step.progress = min(99.0, 100.0 * step.bytes_done / step.bytes_total)
            else:
                step.progress = 0.0

    def write(self, vals):
        result = super().write(vals)
        if {"state", "bytes_done"} & vals.keys():
            live.tell_after_commit(self.job_id)
        return result

    def _is_closed(self):
        """Tell whether this step needs nothing more. A step that is not planned is
        closed."""
        return not self or self.state not in OPEN_STATES

    def _is_good(self):
        return self.state in GOOD_STATES

    def _failed_attempt(self):
        """Return the line that says what a running step tries again, None when it has
        moved on."""
        lines = [] if self.state != "running" or self.speed else self._log_messages()
        return next((line for line in lines[-1:] if line.template == AGAIN), None)

    def _warned(self):
        """Return what the step has warned of, as messages or plain text."""
        lines = [line for line in self._log_messages() if line.template == WARNING]
        return [line.values["line"] for line in lines]

    def _log_messages(self):
        """Return the lines of the log that are messages."""
        try:
            lines = [from_json(value) for value in self.sudo().log_values or []]
        except NotAMessage:
            return []
        return [line for line in lines if isinstance(line, Message)]

    # === CALLED BY RUNS === #

    @contextmanager
    def _running(self):
        """Run the body as this step, and write down how it ends.

        Yield the ``Progress`` of the step. An error of the body ends the step as a
        failure and goes no further: the run looks at the state. Only ``Cancelled``,
        and the loss of our own database connection, leave this method.
        """
        progress = Progress(self._report)
        self._start()
        try:
            yield progress
        except Cancelled as error:
            self._close("skipped", progress, error)
            raise
        except Deferred as error:
            self._postpone(error)
            raise
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            raise  # our own session is lost: the next attempt goes on from this step
        except EngineError as error:
            self._close("failure", progress, error)
        except Exception as error:
            _logger.exception("Backup step %s failed", self.kind)
            self._close("failure", progress, self._unexpected(error))
        else:
            self._close("warning" if progress.warnings else "success", progress)

    def _skip(self, reason):
        """Close the step without having run it; ``reason`` is a message."""
        now = fields.Datetime.now()
        self._persist(
            {
                "state": "skipped",
                "log": str(reason),
                "log_values": [to_json(reason)],
                "date_start": now,
                "date_end": now,
            }
        )

    def _fail(self, error):
        """Close the step as a failure from outside, because its runner is gone."""
        self._persist(
            {
                "state": "failure",
                "date_end": fields.Datetime.now(),
                **error_columns(error),
                **self._logged([error.log]),
            }
        )

    def _reset(self):
        """Make the steps runnable again; what they logged before stays readable."""
        for step in self:
            step._persist(
                {
                    "state": "pending",
                    "date_end": False,
                    "bytes_done": 0,
                    **error_columns(None),
                }
            )

    def _postpone(self, error):
        self.job_id._roll_back()
        self._persist({"state": "pending", **self._logged([error.message, error.log])})

    def _mark_done(self, line):
        """Close the step as done: an attempt that was interrupted had done it."""
        now = fields.Datetime.now()
        self._persist({"state": "success", "date_end": now, **self._logged([line])})

    def _note(self, line):
        """Add one line to the log."""
        self._persist(self._logged([line]))

    def _start(self):
        self._persist(
            {
                "state": "running",
                "date_start": fields.Datetime.now(),
                "date_end": False,
                "bytes_done": 0,
                **error_columns(None),
            }
        )
        self.job_id._check_cancel()

    def _report(self, progress):
        """Write down how far the step is and what it has logged, at most once a second.
        Raise ``Cancelled``."""
        logged = self._logged(progress.take_lines())
        self._persist({**self._measures(progress), **logged})
        self.job_id._check_cancel()

    def _close(self, state, progress, error=None):
        self.job_id._roll_back()
        lines = progress.take_lines()
        if progress.dropped_lines:
            lines.append(Message(MORE_LINES, count=progress.dropped_lines))
        if error is not None:
            lines.append(error.log)
        self._persist(
            {
                **self._measures(progress),
                "state": state,
                "date_end": fields.Datetime.now(),
                **error_columns(error),
                **self._logged(lines),
            }
        )
        _logger.info("Backup %s: %s %s", self.job_id.name, self.kind, state)

    def _measures(self, progress):
        seconds = progress.elapsed()
        moves = seconds > 0 and not progress.retrying
        return {
            "bytes_done": progress.done,
            "bytes_total": max(progress.total, progress.done),
            "seconds": seconds,
            "speed": progress.done / seconds if moves else 0,
        }

    def _logged(self, lines):
        """Return the values of the log with more lines, messages or plain text, at its
        end."""
        lines = [line for line in lines if line]
        if not lines:
            return {}
        # a log without values is of a release that kept none
        before = self.log_values or list(filter(None, [self.log]))
        values = [*before, *map(to_json, lines)]
        log = "\n".join(filter(None, [self.log, *map(str, lines)]))
        return {"log": log, "log_values": values}

    def _unexpected(self, error):
        if is_out_of_memory(error):
            return OutOfMemory(step=self._label())
        return Unexpected(error=type(error).__name__, log_file=self.job_id.runner_log)

    def _label(self, beside=""):
        """Return the name of the step as a message that says all by itself, or together
        with the text that stands ``beside`` it."""
        step = step_kind(self.kind)
        key = self.copy_id.sudo().key if step.names_copy else None
        key = None if key and key in str(beside) else key
        return Joined([Message(step.name), self.storage_id.sudo().name, key], ": ")

    def _persist(self, values):
        self.job_id._persist(self, values)
