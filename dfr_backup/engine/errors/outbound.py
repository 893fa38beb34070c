"""Addresses that this server does not call."""

from ..messages import _
from . import PermanentError


class AddressNeverCalled(PermanentError, code="OTHER-45"):
    template = _("%(host)s resolves to %(address)s, which this server never calls.")
    remedy = _(
        "Such an address belongs to the machine itself, to its local link or to "
        "its provider's services. Enter the address of the intended server."
    )


class PrivateNotAllowed(PermanentError, code="OTHER-46"):
    template = _(
        "%(host)s resolves to the private address %(address)s, which odoo.conf "
        "does not allow."
    )
    remedy = _(
        "The server's administrator can add the host to the list in odoo.conf: "
        "dfr_backup_private_hosts = %(host)s"
    )


class AnswerTooLong(PermanentError, code="OTHER-47"):
    template = _("The answer does not end.")
    remedy = _("Is this the address of the intended service?")
