"""The mails about a watched server, to each recipient in his language."""

from odoo.tools import format_datetime

from ..plan.mails import link_to, make_mails, queue
from ..plan.recipients import alert_users, recipients_among

BAD, GOOD = "#b02a37", "#146c43"


def tell(server):
    """Queue a mail to everybody who is told about this server: what alarm it has now,
    or that it has none any more."""
    users = alert_users(server.alert_user_ids, server.env["res.groups"])
    people = recipients_among(server, users, server.alert_emails)
    queue(server.env, make_mails(server, compose, people))


def compose(server):
    """Return the values of the mail, in the language of ``server``."""
    env, why = server.env, server.situation
    problem = {"what": False, "why": why, "todo": server._remedy()}
    return {
        "title": title(server),
        "color": BAD if server.alarm else GOOD,
        "intro": False,
        "problems": [problem] if why else [],
        "facts": [
            (env._("Server"), server._host()),
            (env._("Database"), server.database or server.reported_database or ""),
            (env._("Last answer"), _moment(server, server.answered_at)),
            (env._("Last verified backup"), _moment(server, server.last_good)),
        ],
        "link": link_to(server, server),
        "button": env._("Open the Server"),
        "settings": env._(
            "You receive this email because your Odoo monitors the backups of another "
            "server. To change who receives it, open the form of that server."
        ),
    }


def title(server):
    name = {"server": server.name}
    return {
        "silent": server.env._("Server does not answer: %(server)s", **name),
        "overdue": server.env._("Backup overdue on server: %(server)s", **name),
        "stopped": server.env._("Backups have stopped on server: %(server)s", **name),
    }.get(server.alarm) or server.env._("Server is back to normal: %(server)s", **name)


def _moment(server, moment):
    if not moment:
        return server.env._("never")
    tz = server.env.context.get("tz")
    return format_datetime(server.env, moment, tz=tz, dt_format="medium")
