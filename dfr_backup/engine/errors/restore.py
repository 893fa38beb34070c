"""Restore.

A class with a ``finding`` may be found before a restore: that is its name on the
command line. One that is ``acceptable`` can be accepted by it.
"""

from ..messages import _
from . import EngineError, PermanentError, RetryableError, error_classes

CUT_OFF = _("The backup was cut off when it was made. Choose another copy.")


class RestoreNeedsSpace(PermanentError, code="RESTORE-01"):
    finding, acceptable = "space", True
    template = _(
        "About %(needed)s are needed, and the disk of %(folder)s has %(free)s free."
    )
    remedy = _("Free some space, or use a larger disk.")


class FilesNotWritten(PermanentError, code="RESTORE-02"):
    finding = "not_writable"
    template = _("Files cannot be written in %(folder)s: %(reason)s.")
    remedy = _("Check that directory: its disk, and whether Odoo may write there.")
    remedy_full = _(
        "Free some space there and restore again. Nothing of this restore was kept."
    )


class SeriesUnknown(PermanentError, code="RESTORE-03"):
    finding = "series_unknown"
    template = _("Nothing in the archive says which version of Odoo it is of.")
    remedy = _("Make sure that it is of Odoo %(here)s.")


class NoChecksums(PermanentError, code="RESTORE-04"):
    finding = "no_checksums"
    template = _("The archive has no SHA-256 checksums.")
    remedy = _(
        "It was made by Odoo's database manager: only its CRC-32 can be compared."
    )


class BackupIncomplete(PermanentError, code="RESTORE-05"):
    finding = "incomplete"
    template = _("The archive is not complete: %(missing)s.")
    remedy = _("Another copy may be complete. What is in this one can be restored.")


class PostgresOlder(PermanentError, code="RESTORE-06"):
    finding, acceptable = "postgres_older", True
    template = _(
        "The database comes from PostgreSQL %(saved)s, and this server is PostgreSQL "
        "%(here)s."
    )
    remedy = _(
        "Restore to a server that is at least as new: an older one may not understand "
        "all."
    )


class RefusedByPostgres(PermanentError):
    """What PostgreSQL refuses; its remedies by SQLSTATE."""

    remedy_disk = _(
        "The disk of the database server is full. Free some space there and try again."
    )
    remedy_memory = _("The database server is short of memory.")
    remedy_rights = _(
        "The database user of odoo.conf may not do this. Restore as a user that may, "
        "or let an administrator of PostgreSQL create the extension in template1 and "
        "set db_template."
    )
    remedy_install = _(
        "Install what is named on the database server: the dump needs it."
    )
    remedy_search_path = _(
        "The function %(function)s looks for something without naming its schema, "
        "and a dump is loaded with an empty search_path: psql cannot load this one "
        "either. In the original database, add “SET search_path = public” to the "
        "function, and make a new backup."
    )
    remedy_unaccent = _(
        "Restore with an unaccent function that is IMMUTABLE, as the original server "
        "had it: set “unaccent = True” in odoo.conf, or use a db_template that has it."
    )


class LoadFailed(RefusedByPostgres, code="RESTORE-07"):
    template = _("The database could not be loaded: %(reason)s (%(where)s)")
    remedy = _(
        "Nothing was kept. The dump does not fit this server, or the backup is "
        "damaged: “odoo backup verify” tells. The line and the statement are in the "
        "log."
    )


class OtherSeries(PermanentError, code="RESTORE-08"):
    finding, acceptable = "series", True
    template = _("The database is of Odoo %(saved)s, and this is Odoo %(here)s.")
    remedy = _(
        "Restore it where Odoo %(saved)s is installed: Odoo does not upgrade a "
        "database by itself."
    )


class ServerLost(RetryableError, code="RESTORE-09"):
    template = _("The database server was lost during the restore: %(reason)s")
    remedy = _(
        "Check that PostgreSQL runs and takes connections; its log may say more."
    )


class MayNotCreate(PermanentError, code="RESTORE-10"):
    finding = "createdb"
    template = _("The database user “%(user)s” may not create databases.")
    remedy = _('As a superuser of PostgreSQL: ALTER ROLE "%(user)s" CREATEDB;')


class CutInStatement(PermanentError, code="RESTORE-11"):
    template = _("The dump in the archive ends in the middle of a statement.")
    remedy = CUT_OFF


class CutInTable(PermanentError, code="RESTORE-12"):
    template = _("The dump in the archive ends in the middle of a table.")
    remedy = CUT_OFF


