"""Who may do what."""

from ..messages import _
from . import PermanentError


class IdentityNotConfirmed(PermanentError, code="OTHER-30"):
    template = _("Your password was not entered for this in the present session.")
    remedy = _("Open it again with its button, and enter your password.")


class PasswordNeeded(PermanentError, code="OTHER-31"):
    template = _(
        "This change to “%(record)s” can cost you backups: it requires your password, "
        "entered within the last ten minutes."
    )
    remedy = _(
        "Make this change in the form in the web client (%(form)s): saving asks "
        "for your password and continues. It is not possible by RPC or with an "
        "API key."
    )
    remedy_button = _(
        "Press “%(button)s” on the form in the web client (%(form)s): it asks for your "
        "password. It is not possible by RPC or with an API key."
    )
