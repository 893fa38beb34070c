"""Who may do what."""

from ..messages import _
from . import PermanentError


class IdentityNotConfirmed(PermanentError, code="OTHER-30"):
    template = _("Your password was not entered for this in the present session.")
    remedy = _("Open it again with its button, and enter your password.")


class PasswordNeeded(PermanentError, code="OTHER-31"):
    template = _(
        "This change of “%(record)s” can cost backups: it takes your password, entered "
        "within the last ten minutes."
    )
    remedy = _(
        "Change it in its form in the web client (%(form)s): saving there asks for "
        "your password and goes on. A call by RPC or with an API key cannot do it."
    )
    remedy_button = _(
        "Press “%(button)s” in its form in the web client (%(form)s): the button asks "
        "for your password. A call by RPC or with an API key cannot do it."
    )
