"""Who may do what."""

from ..messages import _
from . import PermanentError


class IdentityNotConfirmed(PermanentError, code="OTHER-30"):
    template = _("Your password was not entered for this in the present session.")
    remedy = _("Open it again with its button, and enter your password.")


class PasswordNeeded(PermanentError, code="OTHER-31"):
    template = _("This change can cost backups: enter your password first.")
    remedy = _("Make it in the web client, which asks for the password.")
