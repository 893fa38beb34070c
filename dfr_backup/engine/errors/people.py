"""Who may do what."""

from ..messages import _
from . import PermanentError


class IdentityNotConfirmed(PermanentError, code="OTHER-30"):
    template = _("Your password was not entered for this in the present session.")
    remedy = _("Open it again with its button, and enter your password.")
