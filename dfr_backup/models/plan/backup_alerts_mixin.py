"""Who is told about a record, and how: mails, activities, and monitors elsewhere."""

import logging
from contextlib import contextmanager, nullcontext
from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import mail

from ... import odoo_config, runner
from ...compat import MEMBER_OF
from ...engine.monitoring.ping import check_url, send_all
from ...engine.policy.schedule import Schedule, next_time
from ..actions import notification
from ..engine_messages import format_error, translate, translate_engine_errors
from ..moments import from_odoo_datetime, to_odoo_datetime
from ..neutralized import is_neutralized
from . import chats
from .mails import compose_test, make_mails
from .recipients import alert_recipients, alert_users, delivery_problems

_logger = logging.getLogger(__name__)

LONGEST_SNOOZE = timedelta(days=31)
TEST_PATIENCE = 15.0  # seconds that somebody waits for a chat
DIGEST_MINUTE = 8 * 60  # of Monday, in the plan's time zone
# runs that make backups, and runs that look at them, are mended apart
ATTENTION = {"backup": "dfr_backup.mail_activity_type_backup"}
ATTENTION_ELSE = "dfr_backup.mail_activity_type_check"


def _default_attention_users(plans):
    """Return whoever makes the plan, or the administrator while the addon is
    installed."""
    user = plans.env.user
    if user.active:
        return user
    return plans.env.ref("base.user_admin", raise_if_not_found=False)


def _encrypt_address(plans, name):
    """Keep the address of a monitor, which holds a token, as a secret."""
    for plan in plans:
        if plan[name] and set(plan[name]) != {"*"}:
            with translate_engine_errors(plans.env, ValidationError):
                check_url(plan[name])
    plans._encrypt_secret(name)


