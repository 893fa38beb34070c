"""The guided set-up: a handful of questions about one plan, and then its first backup.

What a page asks is written into the plan when the page is left, and the next page is
noted: whoever stops goes on from there, and whoever comes back later finds what is set.
"""

from zoneinfo import available_timezones

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools.mail import email_normalize

from ..engine.policy.retention import PRESETS
from ..models.actions import form_action
from ..models.backup_audit import asks_password
from ..models.engine_messages import format_error, size_in_words
from ..models.overview.advice import SETUP_DONE as DONE
from ..models.overview.advice import SETUP_STATE as STATE
from ..models.plan.audited import has_readers
from ..models.plan.beginning import create_default
from ..models.plan.copies import backup_runs
from ..models.plan.in_words import schedule_in_words
from ..models.plan.recipients import (
    alert_users,
    delivery_problems,
    recipients_among,
)
from ..models.plan.savings import savings_in_words
from ..models.states import ENCRYPTIONS

PAGES = [
    ("where", "Where"),
    ("when", "When"),
    ("who", "Alerts"),
    ("safety", "Security"),
    ("ready", "Ready"),
]
ORDER = [page for page, _label in PAGES]


class BackupSetup(models.TransientModel):
    _name = "backup.setup"
    _description = "Set Up Backups"

    page = fields.Selection(PAGES, required=True, default="where")
    page_in_words = fields.Char(compute="_compute_page_in_words")
    alone = fields.Boolean(help="Only this page is shown.")
    trouble = fields.Text(readonly=True)
    plan_id = fields.Many2one("backup.plan", required=True, ondelete="cascade")
    other_plans = fields.Boolean(compute="_compute_other_plans")

    storage_ids = fields.Many2many(
        related="plan_id.storage_ids", readonly=False, string="Storages"
    )
    only_here = fields.Boolean(compute="_compute_only_here")
    kind_ids = fields.Many2many("backup.storage.kind", compute="_compute_kind_ids")

    frequency = fields.Selection(related="plan_id.frequency", readonly=False)
    time = fields.Float(related="plan_id.time", readonly=False)
    weekday = fields.Selection(related="plan_id.weekday", readonly=False)
    monthday = fields.Integer(related="plan_id.monthday", readonly=False)
    tz = fields.Selection(related="plan_id.tz", readonly=False)
    retention = fields.Selection(related="plan_id.retention", readonly=False)
    keeps = fields.Char(compute="_compute_keeps")
    incremental = fields.Boolean(related="plan_id.incremental", readonly=False)
    incremental_saves = fields.Char(compute="_compute_incremental_saves")

    my_email = fields.Char(
        "Your Email Address", inverse="_inverse_my_email", store=False
    )
    my_email_missing = fields.Boolean(compute="_compute_my_email_missing")
    alert_user_ids = fields.Many2many(related="plan_id.alert_user_ids", readonly=False)
    alert_group_ids = fields.Many2many(
        related="plan_id.alert_group_ids", readonly=False
    )
    alert_emails = fields.Char(related="plan_id.alert_emails", readonly=False)
    alert_success = fields.Boolean(related="plan_id.alert_success", readonly=False)
    alert_digest = fields.Boolean(related="plan_id.alert_digest", readonly=False)
    alert_addresses = fields.Char(compute="_compute_alert", string="Will Be Sent To")
    alert_trouble = fields.Text(compute="_compute_alert")

    # only together do these make sense, so the plan gets them when the page is left
    encryption = fields.Selection(
        ENCRYPTIONS, compute="_compute_encryption", store=True, readonly=False
    )
    age_recipients = fields.Text(
        string="Public Keys", compute="_compute_encryption", store=True, readonly=False
    )
    age_passphrase = fields.Char(related="plan_id.age_passphrase", readonly=False)
    asks_encryption = fields.Boolean(
        "Asks About Encryption", compute="_compute_asks_encryption"
    )
    encryption_chosen = fields.Boolean()
    verify_every = fields.Selection(related="plan_id.verify_every", readonly=False)
    drill_every = fields.Selection(
        selection="_selection_drill_every",
        string="Restore Test",
        compute="_compute_drill_every",
        store=True,
        readonly=False,
    )
    age_identity = fields.Text(related="plan_id.age_identity", readonly=False)

    in_words = fields.Char(compute="_compute_summary", string="Schedule")
    kept_in_words = fields.Char(compute="_compute_summary", string="Kept")
    encrypted_in_words = fields.Char(
        compute="_compute_summary", string="Encryption in Words"
    )
    kit_downloaded_at = fields.Datetime(related="plan_id.kit_downloaded_at")
    has_run = fields.Boolean(compute="_compute_summary")

    # === WHAT THE PAGES SHOW === #

    @api.depends("page")
    def _compute_page_in_words(self):
        labels = dict(self._fields["page"]._description_selection(self.env))
        for setup in self:
            setup.page_in_words = self.env._(
                "%(number)s of %(count)s: %(page)s",
                number=ORDER.index(setup.page) + 1,
                count=len(ORDER),
                page=labels[setup.page],
            )

    def _compute_kind_ids(self):
        self.kind_ids = self.env["backup.storage.kind"].search([])

    def _compute_other_plans(self):
        self.other_plans = self.env["backup.plan"].search_count([], limit=2) > 1

    @api.depends("storage_ids")
    def _compute_only_here(self):
        for setup in self:
            setup.only_here = not any(
                s._is_off_site() for s in setup.storage_ids._origin
            )

    @api.depends("retention")
    def _compute_keeps(self):
        for setup in self:
            setup.keeps = setup._keeps_in_words()

    @api.depends("storage_ids", "page")
    def _compute_incremental_saves(self):
        for setup in self:
            shown = setup.page == "when"
            setup.incremental_saves = shown and savings_in_words(setup.plan_id._origin)

    def _keeps_in_words(self):
        if self.retention == "none":
            return self.env._(
                "Nothing is ever deleted: look at the free space now and then."
            )
        policy = PRESETS.get(self.retention) or self.plan_id._origin._policy()
        count = policy.most_copies()
        size = self._last_archive().archive_size
        if not size:
            return self.env._("At most about %s backups in each storage.", count)
        return self.env._(
            "At most about %(count)s backups in each storage; like the last one, they "
            "would take %(size)s.",
            count=count,
            size=size_in_words(self.env, count * size),
        )

    def _last_archive(self):
        ended = [*backup_runs(self.plan_id._origin), ("archive_size", ">", 0)]
        return self.env["backup.job"].search(ended, limit=1)

    @api.depends_context("uid")
    def _compute_my_email_missing(self):
        self.my_email_missing = not self.env.user.email

    def _inverse_my_email(self):
        """Give whoever sets this up the address that their user lacks."""
        for setup in self.filtered("my_email"):
            if not email_normalize(setup.my_email):
                raise UserError(
                    self.env._("“%s” is not an email address.", setup.my_email)
                )
            self.env.user.email = setup.my_email

    @api.depends("alert_user_ids", "alert_group_ids", "alert_emails")
    def _compute_alert(self):
        for setup in self:
            plan, emails = setup.plan_id, setup.alert_emails
            users = alert_users(setup.alert_user_ids, setup.alert_group_ids)
            found = recipients_among(plan, users, emails)
            setup.alert_addresses = ", ".join(who["address"] for who in found)
            setup.alert_trouble = delivery_problems(plan, users, emails)

    @api.depends("plan_id")
    def _compute_encryption(self):
        for setup in self:
            setup.encryption = setup.plan_id.encryption
            setup.age_recipients = setup.plan_id.age_recipients

    @api.depends("plan_id", "storage_ids", "encryption_chosen")
    def _compute_asks_encryption(self):
        """Whoever lets backups leave this server decides openly who may read them."""
        for setup in self:
            setup.asks_encryption = not (
                setup.only_here
                or setup.encryption_chosen
                or has_readers(setup.plan_id._origin)
            )

    @api.model
    def _selection_drill_every(self):
        plans = self.env["backup.plan"]
        return plans._fields["drill_every"]._description_selection(self.env)

    @api.depends("plan_id", "alone")
    def _compute_drill_every(self):
        """Propose a restore test a month to a plan that has never run."""
        for setup in self:
            plan = setup.plan_id._origin
            is_new = not (setup.alone or plan.job_ids) and plan.include_database
            proposed = "30" if is_new else "0"
            setup.drill_every = (
                proposed if plan.drill_every == "0" else plan.drill_every
            )

    @api.depends("page")
    def _compute_summary(self):
        for setup in self:
            plan = setup.plan_id._origin
            labels = {
                name: dict(plan._fields[name]._description_selection(self.env))
                for name in ("retention", "encryption")
            }
            setup.in_words = schedule_in_words(plan)
            setup.kept_in_words = labels["retention"][plan.retention]
            setup.encrypted_in_words = labels["encryption"][plan.encryption]
            setup.has_run = bool(plan.last_success)

    # === OPENING AND TURNING PAGES === #

    @api.model
    def action_open(self, plan_id=None, page=None):
        """Open the set-up of a plan where it was left, or only the given page of it."""
        self.env["backup.job"]._check_manager()
        if page and page not in ORDER:
            raise UserError(self.env._("The set-up has no such page."))
        plans = self.env["backup.plan"]
        plan = plans.browse(plan_id).exists() if plan_id else plans.search([], limit=1)
        setup = self.create(
            {"plan_id": (plan or self._new_plan()).id, "alone": bool(page)}
        )
        return setup._turn_to(page or self._noted_page())

    def _new_plan(self):
        """Return a plan for somebody who has none (any more)."""
        plans = self.env["backup.plan"]
        if self.env["backup.storage"].search_count([], limit=1):
            return plans.create({"name": self.env._("Every night")})
        return create_default(plans)

    @api.model
    def _state(self):
        """Return where the set-up was left: a page, "done", or "" when it never
        began."""
        return self.env["ir.config_parameter"].sudo().get_param(STATE, "")

    def _note(self, state):
        if not self.alone:
            self.env["ir.config_parameter"].sudo().set_param(STATE, state)

    def _noted_page(self):
        state = self._state()
        return state if state in ORDER else ORDER[0]

    def _turn_to(self, page):
        """Show a page, and go on with it another time."""
        self.page = page
        if self._state() != DONE and page != ORDER[0]:
            self._note(page)
        if page == "when":
            self._guess_zone()
        if page == "safety" and self.asks_encryption:
            self.encryption = False
        return self._show()

    def _show(self):
        return form_action(self, self.env._("Set Up Backups"), dialog=True)

    def _guess_zone(self):
        """Propose the browser's time zone for a plan that nobody has given one."""
        zone = self.env.context.get("browser_tz")
        plan = self.plan_id
        if plan.tz == "UTC" and not plan.job_ids and zone in available_timezones():
            plan.tz = zone

    def action_next(self):
        """Leave this page, which may first need something else."""
        self.ensure_one()
        self.trouble = False
        leave = {"where": self._leave_where, "safety": self._leave_safety}.get(
            self.page
        )
        first = leave() if leave else None
        if first:
            return first
        if self.alone:
            return {"type": "ir.actions.act_window_close"}
        return self._turn_to(ORDER[ORDER.index(self.page) + 1])

    def action_back(self):
        """Show the page before, or this one again when another form lies over it."""
        self.ensure_one()
        covered = self.env.context.get("backup_setup") == self.id
        return (
            self._show()
            if covered
            else self._turn_to(ORDER[ORDER.index(self.page) - 1])
        )

    # === WHERE === #

    def _leave_where(self):
        """Try the storages that nobody has tried; stay here once, and say what is
        wrong."""
        found = []
        for storage in self.storage_ids.filtered(
            lambda s: not s.last_test and not s.is_foreign
        ):
            error, _found = storage._test()
            found += (
                [f"{storage.name}: {format_error(self.env, error)}"] if error else []
            )
        self.trouble = "\n".join(found) or False
        return self._show() if found else None

    # === WHO === #

    def action_test_mail(self):
        return self.plan_id.action_test_mail()

    # === SAFETY === #

    def action_generate_key(self):
        """Show a new key pair, which the plan is then encrypted for."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_key_wizard_action"
        )
        context = {"default_plan_id": self.plan_id.id, "backup_setup": self.id}
        return {**action, "context": context}

    def _leave_safety(self):
        if not self.encryption:
            raise UserError(
                self.env._(
                    "Choose whether the backups are encrypted: they leave this server."
                )
            )
        self.encryption_chosen = True
        keys = (self.age_recipients or "").strip()
        if self.encryption == "recipients" and not keys:
            return self.action_generate_key()
        if self.encryption == "passphrase" and not self.age_passphrase:
            raise UserError(
                self.env._("Type the passphrase that encrypts the backups.")
            )
        found, plan = (
            {"encryption": self.encryption, "age_recipients": keys},
            self.plan_id,
        )
        is_other = any((plan[name] or "").strip() != found[name] for name in found)
        if is_other and has_readers(plan):
            return self._encrypt_asking()
        self._encrypt()
        return None

    @asks_password
    def _encrypt_asking(self):
        self._encrypt()
        return self.action_next()

    def _encrypt(self):
        keys = (self.age_recipients or "").strip() or False
        plan = self.plan_id
        is_blind = self.encryption == "recipients" and not plan.age_identity
        if is_blind and plan.drill_every == "0":
            self.drill_every = "0"  # without a private key each test would fail
        plan.write(
            {
                "encryption": self.encryption,
                "age_recipients": keys,
                "drill_every": self.drill_every,
            }
        )

    # === READY === #

    def action_recovery_kit(self):
        return self.plan_id.action_recovery_kit()

    def action_start(self):
        """Run the first backup, and show it."""
        self.ensure_one()
        self._note(DONE)
        return self.plan_id.action_run_now()

    def action_finish(self):
        """Show the overview, which says what will happen."""
        self.ensure_one()
        self._note(DONE)
        overview = self.env["ir.actions.actions"]._for_xml_id(
            "dfr_backup.backup_overview_action"
        )
        return {**overview, "target": "main"}
