"""Who is told what about a plan, and how: mails and activities."""

import logging
from contextlib import contextmanager, nullcontext
from datetime import timedelta, timezone
from operator import itemgetter

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import groupby, mail

from .. import odoo_config, runner
from ..engine.monitoring.ping import check_url
from ..engine.policy.schedule import Schedule, next_time
from .engine_messages import translate, translate_engine_errors

_logger = logging.getLogger(__name__)

DIGEST_MINUTE = 8 * 60  # of Monday, in the plan's time zone
HEADERS = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "OOF"}
# runs that make backups, and runs that look at them, are mended apart
ATTENTION = {"backup": "dfr_backup.mail_activity_type_backup"}
ATTENTION_ELSE = "dfr_backup.mail_activity_type_check"


class BackupPlan(models.Model):
    _name = "backup.plan"
    _inherit = ["backup.plan", "mail.thread", "mail.activity.mixin"]

    alert_failure = fields.Boolean(
        "Failures",
        default=True,
        help="A run failed or was only partly good, or the backup is overdue.",
    )
    alert_recovery = fields.Boolean(
        "Recovery", default=True, help="The first good run after a failure."
    )
    alert_success = fields.Boolean("Every Good Run")
    alert_digest = fields.Boolean("Weekly Digest", help="On Monday at eight.")
    alert_user_ids = fields.Many2many(
        "res.users", "backup_plan_alert_user", string="Users"
    )
    alert_group_ids = fields.Many2many(
        "res.groups",
        "backup_plan_alert_group",
        string="Roles",
        default=lambda self: self.env.ref(
            "dfr_backup.group_manager", raise_if_not_found=False
        ),
    )
    alert_emails = fields.Char("Other Addresses", help="Separated by commas.")
    alert_addresses = fields.Char("Mails Go To", compute="_compute_alert_addresses")
    attention_user_ids = fields.Many2many(
        "res.users",
        "backup_plan_attention_user",
        string="Activities For",
        domain=lambda self: [
            ("all_group_ids", "in", self.env.ref("dfr_backup.group_viewer").ids),
        ],
        default=lambda self: self._default_attention_users(),
        help="They get an activity when a run fails or the backup is overdue. The next "
        "good run "
        "closes it.",
    )
    alarm_kinds = fields.Json(
        copy=False, help="Kinds of runs of which the last did not end well."
    )
    next_digest = fields.Datetime(
        compute="_compute_next_digest", store=True, copy=False
    )
    ping_url = fields.Char(
        "Healthchecks",
        compute="_compute_secrets",
        inverse="_inverse_ping_url",
        help="The ping address of a check at healthchecks.io, or of anything that "
        "follows its "
        "conventions: it is told when a run starts, succeeds or fails. The server "
        "itself calls "
        "it, also inside of your network.",
    )
    push_url = fields.Char(
        "Uptime Kuma",
        compute="_compute_secrets",
        inverse="_inverse_push_url",
        help="The push address of a monitor of Uptime Kuma: it is told after each run.",
    )
    webhook_url = fields.Char(
        "Webhook",
        compute="_compute_secrets",
        inverse="_inverse_webhook_url",
        help="Gets a POST with a summary as JSON when a run starts and ends, and when "
        "the backup "
        "is overdue. The server itself calls it, also inside of your network.",
    )

    def _default_attention_users(self):
        """Return whoever makes the plan, or the administrator while the addon is
        installed."""
        user = self.env.user
        return (
            user
            if user.active
            else self.env.ref("base.user_admin", raise_if_not_found=False)
        )

    @api.depends("alert_user_ids", "alert_group_ids", "alert_emails")
    def _compute_alert_addresses(self):
        for plan in self:
            plan.alert_addresses = ", ".join(
                who["address"] for who in plan._alert_recipients()
            )

    @api.depends("alert_digest", "tz", "active")
    def _compute_next_digest(self):
        for plan in self:
            plan.next_digest = plan._after_digest()

    @api.constrains("alert_emails")
    def _check_alert_emails(self):
        for plan in self:
            for part in (plan.alert_emails or "").split(","):
                if part.strip() and not mail.email_normalize(part):
                    raise ValidationError(
                        self.env._("“%s” is no mail address.", part.strip())
                    )

    def _inverse_ping_url(self):
        self._seal_address("ping_url")

    def _inverse_push_url(self):
        self._seal_address("push_url")

    def _inverse_webhook_url(self):
        self._seal_address("webhook_url")

    def _seal_address(self, name):
        """Keep the address of a monitor, which holds a token, as a secret."""
        for plan in self:
            if plan[name] and set(plan[name]) != {"*"}:
                with translate_engine_errors(self.env, ValidationError):
                    check_url(plan[name])
        self._seal_secret(name)

    # === WHEN === #

    @api.model
    def _cron_supervise(self):
        result = super()._cron_supervise()
        self.env["backup.job"]._announce_forgotten()
        self._watch_promises()
        self._send_digests()
        return result

    @api.autovacuum
    def _gc_watch_promises(self):
        """Odoo's nightly maintenance notices when our own scheduled action is
        switched off, and heals it when it waits for years."""
        self.env["backup.scheduler"]._heal()
        self._watch_promises()

    @api.model
    def _watch_promises(self):
        """Tell once about each plan that has become overdue; forget it when it no
        longer is."""
        told_or_active = ["|", ("active", "=", True), ("overdue_told_at", "!=", False)]
        plans = self.sudo().with_context(active_test=False).search(told_or_active)
        changed = plans.filtered(
            lambda plan: plan.is_overdue != bool(plan.overdue_told_at)
        )
        for plan in changed.filtered(lambda plan: plan._may_speak()):
            with plan._harmless():
                if plan.try_lock_for_update():
                    plan._tell_overdue() if plan.is_overdue else plan._forget_overdue()

    def _tell_overdue(self):
        """Write down that this plan is overdue, and tell everybody."""
        self.overdue_told_at = fields.Datetime.now()
        _logger.warning("Plan %s is overdue: %s", self.name, self.overdue_reason)
        self._ask_attention(
            "backup", lambda plan: plan.env._("Backup overdue: %s", plan.name)
        )
        if self.alert_failure:
            self._queue(self._mail(lambda plan: plan._compose_overdue()))
        self.env["backup.job"]._ping_overdue(self)

    def _forget_overdue(self):
        self.overdue_told_at = False
        if "backup" not in (self.alarm_kinds or []):
            self._close_attention("backup", self.env._("No longer overdue."))

    @api.model
    def _send_digests(self):
        """Send each weekly digest whose time has come."""
        now = fields.Datetime.now()
        for plan in self.search([("next_digest", "<=", now)]).try_lock_for_update():
            plan.next_digest = plan._after_digest()
            if plan._may_speak():
                with plan._harmless():
                    plan._queue(plan._mail(lambda plan: plan._compose_digest()))

    def _after_digest(self):
        if not (self.alert_digest and self.active):
            return False
        monday = Schedule("weekly", DIGEST_MINUTE, weekday=0, tz=self.tz or "UTC")
        now = fields.Datetime.now().replace(tzinfo=timezone.utc)
        return next_time(monday, now).replace(tzinfo=None)

    def _may_speak(self):
        """Tell whether this is the database that people and monitors know: a copy of
        it, whose storages are still the original's or that was neutralized, keeps
        quiet. So does a server on which backups are switched off."""
        if not odoo_config.is_enabled():
            return False
        neutralized = (
            self.env["ir.config_parameter"].sudo().get_param("database.is_neutralized")
        )
        storages = self.sudo().storage_ids
        return not neutralized and not (storages and all(storages.mapped("is_foreign")))

    @contextmanager
    def _harmless(self):
        """Run the body, which tells somebody something: what it raises is logged,
        and goes no further. The runner commits what it wrote; elsewhere it is kept
        or lost as a whole."""
        inside_runner = runner.is_runner(self.env)
        try:
            with nullcontext() if inside_runner else self.env.cr.savepoint():
                yield
            if inside_runner:
                self.env.cr.commit()  # pylint: disable=invalid-commit
        except Exception:
            _logger.exception("Plan %s: an alert could not be given", self.ids)
            if inside_runner:
                self.env.cr.rollback()
                self.env.invalidate_all(flush=False)

    # === MAIL === #

    def _alert_recipients(self):
        """Return who gets mails, each address once, as dicts of address, lang and
        tz."""
        self.ensure_one()
        plan = self.sudo()
        users = plan._alert_users(plan.alert_user_ids, plan.alert_group_ids)
        return plan._recipients_among(users, plan.alert_emails)

    @api.model
    def _alert_users(self, users, groups):
        """Return the people among ``users``, and those who have a role of
        ``groups``."""
        found = users.sudo() | groups.sudo().all_user_ids
        return found.filtered(lambda user: user.active and not user.share)

    def _recipients_among(self, users, emails):
        """Return those ``users`` and ``emails`` that are addresses, as dicts."""
        found = {}
        for user in users:
            found.setdefault(
                mail.email_normalize(user.email), _who(user.lang, user.tz or self.tz)
            )
        lang = self.env.company.partner_id.lang
        for address in mail.email_split(emails or ""):
            found.setdefault(mail.email_normalize(address), _who(lang, self.tz))
        found.pop(False, None)
        return [{"address": address, **who} for address, who in found.items()]

    def _mail(self, compose):
        """Queue a mail for everybody who is told; return the mails.

        ``compose`` gets this plan, in the language and the time zone of the recipient,
        and returns the values of the template ``dfr_backup.alert_mail``.
        """
        mails = self.env["mail.mail"].sudo()
        sender = (
            self.env.company.email_formatted
            or mails.env["ir.mail_server"]._get_default_from_address()
            or self.env.user.email_formatted
        )
        in_words = itemgetter("lang", "tz")
        for (lang, tz), group in groupby(self._alert_recipients(), in_words):
            plan = self.with_context(lang=lang or "en_US", tz=tz)
            values = compose(plan)
            body = plan.env["ir.qweb"]._render("dfr_backup.alert_mail", values)
            mails += mails.create(
                [
                    {
                        "subject": values["title"],
                        "body_html": body,
                        "email_from": sender,
                        "email_to": who["address"],
                        "headers": repr(HEADERS),
                        "auto_delete": True,
                    }
                    for who in group
                ]
            )
        return mails

    @api.model
    def _queue(self, mails):
        """Leave mails to Odoo's queue, and let it begin as soon as they are
        committed."""
        cron = self.env.ref(
            "mail.ir_cron_mail_scheduler_action", raise_if_not_found=False
        )
        if mails and cron:
            cron.sudo()._trigger()

    def _compose_overdue(self):
        base = {"plan": self.name, "database": self.env.cr.dbname}
        return {
            "title": self.env._("Backup overdue: %(plan)s (%(database)s)", **base),
            "color": "#b02a37",
            "intro": self.env._(
                "There should have been a new good backup by %s.",
                self._in_words(self.promise_deadline),
            ),
            "problems": [
                {
                    "what": False,
                    "why": self.overdue_reason,
                    "todo": self.overdue_remedy,
                },
            ],
            "facts": self._mail_facts(),
            "link": self._link_to(self),
            "button": self.env._("Open the Plan"),
        }

    def _compose_digest(self):
        since = fields.Datetime.now() - timedelta(days=7)
        week = [*self._backups(), ("date_end", ">=", since)]
        runs = dict(self.env["backup.job"]._read_group(week, ["state"], ["__count"]))
        states = dict(
            self.env["backup.job"]._fields["state"]._description_selection(self.env)
        )
        counts = ", ".join(f"{states[s]}: {runs[s]}" for s in states if s in runs)
        base = {"plan": self.name, "database": self.env.cr.dbname}
        overdue = {
            "what": False,
            "why": self.overdue_reason,
            "todo": self.overdue_remedy,
        }
        return {
            "title": self.env._("Backups of the week: %(plan)s (%(database)s)", **base),
            "color": "#b02a37" if self.is_overdue else "#146c43",
            "intro": False,
            "problems": [overdue] if self.is_overdue else [],
            "facts": [
                (self.env._("Runs of seven days"), counts or self.env._("none")),
                *self._mail_facts(),
            ],
            "link": self._link_to(self),
            "button": self.env._("Open the Plan"),
        }

    def _link_to(self, record):
        """Return the address of a plan or a run in the web client."""
        action = self.env.ref(f"dfr_backup.{record._table}_action").sudo()
        return f"{record.get_base_url()}/odoo/{action.path}/{record.id}"

    def _mail_facts(self):
        """Return what every mail about this plan says, as pairs of label and text."""
        facts = [(self.env._("Last good backup"), self._in_words(self.last_success))]
        if self.next_run:
            facts.append((self.env._("Next run"), self._in_words(self.next_run)))
        return facts

    # === ACTIVITIES === #

    def _ask_attention(self, kind, summarize, note=""):
        """Give those who look after this plan an activity about runs of ``kind``;
        one that they have already says the new things. ``summarize`` gets the plan
        in their language."""
        activity_type = ATTENTION.get(kind, ATTENTION_ELSE)
        plan = self.sudo().with_context(mail_activity_quick_update=True)
        for user in plan.attention_user_ids.filtered("active"):
            if not user.has_group("dfr_backup.group_viewer"):
                continue
            localized = plan.with_context(lang=user.lang, tz=user.tz)
            values = {
                "summary": summarize(localized),
                "note": translate(localized.env, note)
                or localized.overdue_reason
                or "",
            }
            open_one = plan.activity_search([activity_type], user_id=user.id)
            if open_one:
                open_one.write(values)
            else:
                plan.activity_schedule(activity_type, user_id=user.id, **values)

    def _close_attention(self, kind, feedback):
        self.sudo().activity_feedback(
            [ATTENTION.get(kind, ATTENTION_ELSE)], feedback=feedback
        )


def _who(lang, tz):
    return {"lang": lang or "en_US", "tz": tz or "UTC"}
