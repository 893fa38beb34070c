from zoneinfo import available_timezones

from markupsafe import Markup

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import format_datetime

from ... import odoo_config
from ...engine.policy.overdue import promised_hours
from ...engine.policy.schedule import Schedule
from ...engine.profile.read import WEEKDAYS
from ..actions import form_action
from ..audited import used_storages
from ..mixins.backup_retention_mixin import RULES
from ..moments import to_odoo_datetime
from ..states import JOB_STATES
from . import audited, due
from .beginning import profile_defaults, quiet_time
from .copies import (
    backup_runs,
    newest_of_each_storage,
    newest_whole_copy,
    stored_backups,
)
from .overdue import reason_in_words, remedies, verdicts
from .pausing import next_after, slot_after
from .retention import fates, preview
from .warnings import warnings_of


class BackupPlan(models.Model):
    """What is backed up, when, to where, and for how long."""

    _name = "backup.plan"
    _inherit = [
        "backup.empty.mixin",
        "backup.encryption.mixin",
        "backup.alerts.mixin",
        "backup.readonly.mixin",
        "backup.secret.mixin",
        "backup.retention.mixin",
        "backup.audit.mixin",
    ]
    _description = "Backup Plan"
    _order = "sequence, id"

    # what a plan has shown, and when its turn comes
    READONLY_FIELDS = frozenset(
        {
            "next_run",
            "next_verification",
            "next_drill",
            "next_digest",
            "last_proven",
            "last_proven_seconds",
            "promised_since",
            "overdue_told_at",
            "overdue_reported_at",
            "alarm_kinds",
        }
    )

    name = fields.Char(required=True)
    active = fields.Boolean(default=True, tracking=True)
    sequence = fields.Integer(default=10)
    frequency = fields.Selection(
        [
            ("hourly", "Every hour"),
            ("daily", "Every day"),
            ("weekly", "Every week"),
            ("monthly", "Every month"),
            ("manual", "Manual only"),
        ],
        required=True,
        default="daily",
        tracking=True,
    )
    time = fields.Float(
        default=lambda self: quiet_time(self.env),
        help="Hours and minutes. An hourly plan uses the minutes. A new plan gets a "
        "time between 01:00 and 05:00 that depends on the database, so that the "
        "databases of a server do not all begin at once.",
        tracking=True,
    )
    weekday = fields.Selection(
        [(str(number), name.title()) for number, name in enumerate(WEEKDAYS)],
        default="0",
        tracking=True,
    )
    monthday = fields.Integer(
        string="Day of Month",
        default=1,
        help="Uses the last day in shorter months.",
        tracking=True,
    )
    tz = fields.Selection(
        lambda self: [(name, name) for name in sorted(available_timezones())],
        string="Time Zone",
        required=True,
        default=lambda self: self.env.user.tz or "UTC",
        tracking=True,
    )
    next_run = fields.Datetime(
        compute="_compute_next_run", store=True, readonly=False, copy=False, index=True
    )
    paused_until = fields.Datetime(
        copy=False,
        tracking=True,
        help="Until then no run of this plan is started by its schedule.",
    )
    include_database = fields.Boolean("Database", default=True, tracking=True)
    include_filestore = fields.Boolean("Attachments", default=True, tracking=True)
    include_addons = fields.Boolean("Custom Addons", default=True, tracking=True)
    incremental = fields.Boolean(
        "Incremental: store each attachment once",
        help="Attachments never change: a backup stores only those that its storage "
        "does not have yet, and shares the others with the backups before it.",
        tracking=True,
    )
    storage_ids = fields.Many2many(
        "backup.storage",
        string="Storages",
        default=lambda self: self.env["backup.storage"].search([], limit=1),
        tracking=True,
    )
    retention = fields.Selection(tracking=True)
    encryption = fields.Selection(tracking=True)
    lock_timeout = fields.Integer(
        "Max. Wait for Locked Tables",
        default=60,
        help="How many seconds the dump waits for a table that is locked.",
    )
    patience = fields.Integer(
        "Max. Wait Caused to Other Users",
        default=30,
        help="How many seconds other users may wait for the dump, for example to "
        "upgrade a module, before it is stopped and tried again later. 0: no limit.",
    )
    job_ids = fields.One2many("backup.job", "plan_id", string="Runs")
    last_job_id = fields.Many2one(
        "backup.job", compute="_compute_last", string="Last Run"
    )
    last_state = fields.Selection(
        JOB_STATES, compute="_compute_last", string="Last Result"
    )
    last_success = fields.Datetime(
        compute="_compute_last", string="Last Verified Backup"
    )
    verify_every = fields.Selection(
        [
            ("0", "Never"),
            ("1", "Every day"),
            ("7", "Every week"),
            ("30", "Every month"),
        ],
        string="Verify Stored Copies",
        required=True,
        default="7",
        help="Each copy is verified when it is stored. This verifies the newest ones "
        "again.",
        tracking=True,
    )
    verify_newest = fields.Integer(
        string="Newest Copies", default=1, help="How many are verified in each storage."
    )
    next_verification = fields.Datetime(
        compute="_compute_next_verification", store=True, readonly=False, copy=False
    )
    retention_preview = fields.Html(
        compute="_compute_retention_preview", sanitize=False
    )
    drill_every = fields.Selection(
        [("0", "Never"), ("7", "Every week"), ("30", "Every month")],
        string="Restore Test",
        required=True,
        default="0",
        help="The newest copy in each storage is restored into a temporary database. "
        "Its row counts and files are compared, Odoo is started on it, and it is "
        "dropped. For that time it needs as much space as the database.",
        tracking=True,
    )
    next_drill = fields.Datetime(
        string="Next Restore Test",
        compute="_compute_next_drill",
        store=True,
        readonly=False,
        copy=False,
    )
    last_proven = fields.Datetime("Last Restore Test Passed", readonly=True, copy=False)
    last_proven_seconds = fields.Float("Restore Duration", readonly=True, copy=False)
    promise_hours = fields.Integer(
        "Alert If No Verified Backup for",
        compute="_compute_promise_hours",
        store=True,
        readonly=False,
        help="In hours. The plan is overdue when its last successful backup, verified "
        "in all its storages, is older, for whatever reason, also when Odoo was not "
        "running. 0: no alert.",
        tracking=True,
    )
    promised_since = fields.Datetime(
        compute="_compute_promised_since", store=True, copy=False
    )
    promise_deadline = fields.Datetime("Due", compute="_compute_overdue")
    is_overdue = fields.Boolean(
        "Overdue", compute="_compute_overdue", search="_search_is_overdue"
    )
    overdue_reason = fields.Char(compute="_compute_overdue")
    overdue_remedy = fields.Char(compute="_compute_overdue")
    overdue_told_at = fields.Datetime(
        copy=False,
        readonly=True,
        help="When the overdue alert was sent; it is sent once.",
    )
    overdue_reported_at = fields.Datetime(
        copy=False,
        readonly=True,
        help="When monitors and the server's administrator were told: no snooze holds "
        "that back.",
    )
    size_warning = fields.Integer(
        "Warn If Backup Shrinks by",
        default=50,
        help="In percent of the size of the last successful backups. The recipients of "
        "failure alerts are notified once. 0: never.",
    )
    warnings = fields.Text(compute="_compute_warnings")
    warning_kinds = fields.Char(compute="_compute_warnings")
    job_count = fields.Integer(compute="_compute_counts")
    backup_count = fields.Integer(compute="_compute_counts")

    _lock_timeout_positive = models.Constraint(
        "CHECK (lock_timeout > 0 AND patience >= 0)",
        "A waiting time cannot be negative.",
    )
    _verify_newest_positive = models.Constraint(
        "CHECK (verify_newest > 0)", "Verify at least one copy, or never."
    )
    _promise_not_negative = models.Constraint(
        "CHECK (promise_hours >= 0)", "A time limit cannot be negative."
    )
    _size_warning_percent = models.Constraint(
        "CHECK (size_warning BETWEEN 0 AND 99)",
        "Enter a percentage from 0 (no warning) to 99.",
    )

    @api.depends(
        "frequency", "time", "weekday", "monthday", "tz", "active", "paused_until"
    )
    def _compute_next_run(self):
        now = fields.Datetime.now()
        for plan in self:
            plan.next_run = next_after(plan, now)

    @api.depends("job_ids.state")
    def _compute_last(self):
        jobs = self.env["backup.job"]
        for plan in self:
            mine = backup_runs(plan)
            plan.last_job_id = jobs.search(mine, limit=1)
            plan.last_state = plan.last_job_id.state
            plan.last_success = jobs.search(
                [*mine, ("state", "=", "success")], limit=1
            ).date_end

    @api.depends(
        "include_database",
        "include_filestore",
        "incremental",
        "frequency",
        "promise_hours",
        "storage_ids",
        "retention",
        *RULES,
        "encryption",
        "age_recipients",
        "age_identity",
        "kit_downloaded_at",
        "verify_every",
        "drill_every",
        "snoozed_until",
        "paused_until",
    )
    def _compute_warnings(self):
        for plan in self:
            found = warnings_of(plan)
            plan.warnings = "\n".join(found.values()) or False
            plan.warning_kinds = ",".join(found) or False

    @api.depends(
        "storage_ids",
        "frequency",
        "time",
        "weekday",
        "monthday",
        "tz",
        "retention",
        *RULES,
    )
    def _compute_retention_preview(self):
        for plan in self:
            parts = [preview(plan, storage) for storage in plan._origin.storage_ids]
            plan.retention_preview = Markup().join(parts)

    @api.depends("job_ids")
    def _compute_counts(self):
        jobs, backups = (
            dict(self.env[model]._read_group(domain, ["plan_id"], ["__count"]))
            for model, domain in (
                ("backup.job", [("plan_id", "in", self.ids)]),
                ("backup.backup", stored_backups(self)),
            )
        )
        for plan in self:
            plan.job_count = jobs.get(plan._origin, 0)
            plan.backup_count = backups.get(plan._origin, 0)

    @api.constrains("include_database", "include_filestore", "include_addons")
    def _check_contents(self):
        for plan in self:
            if not (
                plan.include_database or plan.include_filestore or plan.include_addons
            ):
                raise ValidationError(
                    self.env._("Choose at least one thing to back up.")
                )

    @api.constrains("storage_ids")
    def _check_storages(self):
        for plan in self:
            if not plan.storage_ids:
                raise ValidationError(
                    self.env._("Choose at least one storage for the backups.")
                )

    @api.constrains("time", "monthday")
    def _check_schedule(self):
        for plan in self:
            if not 0 <= plan.time < 24:
                raise ValidationError(
                    self.env._("The time must be between 00:00 and 23:59.")
                )
            if not 1 <= plan.monthday <= 31:
                raise ValidationError(
                    self.env._("The day of the month must be from 1 to 31.")
                )

    @api.ondelete(at_uninstall=False)
    def _unlink_except_history(self):
        if self.job_ids:
            raise UserError(
                self.env._(
                    "This plan has a history. Archive it instead: nothing is lost then."
                )
            )
        if self.env["backup.copy"].search_count([("plan_id", "in", self.ids)], limit=1):
            raise UserError(
                self.env._(
                    "This plan still has backups. Archive it instead: its rules then "
                    "delete nothing more, and the backups stay."
                )
            )

    @api.model_create_multi
    def create(self, vals_list):
        used = used_storages(self.env)
        plans = super().create(vals_list)
        for plan in plans:
            audited.note_first_destinations(plan, used)
        plans._wake_up_on_time()
        return plans

    def write(self, vals):
        result = super().write(vals)
        if {
            "frequency",
            "time",
            "weekday",
            "monthday",
            "tz",
            "active",
            "next_run",
            "paused_until",
        } & set(vals):
            self._wake_up_on_time()
        return result

    @api.model
    def default_get(self, fields):
        found = super().default_get(fields)
        return {**found, **profile_defaults(self.env, fields)}

    def _fates(self, storage):
        """Return when each copy in ``storage`` goes and why it stays until then, by
        the copy's id."""
        return fates(self, storage)

    # === SCHEDULE === #

    def _schedule(self):
        """Return when it runs, as the engine knows it; None: never by itself."""
        self.ensure_one()
        if self.frequency == "manual" or not self.active:
            return None
        return Schedule(
            self.frequency,
            round((self.time or 0) * 60) % 1440,
            int(self.weekday or 0),
            self.monthday or 1,
            self.tz or "UTC",
        )

    def _wake_up_on_time(self):
        """Let the supervisor's cron run at the next time of these plans."""
        moments = [plan.next_run for plan in self if plan.next_run]
        cron = self.env["backup.scheduler"]._cron()
        if moments and cron:
            cron._trigger(moments)

    @api.depends("drill_every", "active")
    def _compute_next_drill(self):
        for plan in self:
            plan.next_drill = due.days_from_now(plan, plan.drill_every)

    @api.depends("verify_every", "active")
    def _compute_next_verification(self):
        for plan in self:
            plan.next_verification = due.days_from_now(plan, plan.verify_every)

    @api.model
    def _cron_supervise(self):
        """Do what is due; then sleep until the next thing is."""
        if not odoo_config.is_enabled():
            return
        mismatch = self.env["backup.version"]._mismatch()
        if mismatch:  # a call that fails a few times is switched off by Odoo
            self.env["backup.version"]._tell(mismatch)
            return
        scheduler = self.env["backup.scheduler"]
        try:
            scheduler._heal()
            scheduler._do_what_is_due()
            scheduler._sleep()
        except Exception:
            scheduler._retry_soon()
            raise

    # === PROMISE === #

    @api.depends("frequency")
    def _compute_promise_hours(self):
        for plan in self:
            plan.promise_hours = promised_hours(plan.frequency)

    @api.depends("promise_hours", "active")
    def _compute_promised_since(self):
        for plan in self:
            begins = plan.promised_since or fields.Datetime.now()
            plan.promised_since = (
                begins if plan.active and plan.promise_hours > 0 else False
            )

    @api.depends("promise_hours", "promised_since", "active", "job_ids.state")
    @api.depends_context("lang", "tz")
    def _compute_overdue(self):
        found = verdicts(self)
        for plan in self:
            verdict = found[plan]
            plan.promise_deadline = to_odoo_datetime(verdict.deadline)
            plan.is_overdue = verdict.overdue
            plan.overdue_reason = reason_in_words(plan, verdict)
            plan.overdue_remedy = remedies(self.env).get(verdict.reason, False)

    def _search_is_overdue(self, operator, value):
        if operator != "in":
            return NotImplemented
        overdue = self.sudo().search([]).filtered("is_overdue")
        return [("id", "in" if True in value else "not in", overdue.ids)]

    def _in_words(self, moment):
        """Return a moment (naive, in UTC) as text, in the reader's time zone and
        language."""
        if not moment:
            return self.env._("never")
        tz = self.env.context.get("tz") or self.tz
        return format_datetime(self.env, moment, tz=tz, dt_format="medium")

    # === BUTTONS === #

    def action_run_now(self):
        """Start a run, and show it. When one is already waiting, show that one."""
        self.ensure_one()
        self.env["backup.job"]._check_manager()
        return form_action(self.sudo()._request_run("manual"))

    def action_skip_next(self):
        """Leave out the next scheduled run, and none after it."""
        self.ensure_one()
        self.env["backup.job"]._check_manager()
        skipped = self.next_run
        if not skipped or skipped != slot_after(self, fields.Datetime.now()):
            raise UserError(
                self.env._("There is no scheduled run that could be skipped.")
            )
        self.paused_until = skipped
        return True

    def action_resume(self):
        """Let the schedule start runs again."""
        self.env["backup.job"]._check_manager()
        self.paused_until = False
        return True

    def _request_run(self, trigger):
        """Return the run that serves this request: a new one, or the one that waits
        already."""
        self.ensure_one()
        self.env["backup.job"]._require_enabled()
        self.env["backup.scheduler"]._heal()
        if not self.storage_ids:
            raise UserError(
                self.env._("The plan has no storage. Choose where backups go first.")
            )
        jobs = self.env["backup.job"]
        waiting = jobs.search([*backup_runs(self), ("state", "=", "pending")], limit=1)
        return waiting or jobs._create_for(self, trigger)._start()

    def action_view_jobs(self):
        """Open the history of this plan."""
        self.ensure_one()
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_job_action"
        )
        return {**action, "domain": [("plan_id", "=", self.id)], "context": {}}

    def action_view_backups(self):
        """Open the backups of this plan that are there."""
        self.ensure_one()
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_backup_action"
        )
        return {**action, "domain": stored_backups(self), "context": {}}

    def action_view_storages(self):
        """Open all storages; with ``own_storages`` in the context, this plan's."""
        self.check_access("read")
        own = self.storage_ids if self.env.context.get("own_storages") else None
        if own and len(own) == 1:
            return form_action(own)
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_storage_action"
        )
        return {**action, "domain": [("id", "in", own.ids)]} if own else action

    def action_drill(self):
        """Prove now that the newest copies restore, and show the run."""
        self.ensure_one()
        self.env["backup.job"]._check_manager()
        copies = newest_of_each_storage(self.sudo())
        if not copies:
            raise UserError(self.env._("There is no backup of this plan yet."))
        return form_action(copies._request_drill("manual", plan_id=self.id))

    def action_staging(self):
        """Ask whether the newest good backup is to become a staging copy."""
        self.ensure_one()
        self.env["backup.job"]._check_manager()
        copy = newest_whole_copy(self.sudo())
        if not copy:
            raise UserError(
                self.env._(
                    "There is no verified backup of the database yet. Run a backup "
                    "first."
                )
            )
        return copy.with_env(self.env).action_staging()

    # === AUDIT === #

    def _unasked_actions(self):
        return audited.UNASKED

    def _audited_fields(self):
        return audited.FIELDS

    def _audited(self):
        return audited.texts(self.sudo())

    def _guarded_values(self):
        return audited.values(self.sudo())

    def _weakens(self, action, before):
        return audited.weakens(action, before, self._guarded_values()[action])
