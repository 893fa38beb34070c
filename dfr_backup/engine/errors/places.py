"""Whose a location is."""

from ..messages import _
from . import PermanentError

OPEN_LINE = _(
    "Choose a folder of its own. If this database may use that one anyway, the "
    "server's administrator must allow it:\n%(command)s"
)


class PlaceOfAnother(PermanentError, code="PLACE-01"):
    template = _("%(location)s belongs to another database, “%(owner)s”.")
    remedy = OPEN_LINE


class PlaceNotEmpty(PermanentError, code="PLACE-02"):
    template = _(
        "%(location)s already holds files, and this server does not know of which "
        "database."
    )
    remedy = OPEN_LINE


class PlaceLost(PermanentError, code="PLACE-03"):
    """No marker, and the newest backup is not there either."""

    template = _(
        "%(location)s is not the location that this storage has used so far: its "
        "backups are not there. Nothing was written or deleted."
    )
    remedy = _(
        "Is the disk or share mounted? If the location was replaced on purpose, open "
        "the storage and press “Use This Location”."
    )


class OtherPlace(PermanentError, code="PLACE-04"):
    template = _(
        "%(location)s is another location than the one that this storage has used so "
        "far. Nothing was written or deleted."
    )
    remedy = PlaceLost.remedy


class SamePlace(PermanentError, code="PLACE-05"):
    template = _("%(location)s is already the storage “%(storage)s”.")
    remedy = _(
        "Two storages in one location would delete each other's backups. Use that "
        "one, or choose another folder."
    )


class NotOwnInShared(PermanentError, code="PLACE-06"):
    template = _(
        "%(key)s is not a backup of this database. Several databases share "
        "%(location)s."
    )
    remedy = _("Each reads and deletes only its own backups there.")


class PlaceRaced(PermanentError, code="PLACE-07"):
    template = _("Somebody else has claimed %(location)s at the same moment.")
    remedy = _("Test the storage again to see who it belongs to.")


class NoSuchLocation(PermanentError, code="PLACE-08"):
    template = _("No storage of the database “%(database)s” is at %(location)s.")
    remedy = _(
        "Create the storage first. Its location is the one that the refusal printed."
    )


class RecordUnreadable(PermanentError, code="PLACE-09"):
    template = _("Who owns %(location)s cannot be read from %(file)s.")
    remedy = _(
        "Restore that file from a backup of the data directory, or check the rights "
        "of the directory it is in. Nothing was written or deleted."
    )


class SecretWithoutAddress(PermanentError, code="PLACE-10"):
    template = _(
        "The server keeps a secret under the name %(name)s, and does not say where it "
        "may be sent and by which databases."
    )
    remedy = _(
        "The server's administrator must add this beside the secret, if the address is "
        "right:\n%(lines)s"
    )


class SecretOfOthers(PermanentError, code="PLACE-11"):
    template = _(
        "The secrets that the server keeps under the name %(name)s are not for the "
        "database “%(database)s”."
    )
    remedy = _("The server's administrator can add it:\n%(lines)s")


class BadOperatorValue(PermanentError, code="PLACE-12"):
    template = _("%(variable)s is not a whole number.")
    remedy = _(
        "The server's administrator must correct it in the environment or odoo.conf."
    )
