import logging
from contextlib import contextmanager

import psycopg2

from odoo import api, fields, models

from ..engine.errorcodes import error_code
from ..engine.errors import Cancelled, EngineError, Postponed, is_out_of_memory
from ..engine.progress import Progress
from .engine_text import EngineText

_logger = logging.getLogger(__name__)

STEP_KINDS = [
    ("initialize", "Initialize"),
    ("dump_database", "Dump database"),
    ("archive_files", "Archive files"),
    ("compress", "Compress and seal"),
    ("upload", "Upload"),
    ("verify", "Verify"),
    ("cleanup", "Clean up"),
    ("scan", "Scan storage"),
    ("fetch", "Fetch"),
    ("check", "Check"),
    ("create_database", "Create database"),
    ("load", "Load"),
    ("filestore", "Unpack files"),
    ("addons", "Unpack addons"),
    ("finish", "Finish"),
    ("compare", "Compare"),
    ("boot", "Boot"),
    ("drop", "Drop"),
    ("repair", "Repair files"),
]
STEP_STATES = [
    ("pending", "Waiting"),
    ("running", "Running"),
    ("success", "Success"),
    ("warning", "Warning"),
    ("failure", "Failure"),
    ("skipped", "Skipped"),
]
JOB_KINDS = [
    ("backup", "Backup"),
    ("verify", "Verification"),
    ("scan", "Scan"),
    ("restore", "Restore"),
    ("drill", "Drill"),
    ("repair", "Filestore repair"),
    ("import", "Import"),
]
ENCRYPTIONS = [
    ("none", "Not encrypted"),
    ("recipients", "For public keys (age)"),
    ("passphrase", "By a passphrase (age)"),
]
JOB_STATES = [
    ("pending", "Waiting"),
    ("running", "Running"),
    ("success", "Success"),
    ("partial", "Partial"),
    ("failure", "Failure"),
    ("cancelled", "Cancelled"),
]
OPEN_STATES = ("pending", "running")
GOOD_STATES = ("success", "warning")


class BackupStep(models.Model):
    _name = "backup.step"
    _description = "Backup Step"
    _order = "job_id, sequence, id"

    job_id = fields.Many2one(
        "backup.job", required=True, ondelete="cascade", index=True
    )
    sequence = fields.Integer()
    kind = fields.Selection(STEP_KINDS, required=True)
    storage_id = fields.Many2one("backup.storage", ondelete="restrict")
    copy_id = fields.Many2one(
        "backup.copy", ondelete="set null", index="btree_not_null"
    )
    state = fields.Selection(STEP_STATES, required=True, default="pending")
    date_start = fields.Datetime()
    date_end = fields.Datetime()
    duration = fields.Float(compute="_compute_duration", help="In seconds.")
    seconds = fields.Float(
        help="Measured by a clock that nobody sets, while the step ran."
    )
    bytes_done = fields.Float(digits=(20, 0))
    bytes_total = fields.Float(digits=(20, 0))
    speed = fields.Float(help="Bytes per second.")
    progress = fields.Float(compute="_compute_progress", help="In percent.")
    log = EngineText()
    error = EngineText()
    hint = EngineText()
    error_code = fields.Char(compute="_compute_error_code")

    @api.depends("kind", "storage_id.name", "copy_id.key")
    @api.depends_context("lang")
    def _compute_display_name(self):
        kinds = dict(self._fields["kind"]._description_selection(self.env))
        for step in self:
            # a verification may look at many copies in one storage
            key = step.copy_id.sudo().key if step.kind == "verify" else None
            about = [step.storage_id.sudo().name, key]
            step.display_name = ": ".join([kinds[step.kind], *filter(None, about)])

    @api.depends("error")
    def _compute_error_code(self):
        for step in self:
            step.error_code = error_code(step.error or "")

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

    def _is_closed(self):
        """Tell whether this step needs nothing more. A step that is not planned is
        closed."""
        return not self or self.state not in OPEN_STATES

    def _is_good(self):
        return self.state in GOOD_STATES

    # === CALLED BY THE FLOWS === #

    @contextmanager
    def _running(self):
        """Run the body as this step, and write down how it ends.

        Yield the ``Progress`` of the step. An error of the body ends the step as a
        failure and goes no further: the flow looks at the state. Only ``Cancelled``,
        and the loss of our own database connection, leave this method.
        """
        progress = Progress(self._report)
        self._start()
        try:
            yield progress
        except Cancelled as error:
            self._close("skipped", progress, error)
            raise
        except Postponed as error:
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
        """Close the step without having run it."""
        now = fields.Datetime.now()
        self._persist(
            {"state": "skipped", "log": reason, "date_start": now, "date_end": now}
        )

    def _fail(self, error):
        """Close the step as a failure from outside, because its runner is gone."""
        self._persist(
            {
                "state": "failure",
                "date_end": fields.Datetime.now(),
                "error": error.message,
                "hint": error.hint,
                "log": self._joined(error.log),
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
                    "error": False,
                    "hint": False,
                }
            )

    def _postpone(self, error):
        self.job_id._roll_back()
        self._persist(
            {"state": "pending", "log": self._joined(f"{error.message}\n{error.log}")}
        )

    def _settle(self, line):
        """Close the step as done: an attempt that was interrupted had done it."""
        now = fields.Datetime.now()
        self._persist({"state": "success", "date_end": now, "log": self._joined(line)})

    def _note(self, line):
        """Add one line to the log."""
        self._persist({"log": self._joined(line)})

    def _start(self):
        self._persist(
            {
                "state": "running",
                "date_start": fields.Datetime.now(),
                "date_end": False,
                "bytes_done": 0,
                "error": False,
                "hint": False,
            }
        )
        self.job_id._check_cancel()

    def _report(self, progress):
        """Write down how far the step is, at most once a second. Raise
        ``Cancelled``."""
        self._persist(self._measures(progress))
        self.job_id._check_cancel()

    def _close(self, state, progress, error=None):
        self.job_id._roll_back()
        values = self._measures(progress)
        lines = list(progress.lines)
        if progress.dropped_lines:
            lines.append(f"… and {progress.dropped_lines} more lines")
        if error is not None and error.log:
            lines.append(error.log)
        values.update(
            state=state,
            date_end=fields.Datetime.now(),
            log=self._joined("\n".join(lines)),
            error=error.message if error is not None else False,
            hint=error.hint if error is not None else False,
        )
        self._persist(values)
        _logger.info("Backup %s: %s %s", self.job_id.name, self.kind, state)

    def _measures(self, progress):
        seconds = progress.elapsed()
        return {
            "bytes_done": progress.done,
            "bytes_total": max(progress.total, progress.done),
            "seconds": seconds,
            "speed": progress.done / seconds if seconds > 0 else 0,
        }

    def _joined(self, text):
        return "\n".join(part for part in (self.log, text) if part)

    def _unexpected(self, error):
        if is_out_of_memory(error):
            return EngineError(
                self.env._("Out of memory in step “%s”.", self.display_name),
                hint=self.env._(
                    "The backup process may not take more: look for a limit of the "
                    "service, the "
                    "container or the system user that runs Odoo, and at what else "
                    "runs then."
                ),
            )
        return EngineError(
            self.env._("An unexpected error: %s", type(error).__name__),
            hint=self.env._(
                "This is a fault of the program. The runner's log has the details: %s",
                self.job_id.runner_log,
            ),
        )

    def _persist(self, values):
        self.job_id._persist(self, values)
