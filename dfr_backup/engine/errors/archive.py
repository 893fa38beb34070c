"""The archive under construction, and the working directory."""

from ..messages import _
from . import Deferred, PermanentError


class ArchiveDiskFull(PermanentError, code="ARCHIVE-01"):
    template = _("No space left in %(folder)s while writing the archive.")
    remedy = _(
        "Free some space on the disk that holds %(folder)s, or give Odoo a larger data "
        "directory."
    )


class ArchiveNotWritten(PermanentError, code="ARCHIVE-02"):
    template = _("The archive cannot be written in %(folder)s: %(reason)s.")
    remedy = _("Check that directory: its disk, and whether Odoo may write there.")


class ArchiveNeedsSpace(PermanentError, code="ARCHIVE-03"):
    template = _(
        "The archive needs about %(needed)s, and %(folder)s has %(free)s free."
    )
    remedy = _(
        "Free some space on the disk of Odoo's data directory. Nothing was deleted."
    )


class ArchiveNotContinued(PermanentError, code="ARCHIVE-04"):
    template = _("The archive under construction cannot be continued.")
    remedy = _("Run the backup again. Earlier backups are not affected.")


class FilestoreMissing(PermanentError, code="ARCHIVE-05"):
    template = _("The filestore %(folder)s does not exist.")
    remedy = _("Check data_dir in odoo.conf, and that the disk with it is mounted.")


class NoStorage(PermanentError, code="ARCHIVE-06"):
    template = _("The plan has no active storage.")
    remedy = _("Open the plan and choose where backups go.")


class WorkFolderNotMade(PermanentError, code="ARCHIVE-07"):
    template = _("The working directory cannot be made: %(reason)s.")
    remedy = _("Check the disk of %(folder)s, and who may write there.")


class FilesUnreadable(PermanentError, code="ARCHIVE-08"):
    template = _("%(count)s of %(total)s attachment files cannot be read.")
    remedy = _(
        "Give the system user that runs Odoo the right to read them, or check the "
        "disk. The other files are in the archive."
    )


class ManifestMalformed(PermanentError, code="ARCHIVE-09"):
    """The manifest in an archive, which somebody else may have made."""

    template = _("The manifest in the archive cannot be used: %(reason)s.")
    remedy = _(
        "It was damaged or changed, or another program made the archive. Use another "
        "copy of the backup."
    )


class NoManifestBeside(PermanentError, code="ARCHIVE-10"):
    """An archive of ours in a storage that has no sidecar."""

    template = _("The manifest beside the archive is missing.")
    remedy = _(
        "It is written last, so a backup may still be running. Otherwise it was "
        "deleted, or an upload was interrupted: the archive can still be restored "
        "by its name."
    )


class NameUnusable(PermanentError, code="ARCHIVE-11"):
    template = _("“%(key)s” has a name that is not text in UTF-8.")
    remedy = _("Rename the file, or move it elsewhere if it is not a backup.")


class PlainDump(PermanentError, code="ARCHIVE-12"):
    template = _("This is a dump in SQL, not a zip: it has the database and no files.")
    remedy = _(
        "Restore it with psql into a new, empty database, or put it into a zip under "
        "the name dump.sql and import that."
    )


class CompressedFile(PermanentError, code="ARCHIVE-13"):
    template = _("This is a file compressed by gzip, not a zip.")
    remedy = _(
        "Decompress it with gunzip first. A dump in SQL (.sql.gz) is restored with "
        "psql, or imported as a zip that holds it under the name dump.sql."
    )


class InsideFolder(PermanentError, code="ARCHIVE-14"):
    template = _("What the zip holds is in a folder, “%(folder)s”.")
    remedy = _(
        "Pack it again without that folder: %(member)s, the folder filestore and "
        "manifest.json must be at the top of the zip."
    )


class EncryptedMeanwhile(Deferred, code="OTHER-55"):
    template = _(
        "The archive was completed without encryption, but its plan now requires it."
    )
    remedy = _("No action needed: the backup is made again, encrypted.")


class StaysInTheClear(PermanentError, code="OTHER-56"):
    template = _(
        "The archive was completed without encryption, but its plan now requires it: "
        "it was not uploaded."
    )
    remedy = _("Start a new backup: press “Run Again”.")