class BackupAlertsMixin(models.AbstractModel):
    """A plan's word to people: everything that says whom to tell, which the plan itself
    needs for nothing that it does."""

    _name = "backup.alerts.mixin"
    _inherit = ["mail.thread", "mail.activity.mixin"]
    _description = "Record That Alerts People"

    alert_failure = fields.Boolean(
        "Failures",
        default=True,
        help="A run failed or only partially succeeded, or the backup is overdue.",
    )
    alert_recovery = fields.Boolean(
        "Recovery", default=True, help="The first success after a failure."
    )
    alert_success = fields.Boolean("Every Success")
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
    alert_addresses = fields.Char("Will Be Sent To", compute="_compute_alert_addresses")
    attention_user_ids = fields.Many2many(
        "res.users",
        "backup_plan_attention_user",
        string="Activities For",
        domain=lambda self: [
            (MEMBER_OF, "in", self.env.ref("dfr_backup.group_viewer").ids),
        ],
        default=_default_attention_users,
        help="They get an activity when a run fails or the backup is overdue. The next "
        "successful run closes it.",
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
        inverse=lambda self: _encrypt_address(self, "ping_url"),
        help="The ping address of a check at healthchecks.io, or of anything that "
        "follows its "
        "conventions: it is called when a run starts, succeeds or fails. The server "
        "itself calls "
        "it, also inside of your network.",
    )
    push_url = fields.Char(
        "Uptime Kuma",
        compute="_compute_secrets",
        inverse=lambda self: _encrypt_address(self, "push_url"),
        help="The push address of a monitor of Uptime Kuma. Called after each run "
        "that was not cancelled.",
    )
    webhook_url = fields.Char(
        "Webhook",
        compute="_compute_secrets",
        inverse=lambda self: _encrypt_address(self, "webhook_url"),
        help="Gets a POST with a summary as JSON when a run starts and ends, and when "
        "the backup "
        "is overdue. The server itself calls it, also inside of your network.",
    )
    chat_service = fields.Selection(
        [("slack", "Slack"), ("teams", "Microsoft Teams"), ("ntfy", "ntfy")],
        string="Chat",
        help="Gets the messages that go out by email, in the language of the company.",
    )
    chat_url = fields.Char(
        "Chat URL",
        compute="_compute_secrets",
        inverse=lambda self: _encrypt_address(self, "chat_url"),
        help="Slack: the address of an incoming webhook. Teams: that of a workflow "
        "that posts when a webhook request is received. ntfy: that of the topic.",
    )
    chat_example = fields.Char(compute="_compute_chat_example")
    snoozed_until = fields.Datetime(
        copy=False,
        help="Until then nobody is notified of failures or of an overdue backup by "
        "email, activity or chat. Monitors are. At most a month.",
    )
    alert_trouble = fields.Text(
        compute="_compute_alert_trouble",
        help="Why emails about this plan may not arrive.",
    )

    @api.depends("alert_user_ids", "alert_group_ids", "alert_emails")
    def _compute_alert_addresses(self):
        for plan in self:
            plan.alert_addresses = ", ".join(
                who["address"] for who in alert_recipients(plan)
            )

    @api.depends("alert_user_ids", "alert_group_ids", "alert_emails")
    def _compute_alert_trouble(self):
        for plan in self:
            users = alert_users(plan.alert_user_ids, plan.alert_group_ids)
            plan.alert_trouble = delivery_problems(plan, users, plan.alert_emails)

    @api.depends("chat_service")
    def _compute_chat_example(self):
        for plan in self:
            plan.chat_example = chats.EXAMPLES.get(plan.chat_service)

    @api.depends("alert_digest", "tz", "active")
    def _compute_next_digest(self):
        for plan in self:
            plan.next_digest = plan._after_digest()

    def _after_digest(self):
        if not (self.alert_digest and self.active):
            return False
        monday = Schedule("weekly", DIGEST_MINUTE, weekday=0, tz=self.tz or "UTC")
        now = from_odoo_datetime(fields.Datetime.now())
        return to_odoo_datetime(next_time(monday, now))

    @api.constrains("alert_emails")
    def _check_alert_emails(self):
        for plan in self:
            for part in (plan.alert_emails or "").split(","):
                if part.strip() and not mail.email_normalize(part):
                    raise ValidationError(
                        self.env._("“%s” is not an email address.", part.strip())
                    )

    @api.constrains("snoozed_until")
    def _check_snoozed_until(self):
        latest = fields.Datetime.now() + LONGEST_SNOOZE
        for plan in self:
            if plan.snoozed_until and plan.snoozed_until > latest:
                raise ValidationError(
                    self.env._("Alerts can be snoozed for a month at most.")
                )

    def _is_snoozed(self):
        until = self.sudo().snoozed_until
        # a clock that was ahead must not silence a plan for years
        now = fields.Datetime.now()
        return bool(until) and now < until <= now + LONGEST_SNOOZE

    # === WHETHER AND HOW === #

    def _may_speak(self):
        """Tell whether this is the database that people and monitors know: a copy of
        it, whose storages are still the original's or that was neutralized, keeps
        quiet. So does a server on which backups are switched off."""
        if not odoo_config.is_enabled():
            return False
        if is_neutralized(self.env):
            return False
        storages = self.sudo().storage_ids
        return not (storages and all(storages.mapped("is_foreign")))

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

    def action_end_snooze(self):
        """Notify people again."""
        self.env["backup.job"]._check_manager()
        self.snoozed_until = False
        return True

    def action_test_mail(self):
        """Send a mail to everybody who is told, now, and say whether it went out."""
        self.ensure_one()
        self.env["backup.job"]._check_manager()
        mails = make_mails(self.sudo(), compose_test)
        if not mails:
            raise UserError(self.env._("No recipient has an email address."))
        addresses = ", ".join(mails.mapped("email_to"))
        mails.send()
        failed = mails.exists().filtered(lambda mail: mail.state == "exception")
        reasons = set(filter(None, failed.mapped("failure_reason")))
        failed.unlink()
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "danger" if failed else "success",
                "sticky": bool(failed),
                "title": self.env._("The email could not be sent")
                if failed
                else self.env._("Test email sent"),
                "message": "\n".join(reasons)
                if failed
                else self.env._("To %s. Check that it arrives.", addresses),
            },
        }

    def action_test_chat(self):
        """Say something in the chat, now, and tell whether that was taken."""
        self.ensure_one()
        self.env["backup.job"]._check_manager()
        with translate_engine_errors(self.env):
            messages = chats.chat_messages(self, chats.compose_test)
        if not messages:
            raise UserError(self.env._("Choose the chat and enter its address first."))
        outbound = odoo_config.outbound_rules()
        problems = send_all(messages, TEST_PATIENCE, attempts=1, outbound=outbound)
        if problems:
            text = format_error(self.env, problems[0])
            return notification(self.env._("The message failed"), text, "danger")
        return notification(
            self.env._("The message was accepted"),
            self.env._("Check that it arrives."),
            "success",
        )

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
