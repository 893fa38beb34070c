"""The mails about a plan: what they say, to each recipient in his language."""

from datetime import timedelta
from operator import itemgetter

from odoo import fields
from odoo.tools import groupby

from .copies import backup_runs
from .recipients import alert_recipients

RED, YELLOW, GREEN = "#b02a37", "#997404", "#146c43"
HEADERS = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "OOF"}


def make_mails(plan, compose, people=None):
    """Queue a mail for everybody who is told, or for ``people``; return the mails.

    ``compose`` gets this plan, in the language and the time zone of the recipient,
    and returns the values of the template ``dfr_backup.alert_mail``.
    """
    mails = plan.env["mail.mail"].sudo()
    in_words = itemgetter("lang", "tz")
    people = alert_recipients(plan) if people is None else people
    for (lang, tz), group in groupby(people, in_words):
        localized = plan.with_context(lang=lang or "en_US", tz=tz)
        values = compose(localized)
        body = localized.env["ir.qweb"]._render("dfr_backup.alert_mail", values)
        subject = values["title"]
        mails += mails.create(
            [mail_to(plan.env, who["address"], subject, body) for who in group]
        )
    return mails


def mail_to(env, address, subject, body):
    """Return the values of a mail from this server."""
    server = env["ir.mail_server"].sudo()
    sender = env.company.email_formatted or server._get_default_from_address()
    return {
        "subject": " ".join(subject.split()),  # a line break would stop the mail
        "body_html": body,
        "email_from": sender or env.user.email_formatted,
        "email_to": address,
        "headers": repr(HEADERS),
        "auto_delete": True,
    }


def queue(env, mails):
    """Leave mails to Odoo's queue, and let it begin as soon as they are
    committed."""
    cron = env.ref("mail.ir_cron_mail_scheduler_action", raise_if_not_found=False)
    if mails and cron:
        cron.sudo()._trigger()


def compose_overdue(plan):
    base = {"plan": plan.name, "database": plan.env.cr.dbname}
    return {
        "title": plan.env._("Backup overdue: %(plan)s (%(database)s)", **base),
        "color": RED,
        "intro": plan.env._(
            "A new verified backup was expected by %s.",
            plan._in_words(plan.promise_deadline),
        ),
        "problems": [
            {
                "what": False,
                "why": plan.overdue_reason,
                "todo": plan.overdue_remedy,
            },
        ],
        "facts": mail_facts(plan),
        "link": link_to(plan, plan),
        "button": plan.env._("Open the Plan"),
    }


def compose_digest(plan):
    since = fields.Datetime.now() - timedelta(days=7)
    week = [*backup_runs(plan), ("date_end", ">=", since)]
    runs = dict(plan.env["backup.job"]._read_group(week, ["state"], ["__count"]))
    states = dict(
        plan.env["backup.job"]._fields["state"]._description_selection(plan.env)
    )
    counts = ", ".join(f"{states[s]}: {runs[s]}" for s in states if s in runs)
    base = {"plan": plan.name, "database": plan.env.cr.dbname}
    overdue = {
        "what": False,
        "why": plan.overdue_reason,
        "todo": plan.overdue_remedy,
    }
    return {
        "title": plan.env._("Weekly backup report: %(plan)s (%(database)s)", **base),
        "color": RED if plan.is_overdue else GREEN,
        "intro": False,
        "problems": [overdue] if plan.is_overdue else [],
        "facts": [
            (plan.env._("Runs in the last seven days"), counts or plan.env._("none")),
            *mail_facts(plan),
        ],
        "link": link_to(plan, plan),
        "button": plan.env._("Open the Plan"),
    }


def compose_test(plan):
    return {
        "title": plan.env._("Test: backup emails arrive"),
        "color": GREEN,
        "intro": plan.env._(
            "Everything is fine. Someone has pressed “Send a Test Email”."
        ),
        "problems": [],
        "facts": mail_facts(plan),
        "link": link_to(plan, plan),
        "button": plan.env._("Open the Plan"),
    }


def mail_facts(plan):
    """Return what every mail about this plan says, as pairs of label and text."""
    facts = [(plan.env._("Last verified backup"), plan._in_words(plan.last_success))]
    if plan.next_run:
        facts.append((plan.env._("Next run"), plan._in_words(plan.next_run)))
    return facts


def link_to(plan, record):
    """Return the address of a plan or a run in the web client."""
    action = plan.env.ref(f"dfr_backup.{record._table}_action").sudo()
    return f"{record.get_base_url()}/odoo/{action.path}/{record.id}"
