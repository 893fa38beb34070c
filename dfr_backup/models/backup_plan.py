import logging
from datetime import timedelta, timezone
from zoneinfo import available_timezones

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from .. import odoo_config
from ..engine.policy.schedule import Schedule, next_time
from .backup_step import JOB_STATES

_logger = logging.getLogger(__name__)

CLOCK_TOLERANCE = timedelta(hours=3)
WEEKDAYS = (
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
)


class BackupPlan(models.Model):
    _name = "backup.plan"
    _inherit = [
        "backup.readonly.mixin",
        "backup.secret.mixin",
        "backup.retention.mixin",
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
            "alarm_kinds",
        }
    )

    name = fields.Char(required=True)
    active = fields.Boolean(default=True)
    sequence = fields.Integer(default=10)
    frequency = fields.Selection(
        [
            ("hourly", "Every hour"),
            ("daily", "Every day"),
            ("weekly", "Every week"),
            ("monthly", "Every month"),
            ("manual", "Only by hand"),
        ],
        required=True,
        default="daily",
    )
    time = fields.Float(
        default=2.0, help="Hours and minutes. An hourly plan uses the minutes."
    )
    weekday = fields.Selection(
        [(str(number), name) for number, name in enumerate(WEEKDAYS)], default="0"
    )
    monthday = fields.Integer(
        string="Day of Month", default=1, help="In a shorter month, its last day."
    )
    tz = fields.Selection(
        lambda self: [(name, name) for name in sorted(available_timezones())],
        string="Time Zone",
        required=True,
        default=lambda self: self.env.user.tz or "UTC",
    )
    next_run = fields.Datetime(
        compute="_compute_next_run", store=True, readonly=False, copy=False, index=True
    )
    include_database = fields.Boolean("Database", default=True)
    include_filestore = fields.Boolean("Attachments", default=True)
    include_addons = fields.Boolean("Custom Addons", default=True)
    storage_ids = fields.Many2many(
        "backup.storage",
        string="Storages",
        default=lambda self: self.env["backup.storage"].search([], limit=1),
    )
    lock_timeout = fields.Integer(
        default=60, help="How many seconds the dump waits for a table that is locked."
    )
    patience = fields.Integer(
        default=30,
        help="How many seconds somebody else may wait for the dump before it gives way "
        "and is "
        "tried again later, for example when a module is upgraded meanwhile. 0: for "
        "ever.",
    )
    job_ids = fields.One2many("backup.job", "plan_id", string="Runs")
    last_job_id = fields.Many2one(
        "backup.job", compute="_compute_last", string="Last Run"
    )
    last_state = fields.Selection(
        JOB_STATES, compute="_compute_last", string="Last Result"
    )
    last_success = fields.Datetime(compute="_compute_last", string="Last Good Backup")

    _lock_timeout_positive = models.Constraint(
        "CHECK (lock_timeout > 0 AND patience >= 0)",
        "A waiting time cannot be negative.",
    )

    @api.depends("frequency", "time", "weekday", "monthday", "tz", "active")
    def _compute_next_run(self):
        now = fields.Datetime.now()
        for plan in self:
            plan.next_run = plan._next_after(now)

    @api.depends("job_ids.state")
    def _compute_last(self):
        jobs = self.env["backup.job"]
        for plan in self:
            mine = plan._backups()
            plan.last_job_id = jobs.search(mine, limit=1)
            plan.last_state = plan.last_job_id.state
            plan.last_success = jobs.search(
                [*mine, ("state", "=", "success")], limit=1
            ).date_end

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
                    "Stored backups are listed as those of this plan. Archive it "
                    "instead: its rules then delete nothing more, and the backups stay."
                )
            )

    @api.model_create_multi
    def create(self, vals_list):
        plans = super().create(vals_list)
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
        } & set(vals):
            self._wake_up_on_time()
        return result

    @api.model
    def _create_default(self):
        """Create the plan and the storage that a new installation has."""
        uuid = self.env["backup.job"]._current_database_uuid()
        path = odoo_config.default_storage_path(self.env.cr.dbname, uuid)
        storage = self.env["backup.storage"].create(
            {
                "name": self.env._("This server"),
                "provider": "local",
                "local_path": str(path),
            }
        )
        admin = self.env.ref("base.user_admin", raise_if_not_found=False)
        return self.create(
            {
                "name": self.env._("Every night"),
                "storage_ids": [fields.Command.set(storage.ids)],
                "tz": (admin and admin.tz) or self.env.user.tz or "UTC",
            }
        )

    # === SCHEDULE === #

    def _next_after(self, moment):
        """Return the next time of the schedule after ``moment`` (naive, in UTC), or
        False."""
        self.ensure_one()
        if self.frequency == "manual" or not self.active:
            return False
        schedule = Schedule(
            self.frequency,
            round((self.time or 0) * 60) % 1440,
            int(self.weekday or 0),
            self.monthday or 1,
            self.tz or "UTC",
        )
        found = next_time(schedule, moment.replace(tzinfo=timezone.utc))
        return found.replace(tzinfo=None)

    def _wake_up_on_time(self):
        """Let the supervisor's cron run at the next time of these plans."""
        moments = [plan.next_run for plan in self if plan.next_run]
        cron = self.env["backup.scheduler"]._cron()
        if moments and cron:
            cron._trigger(moments)

    @api.model
    def _cron_supervise(self):
        """Create the runs that are due, look after those that run, start the next
        one."""
        self._create_due_runs()
        self._create_due_verifications()
        self._create_due_drills()
        self.env["backup.storage"]._create_due_looks()
        self.env["backup.job"]._supervise()

    @api.model
    def _create_due_runs(self):
        """Create one run for each plan whose time has come, however often it was
        missed."""
        now = fields.Datetime.now()
        for plan in self.search([("next_run", "<=", now)]).try_lock_for_update():
            moment = plan.next_run
            if moment > now:
                continue
            plan.next_run = plan._next_after(now)
            plan._create_due_run(moment)

    @api.model
    def _forget_wrong_clocks(self, now):
        """Bring back plans that wait for a moment which a clock has set that was
        ahead."""
        for plan in self.search([]):
            wrong = plan._wrong_moments(now)
            if wrong and plan.try_lock_for_update():
                for name in wrong:
                    _logger.warning("%s of plan %s was %s", name, plan.name, plan[name])
                plan.write(wrong)

    def _wrong_moments(self, now):
        """Return the right moments of this plan for those that only a wrong clock can
        have set, by their field."""
        following = self._next_after(now)
        known = {
            "next_run": (
                following and self._latest_next_run(now, following),
                following,
            ),
            "next_verification": (self._after_verification(),) * 2,
            "next_drill": (self._after_drill(),) * 2,
            "next_digest": (self._after_digest(),) * 2,
            "promised_since": (now + CLOCK_TOLERANCE, now),
        }
        return {
            name: right
            for name, (last, right) in known.items()
            if right and self[name] and self[name] > max(last, right)
        }

    def _latest_next_run(self, now, following):
        """Return the latest moment that a right clock can have set: a clock that is
        put back by less than three hours, or half of what lies between two runs,
        repeats none."""
        gap = self._next_after(following) - following
        return now + gap + min(gap / 2, CLOCK_TOLERANCE)

    def _create_due_run(self, moment):
        jobs = self.env["backup.job"]
        if jobs.search_count([*self._backups(), ("state", "=", "pending")], limit=1):
            _logger.info("Plan %s: a run is already waiting", self.name)
            return
        # the clock may have been at this moment before, and was set back by more than a
        # run
        served = jobs.search_count(
            [*self._backups(), ("scheduled_at", "=", moment)], limit=1
        )
        jobs._create_for(self, "schedule", scheduled_at=not served and moment)

    # === RUN NOW === #

    def action_run_now(self):
        """Start a run, and show it. When one is already waiting, show that one."""
        self.ensure_one()
        self.env["backup.job"]._check_manager()
        return self.sudo()._request_run("manual")._action_open()

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
        waiting = jobs.search([*self._backups(), ("state", "=", "pending")], limit=1)
        return waiting or jobs._create_for(self, trigger)._start()

    def _backups(self):
        """Return the domain of this plan's backups among all runs."""
        return [("plan_id", "=", self.id), ("kind", "=", "backup")]

    def action_view_jobs(self):
        """Open the history of this plan."""
        self.ensure_one()
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_job_action"
        )
        return {**action, "domain": [("plan_id", "=", self.id)], "context": {}}
