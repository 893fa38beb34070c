"""What the detached runner does with a run: perform it, and write down what
happened."""

import contextlib
import logging
import shutil
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from psycopg2.errors import SerializationFailure

from odoo import fields, models

from .. import odoo_config, runner
from ..engine.catalog.catalogued import Catalogued
from ..engine.errors import Cancelled, Deferred
from ..engine.errors.runs import NoReason, StepFailed, UnknownKind, UnknownState
from ..engine.identity import Identity
from ..engine.manifest import write as manifest
from ..engine.manifest.model import Manifest
from ..engine.manifest.names import sidecar_key
from ..engine.manifest.read import parse_sidecar
from ..engine.messages import Message
from ..engine.policy.outcome import StepOutcome
from ..engine.postgres.dump import DumpOptions
from ..runs import words
from ..runs.state import RunState
from .backup_job_supervision import MAX_ATTEMPTS, POSTPONE
from .backup_step import OPEN_STATES
from .copy.catalogue import Catalogue
from .copy.states import PRESENT_STATES
from .engine_messages import error_columns, stored_error

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

    def _may_try_again(self):
        return self.attempt < MAX_ATTEMPTS

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

    def _work_path(self):
        return odoo_config.work_path(self.uuid)

    def _archive_path(self):
        return self._work_path() / self.archive_name

    def _filestore_path(self):
        return odoo_config.filestore_path(self._database())

    def _server_version(self):
        """Return the major version of the PostgreSQL server."""
        return self.env.cr.connection.server_version // 10000

    def _pg_path(self):
        return odoo_config.pg_path()

    def _custom_addons(self):
        return odoo_config.custom_addons(self.env)

    def _dump_options(self):
        plan = self.plan_id
        return DumpOptions(plan.lock_timeout, plan.patience)

    def _taken_at(self):
        """Return the moment of the data: of the snapshot, else the start of the run
        (aware, in UTC; PostgreSQL has told it in the time zone of the server)."""
        moment = self.run_state.snapshot_at
        if moment:
            return datetime.fromisoformat(moment).astimezone(timezone.utc)
        return (self.date_start or self.create_date).replace(tzinfo=timezone.utc)

    def _manifest(self, members):
        """Return the content of ``manifest.json``. ``members`` tells about
        SHA256SUMS."""
        state = self.run_state
        ours = {
            "job": self.uuid,
            "run": self.name,
            "plan": self.plan_id.name,
            "database_uuid": self.database_uuid,
            "identity": self._known_identity().to_json(),
            "snapshot_at": self._taken_at().isoformat(),
            "contents": self._contents(),
            "missing": self._missing_parts(),
            "members": members,
            **{
                key: getattr(state, key)
                for key in ("pg_dump", "rows", "attachments", "filestore")
            },
            "addons": state.addons,
            "encryption": self._encryption_facts(),
        }
        odoo = odoo_config.odoo_manifest(self.env.cr)
        self.env.cr.commit()  # pylint: disable=invalid-commit  # close the reading transaction
        return manifest.build(odoo, ours)

    def _sign(self, content):
        """Return the manifest of the stored archive with the signature of this server
        and database."""
        return odoo_config.signer().sign(content, self._known_identity().to_json())

    def _known_identity(self):
        """Return who has made this run: the uuid alone for one that was waiting when
        this release was installed."""
        found = Identity.from_key(self.identity or self.database_uuid)
        return replace(found, name=self._database())

    def _contents(self):
        """Return what the archive holds, for example ["database", "filestore",
        "addons"]."""
        files = self._step("archive_files").state != "skipped"
        return [
            *(["database"] if self._step("dump_database")._is_good() else []),
            *(["filestore"] if self.include_filestore and files else []),
            *(["addons"] if self.include_addons and files else []),
        ]

    def _missing_parts(self):
        """Return what the archive should hold and does not, with the reason."""
        failed = self.step_ids.filtered(
            lambda s: (
                s.kind in ("dump_database", "archive_files") and s.state == "failure"
            )
        )
        return [
            {"part": step.kind, "reason": step.error, "code": step.error_code or None}
            for step in failed
        ]

    # === WHAT A RUN TELLS === #

    @property
    def run_state(self):
        """What the steps of this run have left for each other, as far as it can be
        read."""
        return RunState.read(self.data)

    def _update_state(self, **values):
        """Keep something for later steps, which may be done by another process."""
        self._persist(self, {"data": replace(self.run_state, **values).to_json()})

    def _is_state_known(self):
        try:
            RunState.from_json(self.data)
        except UnknownState:
            return False
        return True

    def _record_archive(self, name, size, sha256, content):
        self._persist(
            self,
            {
                "archive_name": name,
                "archive_size": size,
                "archive_sha256": sha256,
                "data": replace(self.run_state, manifest=content.to_json()).to_json(),
            },
        )

    def _copy_in(self, storage):
        return self.copy_ids.filtered(
            lambda copy: copy.storage_id == storage and copy.key == self.archive_name
        )

    def _catalogued(self, storage):
        """Return what this run's archive in ``storage`` has to be."""
        archive = int(self.archive_size), self.archive_sha256
        known = self._copy_in(storage)._catalogued_manifest()
        return Catalogued(*archive, *known)

    def _record_copy(self, storage, state, **noted):
        """Create or update the catalogue's record of this run's archive in
        ``storage``, with what is ``noted`` of its manifest."""
        values = {"state": state, **noted}
        if state in PRESENT_STATES:
            values["seen_at"] = fields.Datetime.now()
        if state == "verified":
            values["verified_at"] = fields.Datetime.now()
        known = self._copy_in(storage)
        Catalogue(self).record_stored(storage, self._sidecar, known, values)

    def _adopt_copy(self, storage):
        """Take over the catalogue's record of an archive of that name which was lost
        from ``storage``, if any."""
        Catalogue(self).record_again(storage, self._sidecar())

    def _sidecar(self):
        """Return what this run's archive is, once it is sealed."""
        about = Manifest(self.run_state.manifest or {})
        key, size = self.archive_name, int(self.archive_size)
        content = manifest.sidecar(about, key, size, self.archive_sha256)
        return parse_sidecar(content, sidecar_key(key))

    def _restart(self, reason):
        """Begin again, but for the preparation; the first step notes why."""
        self.step_ids.filtered(lambda step: step.kind != "initialize")._reset()
        again = self.run_state.begun_again().to_json()
        self._persist(self, {"archive_name": False, "data": again})
        self.step_ids[:1]._note(reason)

    # === TEMPORARY FILES === #

    def _clean_up(self, progress):
        """Remove this run's temporary files, keeping an archive that still has to be
        uploaded, and what earlier runs have left."""
        if self._uploads_missing() and self._is_archived():
            until = fields.Datetime.now() + KEEP_ARCHIVE
            self._persist(self, {"kept_until": until})
            progress.log(Message(words.ARCHIVE_KEPT, until=until))
            for path in self._work_path().iterdir():
                if path.name != self.archive_name:
                    path.unlink()
        else:
            self._persist(self, {"kept_until": False})
            self._remove_work()
        for path in self._stale_files():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            progress.log(Message(words.LEFTOVER_REMOVED, name=path.name))

    def _left_behind(self):
        """Return the closed runs whose own cleanup did not come to its end. What
        they have not stored yet is kept from now on, as it should have been."""
        names = [path.name for path in odoo_config.data_root().glob("work/*")]
        closed = [("uuid", "in", names), ("state", "not in", OPEN_STATES)]
        left = self.search([*closed, ("kept_until", "=", False), ("id", "!=", self.id)])
        unsent = left.filtered(
            lambda job: job._is_archived() and job._uploads_missing()
        )
        self._persist(unsent, {"kept_until": fields.Datetime.now() + KEEP_ARCHIVE})
        return left - unsent

    def _is_archived(self):
        return bool(self.archive_name) and self._archive_path().exists()

    def _stale_files(self):
        """Yield working directories and logs that no run of this database needs any
        more."""
        root = odoo_config.data_root()
        now = fields.Datetime.now()
        # one that is too far away was set under a clock that was ahead
        over = [
            "|",
            ("kept_until", "<", now),
            ("kept_until", ">", now + 2 * KEEP_ARCHIVE),
        ]
        left = self._left_behind()
        overdue = self.search([*over, ("id", "!=", self.id)])
        self._persist(overdue, {"kept_until": False})
        for job in (overdue | left).filtered(lambda job: job._is_own()):
            if job._work_path().exists():
                yield job._work_path()
        month = (now - timedelta(days=30)).timestamp()
        for path in (root / "log").glob("*.log"):
            if path.stat().st_mtime < month:
                yield path

    def _remove_work(self):
        """Remove the working directory."""
        for job in self.filtered(lambda job: job._is_own()):
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(job._work_path())
