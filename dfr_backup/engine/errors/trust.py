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


class NotTrusted(PermanentError, code="TRUST-02"):
    template = _(
        "Nobody vouches for %(key)s: it was neither made nor signed by this database."
    )
    remedy = _(
        "A restore runs what is in the dump. If you know where the file comes from, an "
        "administrator with the right “Settings” can press “I Trust This File” in the "
        "form of the copy. On the server, “odoo backup restore” asks nobody."
    )


class NamesTaken(PermanentError, code="TRUST-03"):
    template = _("The storage has other files under every name for %(key)s.")
    remedy = _("Rename the file and import it again. Nothing was overwritten.")


class NeverTrusted(PermanentError, code="TRUST-04"):
    template = _("Nobody has said that %(key)s can be trusted.")
    remedy = _(
        "There is nothing to withdraw. What this database has made or signed itself "
        "needs no trust: delete it, if it is not to be restored."
    )
