"""Who a database is, and what a copy of it may not do."""

from ..messages import _
from . import PermanentError


class NotOriginal(PermanentError, code="IDENTITY-01"):
    template = _(
        "This database is a copy of another one, or was moved: it adds backups, but "
        "deletes none and pings no monitor."
    )
    remedy = _(
        "If it has taken the place of the original, say so on the server: “%(command)s”"
        ". If it is a copy, switch off its backup plans: its backups are never deleted."
    )
    remedy_typed = _(
        "If it has taken the place of the original, an administrator with the right "
        "“Settings” says so in the storage: “This Is the Original”. If it is a copy, "
        "switch off its backup plans: its backups are never deleted."
    )


class OriginalsUnusable(PermanentError, code="IDENTITY-02"):
    template = _(
        "The server's own note of which database is the original cannot be used: "
        "%(file)s: %(reason)s."
    )
    remedy = _(
        "Check that file: the system user that runs Odoo must be able to read and "
        "write it. If it is damaged, delete it and run “odoo backup moved”."
    )


class TwoWriters(PermanentError, code="IDENTITY-03"):
    template = _(
        "Nothing was deleted: %(key)s in “%(storage)s” was stored by this database, "
        "but its history does not know that run. Another server may be running a copy "
        "of the whole database server, or this database was restored from an older "
        "backup."
    )
    remedy = _(
        "Stop the other one, then say on the server that this is the original: "
        "“%(command)s”."
    )
    remedy_typed = _(
        "Stop the other one. Then an administrator with the right “Settings” says in "
        "the storage that this is the original: “This Is the Original”."
    )


class OriginalAlive(PermanentError, code="IDENTITY-04"):
    template = _(
        "“%(storage)s” belongs to the database “%(database)s” of this server, which is "
        "in use."
    )
    remedy = _(
        "Give this database a storage of its own, or let the original accept no more "
        "connections first."
    )


class AddonMissing(PermanentError, code="IDENTITY-05"):
    template = _("This addon is not installed in the database “%(database)s”.")
    remedy = _("Name a database that makes backups: -d DATABASE.")
    remedy_enable = _("To back it up: “%(command)s”.")


class SameUuid(PermanentError, code="IDENTITY-06"):
    template = _(
        "Several databases have one and the same identity: %(databases)s. Only one of "
        "them is the original."
    )
    remedy = _("Name it: “odoo backup moved -d DATABASE”.")


class OperatorDecides(PermanentError, code="IDENTITY-07"):
    template = _(
        "“%(storage)s” uses the server's own credentials: only the server's "
        "administrator can say that this database is the original."
    )
    remedy = _("Ask the server's administrator to run: “%(command)s”.")


class OriginalStillThere(PermanentError, code="IDENTITY-08"):
    template = _(
        "The original, the database “%(database)s” of this server, is in use: this one "
        "is its copy."
    )
    remedy = _(
        "If this one is to take its place, let the other accept no more connections "
        "first, or run on the server: “%(command)s”."
    )


class AlreadyOriginal(PermanentError, code="IDENTITY-09"):
    template = _("In “%(storage)s”, this database is the original already.")
    remedy = _("There is nothing to do.")


class NotUpgraded(PermanentError, code="IDENTITY-10"):
    template = _(
        "The backup addon on this server is newer (%(code)s) than the version that the "
        "database “%(database)s” was upgraded to (%(installed)s): no backup is made."
    )
    remedy = _("Upgrade the addon on the server: “%(command)s”. Then restart Odoo.")


class CodeTooOld(PermanentError, code="IDENTITY-11"):
    template = _(
        "The backup addon on this server is older (%(code)s) than the version that the "
        "database “%(database)s” was upgraded to (%(installed)s): no backup is made."
    )
    remedy = _(
        "Install at least that version of the addon on this server, and restart Odoo."
    )


class OtherServer(PermanentError, code="IDENTITY-12"):
    template = _(
        "The attachment files of this database are on another server: %(folder)s has "
        "%(found)s of the newest %(named)s, or lacks the newest one. This server "
        "leaves all runs to the one that has them."
    )
    remedy = _(
        "While that server runs, no action is needed. If this is the right one, check "
        "that data_dir in odoo.conf is right, that its disk is mounted and that Odoo "
        "may read it. If the files are lost, make a backup without them: “odoo backup "
        "run --here”, or dfr_backup_here = True in odoo.conf."
    )
