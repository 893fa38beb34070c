"""Staging copies: what is not, or no more, the database that was made as one."""

from ..messages import _
from . import PermanentError

LEFT_ALONE = _(
    "It is left alone, and nothing deletes it from here. Remove it from the list, or "
    "drop it with Odoo's database manager when nobody needs it."
)


class NotThere(PermanentError):
    """The database of a staging copy is not under its name."""


class NotOurCopy(PermanentError):
    """A database that is there and is no staging copy, or none any more."""

    remedy = LEFT_ALONE


class StagingGone(NotThere, code="STAGING-01"):
    template = _("The database %(database)s is not there any more.")
    remedy = _("Somebody has dropped it. Remove it from the list, or refresh it.")


class StagingRenamed(NotThere, code="STAGING-02"):
    template = _("The database %(database)s is called %(name)s now.")
    remedy = _(
        "It is left alone under its new name. Rename it back, or remove it from the "
        "list."
    )


class StagingReplaced(NotThere, code="STAGING-03"):
    template = _("Another database is called %(database)s now.")
    remedy = _(
        "That one is left alone. Remove the staging copy from the list: its database "
        "is not there any more, or has another name."
    )


class NotMarked(NotOurCopy, code="STAGING-04"):
    template = _("Nothing in the database %(database)s says that it is this copy.")


class IdentityChanged(NotOurCopy, code="STAGING-05"):
    template = _("The database %(database)s has another identity now.")


class InProduction(NotOurCopy, code="STAGING-06"):
    template = _(
        "The database %(database)s may be in use as more than a copy: %(why)s."
    )
    remedy = _(
        "It is left alone, and nothing deletes it from here. If it is still a copy, "
        "neutralize it (odoo-bin neutralize -d %(database)s) and look again; else "
        "remove it from the list."
    )


class CopyOfAnother(NotOurCopy, code="STAGING-07"):
    template = _("The copy %(database)s was made by another database.")
    remedy = _("Only the database that made a copy can delete or refresh it.")


class ThisDatabase(NotOurCopy, code="STAGING-08"):
    template = _("%(database)s is the database that you are working in.")
    remedy = _("It is never deleted from here.")


class StagingBusy(PermanentError, code="STAGING-09"):
    template = _("The staging copy %(database)s is being made or deleted right now.")
    remedy = _("Wait until that has ended, and look again.")


class CopyNotDropped(PermanentError, code="STAGING-10"):
    template = _("The staging copy %(database)s could not be deleted: %(reason)s")
    remedy = _(
        "Close what is connected to it, and check the disk. What is left of it is "
        "removed at the next look."
    )
