"""Monitoring services that are told over HTTP. None of these names an address: it
carries a token."""

from ..messages import _
from . import PermanentError, RetryableError

NEXT_RUN = _(
    "Check that service. Only this notification was lost: the next run notifies "
    "the service again."
)


class NotAMonitor(PermanentError, code="PING-01"):
    template = _("This is not the address of a monitoring service.")
    remedy = _(
        "It begins with https:// (or http://), followed by the name of the service."
    )


class NoTopic(PermanentError, code="OTHER-153"):
    template = _("The address of ntfy names no topic.")
    remedy = _("It ends with the topic, for example https://ntfy.sh/my-backups.")


class MonitorUnreachable(RetryableError, code="PING-02"):
    template = _("%(service)s: %(host)s cannot be reached (%(reason)s).")
    remedy = _(
        "Check that this server can reach it: name, firewall, certificate. The "
        "next run notifies the service again."
    )


class MonitorBusy(RetryableError, code="PING-03"):
    template = _("%(service)s: %(host)s answered %(status)s.")
    remedy = NEXT_RUN


class MonitorRefused(PermanentError, code="PING-04"):
    template = MonitorBusy.template
    remedy = _("Check the address of the monitor, and whether it still exists there.")


class MonitorLate(RetryableError, code="PING-05"):
    template = _("%(service)s: %(host)s did not answer within %(seconds)s seconds.")
    remedy = NEXT_RUN
