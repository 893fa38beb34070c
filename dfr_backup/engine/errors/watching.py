"""Servers that this one watches. None of these says more of an address than its
host."""

from ..messages import _
from . import PermanentError, RetryableError

ASKED_AGAIN = _("It is asked again within minutes.")


class WatchingOff(PermanentError, code="OTHER-120"):
    template = _("This server watches no others.")
    remedy = _(
        "The server's administrator lists those that it may watch in odoo.conf: "
        "dfr_backup_watch_hosts = HOST, HOST"
    )


class HostNotWatched(PermanentError, code="OTHER-121"):
    template = _("%(host)s is not among the servers that this one may watch.")
    remedy = _(
        "The server's administrator can add it to the list in odoo.conf: "
        "dfr_backup_watch_hosts = %(host)s"
    )


class NotHealthAddress(PermanentError, code="OTHER-122"):
    template = _("This is not the health endpoint of an Odoo server.")
    remedy = _(
        "It looks like https://odoo.example.com/dfr_backup/health. The token has a "
        "field of its own, and is no part of the address."
    )


class WatchedUnreachable(RetryableError, code="OTHER-123"):
    template = _("%(host)s cannot be reached (%(reason)s).")
    remedy = _(
        "Is the server running? Check name, port, firewall and certificate. It is "
        "asked again within minutes."
    )


class WatchedLate(RetryableError, code="OTHER-124"):
    template = _("%(host)s did not answer within %(seconds)s seconds.")
    remedy = _(
        "Check whether that server is overloaded, or whether something in between "
        "drops the request. It is asked again within minutes."
    )


class HealthOff(RetryableError, code="OTHER-125"):
    template = _("%(host)s has no health endpoint for this database.")
    remedy = _(
        "Switch it on there, under Settings / General Settings / Backups. When "
        "that server has several databases, enter the name of the intended one."
    )


class TokenRefused(RetryableError, code="OTHER-126"):
    template = _("%(host)s refuses the token.")
    remedy = _(
        "Make a new token there, under Settings / General Settings / Backups, and "
        "enter it here. When that server has several databases, check the database's "
        "name."
    )


class NotHealth(RetryableError, code="OTHER-127"):
    template = _("The answer of %(host)s is not a report about backups: %(reason)s.")
    remedy = _(
        "Check the address: does a proxy or another program answer there? An older "
        "release of the addon there may have to be upgraded."
    )


class NotPrintable(PermanentError, code="OTHER-128"):
    template = _("Token and database name may only have printable ASCII characters.")
    remedy = _("Copy the token again, without spaces or line breaks.")


class WatchedRefused(RetryableError, code="OTHER-129"):
    template = _("%(host)s answered with the HTTP status %(status)s.")
    remedy = ASKED_AGAIN
    remedy_redirect = _(
        "It leads to another address, and redirects are not followed. Enter the "
        "address that it leads to, if that is the intended server."
    )