class PsqlCommands(PermanentError, code="RESTORE-13"):
    template = _(
        "The dump in the archive has commands for psql in it, which are not followed."
    )
    remedy = _(
        "A backup of one database has none. If you trust where it comes from, restore "
        "it by hand with psql."
    )


class LastLineMissing(PermanentError, code="RESTORE-14"):
    template = _("The dump in the archive is not complete: its last line is missing.")
    remedy = CUT_OFF


class FilestoreNotRenamed(PermanentError, code="RESTORE-15"):
    template = _("The filestore cannot get its name: %(reason)s.")
    remedy = _("Check %(folder)s. Everything is as it was before.")


class UnexpectedFailure(PermanentError, code="RESTORE-16"):
    template = _("The restore failed in an unexpected way.")
    remedy = _("Try again. If it happens again, report what the log says.")


class RestoredDiffers(PermanentError, code="RESTORE-17"):
    template = _("The restored database is not what was saved.")
    remedy = _("Use another backup. The log of this step names what differs.")


class FilestoreTaken(PermanentError, code="RESTORE-18"):
    finding = "filestore_taken"
    template = _("There are files of a database “%(database)s” already.")
    remedy = _("Choose another name, or move %(folder)s away.")


class NameTaken(PermanentError, code="RESTORE-19"):
    finding = "name_taken"
    template = _("There is a database “%(database)s” already.")
    remedy = _("Choose another name. A restore never writes over a database.")
    remedy_alone = _(
        "It was left as it is. If that is not the one that is needed, restore the "
        "backup alone: “odoo backup restore ARCHIVE --to NAME”, with --replace to take "
        "its place."
    )


class BadName(PermanentError, code="RESTORE-20"):
    finding = "name"
    template = _("“%(database)s” cannot be the name of a database.")
    remedy = _(
        "Use 1 to 63 letters, digits, “_”, “-” or “.”, and a letter or digit first."
    )


class FileExists(PermanentError, code="RESTORE-21"):
    template = _("%(path)s exists already.")
    remedy = _(
        "Choose another name, or look whether it is still needed: a restore never "
        "writes over files."
    )


class ModulesEnclosed(PermanentError, code="RESTORE-22"):
    finding = "modules_enclosed"
    template = _(
        "%(count)s modules of the database are not on this server, but in the "
        "archive: %(modules)s."
    )
    remedy = _(
        "Unpack the addons of the archive, and add that directory to addons_path."
    )


class ModulesMissing(PermanentError, code="RESTORE-23"):
    finding, acceptable = "modules_missing", True
    template = _(
        "%(count)s modules of the database are not on this server: %(modules)s."
    )
    remedy = _(
        "Install their code first. Without it the restored database does not work "
        "properly."
    )


class EndlessStatement(PermanentError, code="RESTORE-24"):
    template = _("The dump in the archive has a statement that does not end.")
    remedy = _(
        "The archive is damaged, or was not made by pg_dump. Choose another copy."
    )


class TooMuchText(PermanentError, code="RESTORE-42"):
    template = _(
        "The dump contains more statements, comments or rows than is plausible for an "
        "archive of this size."
    )
    remedy = EndlessStatement.remedy


class ServerRefused(RefusedByPostgres, code="RESTORE-25"):
    template = _("Cannot %(doing)s: %(reason)s")
    remedy = _("Look at the log of PostgreSQL.")


class BootFailed(PermanentError, code="RESTORE-26"):
    template = _("Odoo cannot load the restored database.")
    remedy = _("The log of this step says why. Are all custom addons there?")


class BootTooSlow(PermanentError, code="RESTORE-27"):
    template = _("Odoo did not load the restored database in %(seconds)s s.")
    remedy = _("Look at the load of the server, and try again.")


class OwnedByAnother(PermanentError, code="RESTORE-28"):
    finding = "owner"
    template = _(
        "The database “%(database)s” belongs to the database user “%(owner)s”: "
        "“%(user)s” may not replace it."
    )
    remedy = _(
        "Choose another name, or as a superuser of PostgreSQL: ALTER DATABASE "
        '"%(database)s" OWNER TO "%(user)s";'
    )


class LeftoverStays(RetryableError, code="RESTORE-29"):
    template = _(
        "What an unfinished restore has left cannot be removed: %(database)s "
        "(%(reason)s)."
    )
    remedy = _(
        "The next restore tries again. If it stays, end the sessions in that database "
        "and drop it as a superuser of PostgreSQL, and remove %(marker)s."
    )


