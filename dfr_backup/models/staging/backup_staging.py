import logging
from datetime import timedelta

from babel.dates import format_timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools.misc import babel_locale_parse, get_lang

from ...engine.errors import EngineError
from ...engine.errors.staging import StagingBusy
from ...engine.messages import Size
from ...engine.restore.staging_mark import StagingMark
from ..actions import form_action, notification
from ..addresses import address_of, is_served
from ..backup_audit import asks_password
from ..engine_messages import (
    error_columns,
    format_error,
    size_in_words,
    translate_engine_errors,
)
from ..plan.copies import newest_whole_copy
from ..states import OPEN_STATES
from . import looking
from .states import LONGEST_DAYS, STATES

_logger = logging.getLogger(__name__)

FILES_SECONDS = 30.0  # in which files are counted where nobody waits
FORGETTABLE = ("changed", "gone", "failed", "deleted")
REFRESHABLE = ("ready", "gone", "failed")


class BackupStaging(models.Model):
    """A database that a restore has made as a harmless copy. What the server says of
    it decides, never what stands here."""

    _name = "backup.staging"
    _inherit = [
        "backup.empty.mixin",
        "backup.error.mixin",
        "backup.readonly.mixin",
        "backup.audit.mixin",
    ]
    _description = "Staging Copy"
    _order = "id desc"
    _rec_name = "database"
    READONLY_FIELDS = frozenset(
        ("error", "hint", "error_code", "error_values", "delete_on", "size")
    )

    database = fields.Char(required=True, readonly=True)
    state = fields.Selection(STATES, required=True, readonly=True, default="making")
    user_id = fields.Many2one("res.users", "Owner", readonly=True, ondelete="set null")
    job_id = fields.Many2one(
        "backup.job", "Run", readonly=True, ondelete="set null", copy=False
    )
    copy_id = fields.Many2one(
        "backup.copy", "Made From", readonly=True, ondelete="set null"
    )
    backup_date = fields.Datetime("Date of the Backup", readonly=True)
    made_at = fields.Datetime("Made", readonly=True)
    age = fields.Char(compute="_compute_age")
    database_size = fields.Float(digits=(20, 0), readonly=True, help="In bytes.")
    filestore_size = fields.Float(
        "Attachments", digits=(20, 0), readonly=True, help="In bytes."
    )
    size = fields.Float(
        compute="_compute_size", store=True, digits=(20, 0), help="In bytes."
    )
    neutralized = fields.Selection(
        [("yes", "Yes"), ("no", "No")],
        readonly=True,
        help="It sends no email, runs no scheduled action, and takes no payment.",
    )
    keep_days = fields.Integer(
        "Delete After (Days)",
        help="The copy is deleted automatically, this many days after it was "
        "made. Its owner gets an email before that. 0: it stays until "
        "somebody deletes it.",
    )
    delete_on = fields.Datetime(
        "To Be Deleted", compute="_compute_delete_on", store=True
    )
    announced_at = fields.Datetime("Announced", readonly=True, copy=False)
    deleted_at = fields.Datetime("Deleted", readonly=True, copy=False)
    looked_at = fields.Datetime("Last Look", readonly=True, copy=False)
    url = fields.Char("Address", compute="_compute_url")
    is_served = fields.Boolean(compute="_compute_url")
    # how its database is recognised
    oid = fields.Char("OID", readonly=True, copy=False)
    former_oid = fields.Char("OID of What It Has Replaced", readonly=True, copy=False)
    run_uuid = fields.Char("Identifier of Its Run", readonly=True, copy=False)
    database_uuid = fields.Char("Database That Has Made It", readonly=True)
    identity = fields.Char("Identity of That Database", readonly=True)

    _keep_days_are_days = models.Constraint(
        f"CHECK (keep_days BETWEEN 0 AND {LONGEST_DAYS})",
        f"Enter a number of days from 0 to {LONGEST_DAYS}.",
    )

    @api.depends("made_at")
    @api.depends_context("lang")
    def _compute_age(self):
        now, locale = fields.Datetime.now(), babel_locale_parse(get_lang(self.env).code)
        for staging in self:
            made = staging.made_at
            staging.age = made and format_timedelta(now - made, locale=locale)

    @api.depends("database_size", "filestore_size")
    def _compute_size(self):
        for staging in self:
            staging.size = staging.database_size + staging.filestore_size

    @api.depends("made_at", "keep_days")
    def _compute_delete_on(self):
        for staging in self:
            days, made = staging.keep_days, staging.made_at
            staging.delete_on = days and made and made + timedelta(days=days)

    @api.depends("database", "state")
    def _compute_url(self):
        for staging in self:
            there = staging.state == "ready"
            staging.url = there and address_of(staging, staging.database)
            staging.is_served = there and is_served(staging, staging.database)

    def write(self, vals):
        if "keep_days" in vals:  # whoever changes it is told again
            self.sudo().filtered("announced_at").announced_at = False
        return super().write(vals)

    # === BUTTONS === #

    def action_open(self):
        """Open the copy in another tab; where this Odoo does not serve it, the form
        that says how it can."""
        self.ensure_one()
        self.check_access("read")
        if not self.url:
            raise UserError(self.env._("This staging copy is not available."))
        if not self.is_served:
            return form_action(self)
        return {"type": "ir.actions.act_url", "url": self.url, "target": "new"}

    def action_look(self):
        """Look at these copies now. Their files are counted by the scheduler: that may
        take long."""
        self.env["backup.job"]._check_manager()
        self.sudo().filtered(lambda one: one.state != "deleted")._settle(seconds=0)
        return True

    def action_refresh(self):
        """Ask whether the newest backup is to take the place of this copy."""
        self.ensure_one()
        self.env["backup.job"]._check_manager()
        if self.state not in REFRESHABLE:
            raise UserError(self.env._("This staging copy cannot be refreshed."))
        with translate_engine_errors(self.env):
            looking.require_replaceable(self.sudo())
        action = self._newest_copy().with_env(self.env).action_staging()
        about = {"default_staging_id": self.id, "default_keep_days": self.keep_days}
        return {**action, "context": {**action["context"], **about}}

    def _newest_copy(self):
        """Return the newest backup of the plan that this one was made from; the one
        that it was made from, where no plan has made that."""
        plan = self.sudo().copy_id.plan_id
        copy = newest_whole_copy(plan) if plan else self.sudo().copy_id
        if not copy:
            raise UserError(
                self.env._("There is no verified backup to make this copy from.")
            )
        return copy

    def action_ask_delete(self):
        """Say what would be deleted, and ask."""
        self.env["backup.job"]._check_manager()
        there = self.filtered(lambda staging: staging.state == "ready")
        if not there:
            raise UserError(
                self.env._("Only a staging copy that is available can be deleted.")
            )
        about = {"operation": "delete_staging", "staging_ids": there.ids}
        wizard = self.env["backup.confirm.wizard"].create(about)
        name = self.env._("Delete Staging Copies")
        return form_action(wizard, name, dialog=True)

    @asks_password
    def action_delete(self):
        """Drop these copies, with their files."""
        self.env["backup.job"]._check_manager()
        failures = []
        for staging in self.sudo().filtered(lambda one: one.state == "ready"):
            try:
                looking.delete(staging)
            except EngineError as error:
                text = format_error(self.env, error)
                failures.append(f"{staging.database}: {text}")
                staging.write({**looking.found(staging, 0), **error_columns(error)})
                continue
            self.env["backup.audit"]._note("staging", staging, staging._in_words())
            _logger.info("User %s deleted %s", self.env.uid, staging.database)
        if not failures:
            return True
        title = self.env._("Not all staging copies were deleted")
        return notification(title, "\n".join(failures), "danger")

    def action_forget(self):
        """Take copies off the list that are no copies of ours, or not there any more:
        no database is touched."""
        self.env["backup.job"]._check_manager()
        if self.filtered(lambda staging: staging.state not in FORGETTABLE):
            raise UserError(
                self.env._(
                    "A staging copy that is available cannot be removed from the "
                    "list. Delete it instead."
                )
            )
        self.sudo().unlink()
        return self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_staging_action"
        )

    # === MADE BY A RUN === #

    @api.model
    def _begin(self, database, keep_days, staging=None):
        """Return the record of a copy that is going to be made, or be made anew when
        ``staging`` is given: one that has failed is used again. Raise EngineError."""
        failed = [("database", "=", database), ("state", "=", "failed")]
        known = staging or self.search([*failed, ("oid", "=", False)], limit=1)
        jobs = self.env["backup.job"].sudo()
        if known.job_id.state in OPEN_STATES:
            raise StagingBusy(database=database)
        if known.oid:
            looking.require_replaceable(known)
        owner = known.user_id or self.env.user
        values = {"keep_days": keep_days, "user_id": owner.id, "state": "making"}
        if known:
            known.write(values)
            return known
        identity = jobs._current_identity()
        whose = {"database_uuid": identity.uuid, "identity": identity.key}
        return self.create({**values, **whose, "database": database})

    def _restore_options(self, job):
        """Return what the restore ``job`` of this copy has to know of it, as options
        of the engine; nothing for another restore."""
        if not self:
            return {}
        mark = {"mark": StagingMark(job.uuid, job.identity)}
        if not self.oid:
            return mark
        return {
            **mark,
            "replace_existing": True,
            "replaces": int(self.oid),
            "may_replace": self._let_go,
        }

    def _let_go(self):
        """Remember what is going to be replaced, so that it can be dropped then. Raise
        EngineError when it may not be replaced any more."""
        looking.require_replaceable(self)
        self.env["backup.job"]._persist(self, {"former_oid": self.oid})

    def _settle(self, seconds=FILES_SECONDS):
        """Note what the last run of these copies has made, drop what it has replaced,
        and look how they are."""
        jobs = self.env["backup.job"]
        for staging in self:
            job = staging.job_id
            if looking.has_made(staging, job):
                jobs._persist(staging, staging._made_by(job))
            looking.sweep(staging)
            jobs._persist(staging, looking.found(staging, seconds))

    def _made_by(self, job):
        """Return the values of a copy that ``job`` has made."""
        copy = job.step_ids.copy_id[:1]
        return {
            "oid": str(job.run_state.restored),
            "run_uuid": job.uuid,
            "database_uuid": job.database_uuid,
            "identity": job.identity,
            "copy_id": copy.id,
            "backup_date": copy.date,
            "made_at": fields.Datetime.now(),
            "announced_at": False,
            "state": "ready",
            "neutralized": "yes",
        }

    # === IN WORDS === #

    def _size_in_words(self):
        return size_in_words(self.env, self.size)

    def _in_words(self):
        """Return what the audit trail keeps of a copy."""
        owner = self.user_id.login or "?"
        return f"{Size(int(self.size))}, {owner}, {self.backup_date or '?'}"

    # === AUDIT === #

    def _audited_fields(self):
        return {"keep_days"}

    def _audited(self):
        return {"staging_days": f"{self.keep_days} days"}

    def _guarded_values(self):
        return {"staging_days": self.keep_days}

    def _weakens(self, action, before):
        """Tell whether a copy is deleted sooner than with ``before``, where 0 is
        never."""
        return bool(self.keep_days) and (not before or self.keep_days < before)
