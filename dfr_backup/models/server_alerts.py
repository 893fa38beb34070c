"""What the operator of the server is told: one mail for what fails together in its
databases, to the recipients of the profile.

The mail names several databases, so nothing of it is kept in one, and none sends it by
a mail server of its own: it goes by that of odoo.conf.
"""

import logging
import time
from datetime import datetime, timedelta, timezone

from odoo import fields

from odoo.addons.base.models.ir_mail_server import MailDeliveryException

from .. import odoo_config
from ..engine.errors import EngineError
from ..engine.errors.profile import AlertsNotSent
from ..engine.monitoring.outbox import GATHER, Alert
from .moments import to_odoo_datetime

_logger = logging.getLogger(__name__)


def tell_operator(plan, compose):
    """Keep an alert for the operator, if his profile names anybody: what a mail about
    ``plan`` says, which ``compose`` returns as for ``mails.make_mails``."""
    if not _recipients():
        return
    env, told = plan.env, compose(plan.with_context(lang="en_US"))
    lines = [" ".join(map(str, filter(None, one.values()))) for one in told["problems"]]
    alert = Alert(env.cr.dbname, told["title"], "\n".join(lines), told["link"])
    odoo_config.alert_outbox().put(alert, time.time())
    cron = env["backup.scheduler"]._cron()
    if cron:
        cron._trigger(fields.Datetime.now() + timedelta(seconds=GATHER + 1))


def send_due(env):
    """Send the mail when its time has come: whichever database comes first. What
    cannot be sent stays for the next time."""
    try:
        recipients = _recipients()
        if recipients:
            odoo_config.alert_outbox().deliver(
                lambda alerts: _send(env, recipients, alerts), time.time()
            )
    except (EngineError, OSError) as error:
        _logger.warning("Alerts for the operator: %s", error)


def due_moments():
    """Return when the next mail is due."""
    try:
        due = odoo_config.alert_outbox().due()
    except OSError:
        return []
    return [to_odoo_datetime(datetime.fromtimestamp(due, timezone.utc))] if due else []


def _recipients():
    """Return whom the profile names. One that cannot be read names nobody; what is
    wrong with it is said elsewhere."""
    try:
        profile = odoo_config.profile()
    except EngineError:
        return ()
    return profile.alerts if profile else ()


def _send(env, recipients, alerts):
    databases = sorted({alert.database for alert in alerts})
    subject = f"Backups: {alerts[0].summary}"
    if len(alerts) > 1:
        subject = f"Backups: {len(alerts)} alerts of {len(databases)} databases"
    servers, host = env["ir.mail_server"].sudo(), odoo_config.mail_host()
    sender = odoo_config.mail_sender() or recipients[0]
    try:
        message = servers._build_email__(
            sender, list(recipients), " ".join(subject.split()), _body(alerts)
        )
        servers.send_email(message, smtp_server=host)
    except (MailDeliveryException, OSError, AssertionError, ValueError) as error:
        raise AlertsNotSent(count=len(alerts), host=host, reason=error) from error


def _body(alerts):
    parts = []
    for alert in sorted(alerts, key=lambda one: one.database):
        lines = [f"{alert.database}: {alert.summary}", alert.details, alert.link]
        parts.append("\n".join(filter(None, lines)))
    return "\n\n".join(parts) + "\n"
