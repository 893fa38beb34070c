"""Whether the mails about a plan can arrive, and a mail to try it."""

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import mail

from .. import odoo_config

# reserved by RFC 2606: nobody lives there
NOWHERE = (
    ".example",
    ".invalid",
    ".test",
    ".example.com",
    ".example.net",
    ".example.org",
)


class BackupPlan(models.Model):
    _inherit = "backup.plan"

    alert_trouble = fields.Text(
        compute="_compute_alert_trouble",
        help="Why mails about this plan may not arrive.",
    )

    @api.depends("alert_user_ids", "alert_group_ids", "alert_emails")
    def _compute_alert_trouble(self):
        for plan in self:
            users = plan._alert_users(plan.alert_user_ids, plan.alert_group_ids)
            plan.alert_trouble = plan._alert_problems(users, plan.alert_emails)

    def _alert_problems(self, users, emails):
        """Return what keeps mails from ``users`` and ``emails``, a sentence a line,
        or False."""
        silent = users.filtered(lambda user: not mail.email_normalize(user.email))
        addresses = [who["address"] for who in self._recipients_among(users, emails)]
        unreal = [address for address in addresses if _is_example(address)]
        problems = []
        if silent:
            names = ", ".join(silent.mapped("name"))
            problems.append(self.env._("Without a mail address: %s.", names))
        if unreal:
            text = self.env._("Examples, and no real addresses: %s.", ", ".join(unreal))
            problems.append(text)
        if len(unreal) == len(addresses):
            problems.append(self.env._("Nobody hears of a failure by mail."))
        elif not self._has_mail_server():
            problems.append(
                self.env._(
                    "No outgoing mail server is set up: Odoo tries one on this very "
                    "machine, which seldom exists. Add yours under Settings / "
                    "Technical / Outgoing Mail Servers."
                )
            )
        return "\n".join(problems) or False

    def _is_reachable(self):
        """Tell whether a mail about a failure goes to at least one real address."""
        addresses = [who["address"] for who in self._alert_recipients()]
        real = [address for address in addresses if not _is_example(address)]
        return bool(self.alert_failure and real and self._has_mail_server())

    @api.model
    def _has_mail_server(self):
        return bool(
            not odoo_config.mail_server_is_guessed()
            or self.env["ir.mail_server"].sudo().search_count([], limit=1)
        )

    def action_test_mail(self):
        """Send a mail to everybody who is told, now, and say whether it went out."""
        self.ensure_one()
        self.env["backup.job"]._check_manager()
        mails = self.sudo()._mail(lambda plan: plan._compose_test())
        if not mails:
            raise UserError(
                self.env._("There is nobody with a mail address to send it to.")
            )
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
                "title": self.env._("The mail did not go out")
                if failed
                else self.env._("A mail is on its way"),
                "message": "\n".join(reasons)
                if failed
                else self.env._("To %s. Look whether it arrives.", addresses),
            },
        }

    def _compose_test(self):
        return {
            "title": self.env._("A test: mails about backups arrive"),
            "color": "#146c43",
            "intro": self.env._(
                "Nothing is wrong. Somebody has pressed “Send a Test Mail”."
            ),
            "problems": [],
            "facts": self._mail_facts(),
            "link": self._link_to(self),
            "button": self.env._("Open the Plan"),
        }


def _is_example(address):
    return f".{address.rpartition('@')[2]}".endswith(NOWHERE)
