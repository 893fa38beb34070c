import uuid
from dataclasses import replace

from psycopg2.errors import SerializationFailure

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError

from ... import odoo_config, runner
from ...engine.errors import Cancelled
from ...engine.errors.runs import SwitchedOff
from ...engine.identity import present_identity
from ...runs.backup import BackupRun
from ...runs.registry import run_kind, step_kind
from ...runs.repair import RepairRun
from ...runs.state import RunState
from ..actions import form_action
from ..engine_messages import error_columns, translate, translate_engine_errors
from ..states import ENCRYPTIONS, JOB_KINDS, JOB_STATES, OPEN_STATES
from . import alerts, deleting, in_words, live, right_server, turn
from .context import RunContext
from .sizes import KnownFloat
from .supervision import let_wait, spawn_after_commit, supervise

PERSIST_TRIES = 5
MIB = 2**20


class BackupJob(models.Model):
    _name = "backup.job"
    _inherit = [
        "backup.record.mixin",
        "backup.empty.mixin",
        "backup.error.mixin",
        "backup.restored.mixin",
        "backup.watched.mixin",
    ]
    _description = "Backup Run"
    _order = "id desc"

    name = fields.Char(required=True, string="Run")
    title = fields.Char(compute="_compute_title")
    subject = fields.Char(compute="_compute_title")
    uuid = fields.Char("Identifier", required=True, index=True, copy=False)
    database_uuid = fields.Char(
        required=True,
        help="The database that the run belongs to: a copy has another one.",
    )
    identity = fields.Char(
        readonly=True,
        help="The identity of that database, with its cluster and OID; a raw copy "
        "has different ones.",
    )
    kind = fields.Selection(JOB_KINDS, "Type", required=True, default="backup")
    plan_id = fields.Many2one("backup.plan", ondelete="restrict", index=True)
    state = fields.Selection(JOB_STATES, required=True, default="pending", index=True)
    trigger = fields.Selection(
        [
            ("schedule", "Schedule"),
            ("manual", "Manually"),
            ("cli", "Command line"),
            ("upgrade", "Before an upgrade"),
        ],
        required=True,
        default="manual",
        string="Started by",
    )
    user_id = fields.Many2one("res.users", string="Requested by")
    scheduled_at = fields.Datetime(help="The scheduled time of this run.")
    not_before = fields.Datetime(help="When a run that gave way is tried again.")
    date_start = fields.Datetime("Started", index=True)
    date_end = fields.Datetime("Ended")
    duration = fields.Float(compute="_compute_duration", store=True, help="In seconds.")
    heartbeat = fields.Datetime(
        compute="_compute_heartbeat", help="When the runner last gave a sign of life."
    )
    attempt = fields.Integer(
        default=0, help="How often a runner has picked up this run."
    )
    spawn_count = fields.Integer()
    spawned_at = fields.Datetime()
    host = fields.Char()
    pid = fields.Integer(string="Process ID")
    cancel_requested = fields.Boolean()
    cancelled_by_id = fields.Many2one("res.users")

    include_database = fields.Boolean()
    include_filestore = fields.Boolean()
    include_addons = fields.Boolean()
    step_ids = fields.One2many("backup.step", "job_id")
    copy_ids = fields.One2many("backup.copy", "job_id")
    encryption = fields.Selection(ENCRYPTIONS, required=True, default="none")
    data = fields.Json(
        prefetch=False, help="What a later attempt of this run needs to go on."
    )
    incremental = fields.Boolean(compute="_compute_of_state", store=True)
    packed_size = fields.Float(
        compute="_compute_of_state",
        store=True,
        digits=(20, 0),
        help="Bytes of the attachments that are in packs.",
    )
    new_in_words = fields.Char("Stored", compute="_compute_new_in_words")
    archive_name = fields.Char()
    archive_size = fields.Float(digits=(20, 0), help="In bytes.")
    archive_sha256 = fields.Char(string="SHA-256")
    # what graphs and pivots show: their numbers have no units
    average_size = KnownFloat(
        "Average Size (MiB)",
        compute="_compute_average_size",
        store=True,
        aggregator="avg",
        help="With the attachments that are in packs.",
    )
    average_minutes = KnownFloat(
        "Average Duration (Minutes)",
        compute="_compute_average_minutes",
        store=True,
        aggregator="avg",
    )
    kept_until = fields.Datetime(
        help="The archive waits on the server until then for a retry."
    )

    warning_count = fields.Integer(string="Warnings")
    size_drop = fields.Integer(
        "Smaller By", readonly=True, copy=False, help="In percent of the ones before."
    )
    bad_packs = fields.Integer(
        "Damaged Packs",
        readonly=True,
        copy=False,
        help="Packs of attachments that it found damaged in a storage.",
    )
    unread_packs = fields.Integer(
        "Unreadable Packs", readonly=True, copy=False, help="For more than one night."
    )
    to_announce = fields.Boolean(
        copy=False, help="Ended, but its alerts are not sent yet."
    )
    withheld = fields.Boolean(copy=False, help="Its alerts are snoozed.")
    dismissed = fields.Boolean(
        readonly=True,
        copy=False,
        help="Somebody has seen on the overview that this run did not end well.",
    )
    then_operation = fields.Selection(
        [("upgrade", "Upgrade"), ("uninstall", "Uninstall")]
    )
    then_modules = fields.Json()
    then_text = fields.Char(compute="_compute_then_text")
    progress = fields.Float(compute="_compute_progress", help="In percent.")
    current_step = fields.Char(compute="_compute_progress")
    can_retry_upload = fields.Boolean(compute="_compute_can_retry_upload")
    runner_log = fields.Char(compute="_compute_runner_log")
    waits_for_worker = fields.Boolean(compute="_compute_waits_for_worker")
    waits_for_server = fields.Char(compute="_compute_waits_for_server")

    _uuid_uniq = models.Constraint(
        "unique (uuid)", "Every run has an identifier of its own."
    )
    _one_running = models.UniqueIndex(
        "((1)) WHERE state = 'running'", "A run is already in progress."
    )
    _one_waiting = models.UniqueIndex(
        "(plan_id, kind) WHERE state = 'pending'",
        "A run of this plan is already waiting.",
    )
    _one_per_moment = models.UniqueIndex(
        "(plan_id, kind, scheduled_at) WHERE scheduled_at IS NOT NULL",
        "A run for this scheduled time already exists.",
    )
    _recent_idx = models.Index("(plan_id, id) WHERE kind = 'backup'")
    _to_announce_idx = models.Index("(id) WHERE to_announce")
    _withheld_idx = models.Index("(id) WHERE withheld")
    _bad_loose_idx = models.Index(
        "(id) WHERE plan_id IS NULL AND state IN ('failure', 'partial')"
    )

    @api.depends(
        "kind",
        "plan_id.name",
        "restore_database",
        "step_ids.copy_id.date",
        "step_ids.storage_id.name",
    )
    @api.depends_context("lang", "tz")
    def _compute_title(self):
        for job in self:
            job.title, job.subject = in_words.title(job), in_words.subject(job)

    @api.depends("date_start", "date_end")
    def _compute_duration(self):
        for job in self:
            ended = job.date_start and job.date_end
            seconds = (job.date_end - job.date_start).total_seconds() if ended else 0.0
            # somebody may have put the clock back meanwhile
            job.duration = (
                seconds if seconds >= 0 else sum(job.step_ids.mapped("seconds"))
            )

    @api.depends("duration")
    def _compute_average_minutes(self):
        for job in self:
            job.average_minutes = job.duration / 60

    @api.depends("archive_size", "packed_size")
    def _compute_average_size(self):
        for job in self:
            job.average_size = (job.archive_size + job.packed_size) / MIB

    @api.depends("packed_size", "archive_size", "copy_ids.new_size")
    @api.depends_context("lang")
    def _compute_new_in_words(self):
        for job in self:
            job.new_in_words = in_words.new_in_words(job)

    @api.depends("data")
    def _compute_of_state(self):
        for job in self:
            state = job.run_state
            job.incremental = state.incremental
            job.packed_size = state.packed["bytes"] if state.packed else 0

    @api.depends("state", "step_ids.state", "step_ids.bytes_done")
    def _compute_progress(self):
        for job in self:
            running = job.step_ids.filtered(lambda step: step.state == "running")
            job.current_step = running[:1].display_name or False
            weights = [step_kind(step.kind).weight for step in job.step_ids]
            done = sum(
                weight * (100 if step._is_closed() else step.progress)
                for weight, step in zip(weights, job.step_ids, strict=True)
            )
            whole = sum(weights)
            job.progress = done / whole if whole else 0.0

    @api.depends("step_ids.write_date")
    def _compute_heartbeat(self):
        for job in self:
            job.heartbeat = max(job.step_ids.mapped("write_date"), default=False)

    @api.depends("state", "step_ids.state", "archive_name", "kept_until")
    def _compute_can_retry_upload(self):
        for job in self:
            open_end = job.state in ("partial", "failure") and job.archive_name
            open_end = open_end and job._is_own()
            open_end = (
                open_end and not job._is_too_open() and RunState.is_known(job.data)
            )
            path = open_end and job._run_context().files.archive_path()
            job.can_retry_upload = bool(
                path and job._uploads_missing() and path.exists()
            )

    def _is_too_open(self):
        """Tell whether the archive is in the clear, and its plan has been encrypted
        since."""
        encrypted = (self.plan_id.encryption or "none") != "none"
        return encrypted and self.encryption == "none"

    @api.depends("uuid")
    def _compute_runner_log(self):
        for job in self:
            job.runner_log = str(odoo_config.log_path(job.uuid))

    @api.depends("state", "error_code")
    def _compute_waits_for_worker(self):
        left_to_worker = not odoo_config.starts_runs()
        for job in self:
            waits = job.state == "pending" and not turn.says_so(job)
            job.waits_for_worker = left_to_worker and waits

    @api.depends("state")
    def _compute_waits_for_server(self):
        for job in self:
            left = job.state == "pending" and right_server.is_left(job)
            job.waits_for_server = left and translate(self.env, left.message)

    @api.depends("then_operation", "then_modules")
    def _compute_then_text(self):
        for job in self:
            job.then_text = ", ".join(job.then_modules or ())

    @api.model_create_multi
    def create(self, vals_list):
        jobs = super().create(vals_list)
        live.tell_after_commit(jobs)
        return jobs

    def write(self, vals):
        result = super().write(vals)
        if {"state", "cancel_requested"} & vals.keys():
            live.tell_after_commit(self)
        return result

    @api.ondelete(at_uninstall=False)
    def _unlink_except_meaningful(self):
        deleting.delete_with_files(self)

    # === BUTTONS === #

    def action_run_now(self):
        """Run the first plan. The button of the list of runs, whatever is selected
        there."""
        plan = self.env["backup.plan"].search([], limit=1)
        if not plan:
            raise UserError(
                self.env._(
                    "There is no backup plan. Create one under Backups / "
                    "Configuration / Plans first."
                )
            )
        return plan.action_run_now()

    def action_cancel(self):
        """Ask a run to stop. One that only waits stops at once."""
        self._check_manager()
        for job in self.sudo().filtered(lambda job: job.state in OPEN_STATES):
            job.write({"cancel_requested": True, "cancelled_by_id": self.env.uid})
            if job.state == "pending":
                job._run_context().ending.cancel()
        return True

    def action_retry(self):
        """Upload the kept archive again, or run the plan again when there is none."""
        self._check_manager()
        self.ensure_one()
        if self.state not in ("partial", "failure", "cancelled"):
            raise UserError(
                self.env._("Only a run that did not end well can be tried again.")
            )
        if not self.can_retry_upload:
            with translate_engine_errors(self.env):
                return self._run().again()
        job = self.sudo()
        if job.plan_id and job._waiting_alike():
            raise UserError(
                self.env._(
                    "A run of this plan is already waiting. Wait until it has run."
                )
            )
        job._uploads_missing()._reset()
        job.write(
            {
                "state": "pending",
                "cancel_requested": False,
                "attempt": 0,
                "spawn_count": 0,
                "spawned_at": False,
                "date_end": False,
                **error_columns(None),
            }
        )
        spawn_after_commit(job)
        return form_action(self)

    def action_restore_imported(self):
        """Ask what the imported archive is to become."""
        self.ensure_one()
        return self.copy_ids[:1].action_restore()

    def action_go_on(self):
        """Do what waits for this backup, whatever became of it: the form has asked."""
        self.ensure_one()
        self._check_manager()
        modules = self.env["ir.module.module"].search(
            [("name", "in", self.then_modules or [])]
        )
        operation = self.then_operation
        self.sudo().then_operation = False
        modules = modules.with_context(dfr_backup_no_backup=True)
        if operation == "uninstall":
            return modules.button_immediate_uninstall()
        return modules.button_immediate_upgrade()

    def action_give_up_lost(self):
        """Let the lost backups that have stopped this prune stop no other one."""
        self.ensure_one()
        return self.step_ids.storage_id.action_give_up_lost()

    def _run(self):
        """Return what this run does, and what is special about its kind."""
        return run_kind(self.kind)(self._run_context())

    def _run_context(self):
        """Return what runs get of Odoo, about this one."""
        return RunContext(self)

    def _waiting_alike(self):
        """Return the run of the same kind that waits for the same plan, if any."""
        same = [("plan_id", "=", self.plan_id.id), ("kind", "=", self.kind)]
        return self.search([*same, ("state", "=", "pending")], limit=1)

    @api.model
    def _create_for(self, plan, trigger, **values):
        """Create a waiting backup of ``plan``, with every step that it will have."""
        about = self._plan_values(plan)
        return self._create_run(
            "backup", [], trigger, plan_id=plan.id, **{**about, **values}
        )

    def _request_repair(self, issues):
        """Return a new run that will put the files of these issues back."""
        self._check_manager()
        state = RunState(issues=issues.ids).to_json()
        return self.sudo()._create_run(
            "repair", RepairRun.planned(), "manual", data=state
        )

    @api.model
    def _plan_values(self, plan):
        """Return what a backup takes over from its plan, with its steps."""
        contents = ("include_database", "include_filestore", "include_addons")
        about = {name: plan[name] for name in contents}
        steps = BackupRun.planned(about, plan.storage_ids)
        return {
            **about,
            "encryption": plan.encryption,
            "step_ids": self._commands(steps),
        }

    @api.model
    def _commands(self, steps):
        """Return how steps with these values are created, in their order."""
        return [
            fields.Command.create({"sequence": number, **step})
            for number, step in enumerate(steps)
        ]

    @api.model
    def _require_enabled(self):
        """Raise a UserError when backups are switched off on this server."""
        if not odoo_config.is_enabled():
            with translate_engine_errors(self.env):
                raise SwitchedOff

    @api.model
    def _create_run(self, kind, steps, trigger, **values):
        """Create a waiting run of any kind. ``steps`` are the values of its steps,
        in order."""
        self._require_enabled()
        self.env["backup.identity"]._remember()
        return self.create(
            {
                "name": self.env["ir.sequence"].next_by_code("backup.job"),
                "uuid": str(uuid.uuid4()),
                "database_uuid": self._current_database_uuid(),
                "identity": self._current_identity().key,
                "kind": kind,
                "trigger": trigger,
                "user_id": self.env.uid,
                "step_ids": self._commands(steps),
                **values,
            }
        )

    def _start(self):
        """Let a new run begin: at once when nothing runs and nothing waits that goes
        before it, else when its turn comes."""
        self.ensure_one()
        others = self.search([("state", "in", OPEN_STATES), ("id", "!=", self.id)])
        runs = "running" in others.mapped("state")
        if runs or not turn.goes_before(self, others):
            let_wait(self, others)
        else:
            spawn_after_commit(self)
        return self

    @api.model
    def _current_database_uuid(self):
        return self.env["ir.config_parameter"].sudo().get_param("database.uuid")

    @api.model
    def _current_identity(self):
        """Return who this database is, as the server knows it."""
        found = present_identity(self.env.cr)
        return replace(found, uuid=self._current_database_uuid() or "")

    def _is_own(self):
        """Tell whether this run is one of this database, and not of the one that it is
        a copy of."""
        identities = self.env["backup.identity"]
        return identities._is_own(self.database_uuid, self.identity)

    def _check_manager(self):
        if not self.env.user.has_group("dfr_backup.group_manager"):
            raise AccessError(self.env._("Only a backup manager may do that."))

    # === WHAT WORKERS DO === #

    @api.model
    def _supervise(self):
        """Resume or close what lost its runner, then start the next waiting run."""
        supervise(self)

    @api.model
    def _announce_forgotten(self):
        """Tell how those runs ended whose process could not tell it any more."""
        alerts.announce_forgotten(self)
        alerts.announce_withheld(self)

    @api.model
    def _due_moments(self):
        return alerts.due_moments(self)

    def _may_speak(self):
        """Tell whether this run is about a plan of this database, and not of its
        original."""
        return bool(self.plan_id) and self._is_own() and self.plan_id._may_speak()

    def _is_alive(self):
        """Tell whether a runner holds this run's lock, which dies with its process."""
        self.env.cr.execute(
            "SELECT pg_try_advisory_xact_lock(%s, %s)", [runner.LOCK_CLASS, self.id]
        )
        return not self.env.cr.fetchone()[0]

    def _perform(self):
        """Do what is left of this run, from its first open step on."""
        self.ensure_one()
        alerts.announce_start(self)
        self._run().perform()
        with self.env["backup.plan"]._harmless():
            self.env["backup.scheduler"]._heal()

    # === WHAT RUNS ASK === #

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

    @property
    def run_state(self):
        """What the steps of this run have left for each other, as far as it can be
        read."""
        return RunState.read(self.data)
