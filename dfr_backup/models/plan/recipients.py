"""Who hears of a plan by mail, and whether such a mail can arrive."""

from odoo.tools import mail

from ... import odoo_config
from ...compat import members

# reserved by RFC 2606: nobody lives there
NOWHERE = (
    ".example",
    ".invalid",
    ".test",
    ".example.com",
    ".example.net",
    ".example.org",
)


def alert_recipients(plan):
    """Return who gets mails, each address once, as dicts of address, lang and
    tz."""
    plan.ensure_one()
    plan = plan.sudo()
    users = alert_users(plan.alert_user_ids, plan.alert_group_ids)
    return recipients_among(plan, users, plan.alert_emails)


def alert_users(users, groups):
    """Return the people among ``users``, and those who have a role of
    ``groups``."""
    found = users.sudo() | members(groups.sudo())
    return found.filtered(lambda user: user.active and not user.share)


def recipients_among(plan, users, emails):
    """Return those ``users`` and ``emails`` that are addresses, as dicts. A watched
    server has no time zone of its own."""
    found, zone = {}, getattr(plan, "tz", None)
    for user in users:
        found.setdefault(
            mail.email_normalize(user.email), _who(user.lang, user.tz or zone)
        )
    lang = plan.env.company.partner_id.lang
    for address in mail.email_split(emails or ""):
        found.setdefault(mail.email_normalize(address), _who(lang, zone))
    found.pop(False, None)
    return [{"address": address, **who} for address, who in found.items()]


def delivery_problems(plan, users, emails):
    """Return what keeps mails from ``users`` and ``emails``, a sentence a line,
    or False."""
    silent = users.filtered(lambda user: not mail.email_normalize(user.email))
    addresses = [who["address"] for who in recipients_among(plan, users, emails)]
    unreal = [address for address in addresses if _is_example(address)]
    problems = []
    if silent:
        names = ", ".join(silent.mapped("name"))
        problems.append(plan.env._("Without an email address: %s.", names))
    if unreal:
        text = plan.env._("Examples, not real addresses: %s.", ", ".join(unreal))
        problems.append(text)
    if len(unreal) == len(addresses):
        problems.append(plan.env._("Nobody is notified of a failure by email."))
    elif not _has_mail_server(plan.env):
        problems.append(
            plan.env._(
                "No outgoing mail server is set up: Odoo tries localhost, which "
                "usually has none. Add yours under Settings / Technical / Email / "
                "Outgoing Mail Servers (developer mode)."
            )
        )
    return "\n".join(problems) or False


def is_reachable(plan):
    """Tell whether a mail about a failure goes to at least one real address."""
    addresses = [who["address"] for who in alert_recipients(plan)]
    real = [address for address in addresses if not _is_example(address)]
    return bool(plan.alert_failure and real and _has_mail_server(plan.env))


def _has_mail_server(env):
    return bool(
        not odoo_config.mail_server_is_guessed()
        or env["ir.mail_server"].sudo().search_count([], limit=1)
    )


def _is_example(address):
    return f".{address.rpartition('@')[2]}".endswith(NOWHERE)


def _who(lang, tz):
    return {"lang": lang or "en_US", "tz": tz or "UTC"}
