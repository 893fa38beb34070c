"""What is not believed."""

from ..messages import _
from . import PermanentError


class WrongSignature(PermanentError, code="TRUST-01"):
    template = _(
        "The manifest beside %(key)s carries a wrong signature of this server."
    )
    remedy = _(
        "Somebody has changed it after it was stored, or signed it without the key. Do "
        "not restore it: use a copy in another storage, and find out who may write "
        "into this one."
    )