class ForeignStatement(PermanentError, code="RESTORE-30"):
    template = _(
        "The dump in the archive has a statement that no backup has: “%(head)s …” "
        "(dump.sql, line %(line)s)."
    )
    remedy = _(
        "Nothing was kept. Find out who has made this archive. If you trust it, "
        "restore it by hand with psql."
    )


class WholeServer(PermanentError, code="RESTORE-31"):
    template = _(
        "The dump in the archive makes databases or users by itself: it is of a whole "
        "server, or was made with “--create”."
    )
    remedy = _("Make a dump of the one database, by pg_dump without “--create”.")


class UntrustedAsSuperuser(PermanentError, code="RESTORE-32"):
    finding = "untrusted"
    template = _(
        "Nobody vouches for this archive, and the database user “%(user)s” is a "
        "superuser: functions in the archive could do anything on the database server."
    )
    remedy = _(
        "Say that you trust the file, restore it with “odoo backup restore”, or let "
        'Odoo use an ordinary user: ALTER ROLE "%(user)s" NOSUPERUSER CREATEDB;'
    )


class NotHarmless(PermanentError, code="RESTORE-33"):
    template = _(
        "The copy would not be harmless: something in it stays switched on in "
        "%(tables)s."
    )
    remedy = _(
        "Nothing was kept. The log names what stays on. Functions of the database "
        "switch it on again: find out who has made this archive."
    )


class NotHidden(PermanentError, code="RESTORE-34"):
    template = _(
        "What was loaded has changed the settings of its own database on the server."
    )
    remedy = _(
        "No backup does that: find out who has made this archive. Nothing was kept, "
        "but an Odoo on this server may have served the database for a moment."
    )


class NeededByServer(PermanentError, code="RESTORE-35"):
    finding = "name"
    template = _(
        "“%(database)s” is a database that PostgreSQL itself works with: nothing can "
        "be restored in its place."
    )
    remedy = _("Choose another name.")


class ObjectRefused(LoadFailed):
    """Of an object that holds no data: a restore is complete without it."""

    finding, acceptable = "", True
    remedy = _(
        "Nothing was kept. Ask an administrator of PostgreSQL to create it, or restore "
        "without it: none of the data is in it."
    )


class ExtensionRefused(ObjectRefused, code="RESTORE-36"):
    finding = "extension"
    template = _("The extension %(name)s cannot be created: %(reason)s (%(where)s)")


class PublicationRefused(ObjectRefused, code="RESTORE-37"):
    finding = "publication"
    template = _("The publication %(name)s cannot be created: %(reason)s (%(where)s)")


class EventTriggerRefused(ObjectRefused, code="RESTORE-38"):
    finding = "event_trigger"
    template = _("The event trigger %(name)s cannot be created: %(reason)s (%(where)s)")


class AttachmentsMissing(PermanentError, code="RESTORE-39"):
    finding, acceptable = "attachments_missing", True
    template = _("%(missing)s of %(total)s attachments are missing in the archive.")
    remedy = _(
        "Their files were not there when the archive was made. Another backup may have "
        "them. Restored without them, these attachments cannot be opened."
    )


class NoAttachments(PermanentError, code="RESTORE-40"):
    finding, acceptable = "no_attachments", True
    template = _(
        "The archive holds no attachments, but the database has %(total)s of them."
    )
    remedy = _(
        "It was made without the filestore. If you have the filestore elsewhere, copy "
        "it into place after the restore. Without it, no attachment can be opened."
    )


class AttachmentsDamaged(PermanentError, code="RESTORE-41"):
    finding, acceptable = "attachments_damaged", True
    template = _(
        "%(damaged)s of %(total)s attachment files differ from what was once uploaded."
    )
    remedy = _(
        "They were damaged already when the archive was made: the log names them. "
        "Another backup may have them undamaged."
    )


# of an archive in which nobody has counted what there should be
LOST_ATTACHMENTS = tuple(
    error.finding for error in (AttachmentsMissing, NoAttachments, AttachmentsDamaged)
)


def acceptable_findings() -> tuple[str, ...]:
    """Return what may be accepted, by name."""
    classes = error_classes().values()
    names = (getattr(one, "finding", "") for one in classes if is_acceptable(one))
    return tuple(sorted(set(filter(None, names))))


def is_acceptable(error: EngineError | type[EngineError]) -> bool:
    """Tell whether somebody may decide that a restore goes on in spite of this."""
    return bool(getattr(error, "acceptable", False) and getattr(error, "finding", ""))
