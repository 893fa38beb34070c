"""The profile of a server: one file that says where the backups of its databases go."""

from ..messages import _
from . import PermanentError, RetryableError

CORRECT_IT = _(
    "The server's administrator must correct it. Until then, no storage of the "
    "profile can be used; nothing was deleted."
)


class ProfileExposed(PermanentError, code="OTHER-100"):
    template = _("%(file)s holds a secret, and every user of the server can read it.")
    remedy = _(
        "The server's administrator must run “chmod 600” on it. Replace the secret."
    )


class ProfileWritable(PermanentError, code="OTHER-110"):
    template = _("Every user of the server can write to %(file)s.")
    remedy = _(
        "Ask the server's administrator to run “chmod 600” on it, and to check its "
        "content."
    )


class ProfileUnreadable(PermanentError, code="OTHER-101"):
    template = _("The file %(file)s cannot be read: %(reason)s.")
    remedy = _(
        "The server's administrator has named it, in odoo.conf, in the environment of "
        "Odoo or in the server's profile. The system user that runs Odoo must be able "
        "to read it."
    )


class ProfileMalformed(PermanentError, code="OTHER-102"):
    """The line is not shown: it may be a secret."""

    template = _("The server's profile %(file)s, line %(line)s: %(reason)s.")
    remedy = CORRECT_IT


class ProfileUnknown(PermanentError, code="OTHER-103"):
    template = _("The server's profile %(file)s, [%(section)s]: unknown: %(names)s.")
    remedy = CORRECT_IT


class ProfileBadValue(PermanentError, code="OTHER-104"):
    template = _("The server's profile %(file)s, [%(section)s] %(key)s: %(reason)s.")
    remedy = CORRECT_IT


class SectionGone(PermanentError, code="OTHER-105"):
    template = _("The server's profile has no section [storage %(section)s] any more.")
    remedy = _(
        "If it was removed on purpose, select another storage in the plan. Its backups "
        "stay where they are, and are listed as before."
    )


class SectionOfOtherKind(PermanentError, code="OTHER-106"):
    template = _(
        "The section [storage %(section)s] of the server's profile is of the kind "
        "%(kind)s, and the storage “%(storage)s” is not."
    )
    remedy = _("The server's administrator must give the section another name.")


class SetByProfile(PermanentError, code="OTHER-107"):
    template = _("“%(storage)s” is set by the server's profile.")
    remedy = _("Only the server's administrator can change it, in that file.")


class SectionOfOthers(PermanentError, code="OTHER-108"):
    template = _(
        "The section [storage %(section)s] of the server's profile is not for the "
        "database “%(database)s”."
    )
    remedy = _("The server's administrator can add it to “databases” of that section.")


class AlertsNotSent(RetryableError, code="OTHER-111"):
    template = _(
        "%(count)s alerts for the server's administrator could not be sent by "
        "%(host)s: %(reason)s"
    )
    remedy = _(
        "Check smtp_server and the options beside it in odoo.conf. It is tried again."
    )


class ProfileStorageRefused(PermanentError, code="OTHER-109"):
    template = _("The server's profile %(file)s, [%(section)s]: %(problem)s")
    remedy = CORRECT_IT
