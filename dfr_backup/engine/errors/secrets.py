"""Stored secrets, and the key that opens them."""

from ..messages import _
from . import PermanentError

ENTER_AGAIN = _(
    "Enter the secret again, or restore the key file that the server had when it was "
    "entered. It is not part of any backup."
)


class SecretUnreadable(PermanentError, code="SECRET-01"):
    template = _("A stored secret cannot be read with this server's key.")
    remedy = ENTER_AGAIN


class KeyFileUnusable(PermanentError, code="SECRET-02"):
    template = _("The key file %(file)s in %(directory)s cannot be used: %(reason)s.")
    remedy = _("Give the system user that runs Odoo the right to read and write there.")


class KeyTooShort(PermanentError, code="SECRET-03"):
    template = _("The key for stored secrets is shorter than %(least)s characters.")
    remedy = _("Use a long random one, for example from: openssl rand -base64 32")


class KeyFileEmpty(PermanentError, code="SECRET-04"):
    template = _("%(file)s in %(directory)s holds no key.")
    remedy = _(
        "Restore that file from where you keep it. If it is lost, remove it: a new one "
        "is made, and the secrets of all storages have to be entered again."
    )


class KeyFileForeign(PermanentError, code="SECRET-05"):
    template = _(
        "%(file)s in %(directory)s is not a plain file of the user that runs Odoo."
    )
    remedy = _("Somebody else may have put it there. Look at it before you remove it.")


class FieldUnreadable(PermanentError, code="SECRET-06"):
    """``problem`` is the error for which a field of a record cannot be read."""

    template = _("%(record)s: %(problem)s (%(field)s)")
    remedy = ENTER_AGAIN


class SecretOfAnother(SecretUnreadable, code="KEY-22"):
    template = _("A stored secret was entered in a database with another identity.")
    remedy = _(
        "In a copy of a database, enter the secret again. If the parameter "
        "database.uuid of this one was changed, put its former value back."
    )


class NoOwner(SecretUnreadable, code="KEY-23"):
    template = _("This database has no identity that a secret could be bound to.")
    remedy = _(
        "The parameter database.uuid is empty or was deleted. Put its former value "
        "back: stored secrets open with that one only. Nothing was lost."
    )
