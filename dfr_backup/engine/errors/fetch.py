"""Reading and fetching an archive."""

from ..messages import _
from . import Mismatch, PermanentError


class ArchiveNotKept(PermanentError, code="FETCH-01"):
    template = _("The archive cannot be kept in %(folder)s: %(reason)s.")
    remedy = _("Check the directory on the server.")
    remedy_full = _(
        "Free some space on that disk: what was fetched is kept, and used again."
    )


class ArchiveNotOpened(PermanentError, code="FETCH-02"):
    template = _("The archive cannot be opened: %(reason)s.")
    remedy = _("Check the path, and that the user who runs Odoo may read the file.")


class ArchiveUnreadable(PermanentError, code="FETCH-03"):
    template = _("The archive cannot be read: %(reason)s.")
    remedy = _("Check the file and its disk.")


class DamagedArchive(PermanentError, code="FETCH-04"):
    """The file is not a whole zip, or its content is not what it was."""

    template = _("The archive is damaged or not complete.")
    remedy = _(
        "Fetch it again, or use another copy. “odoo backup verify” shows which "
        "copies are intact."
    )


class MemberDiffers(DamagedArchive):
    """A member is not what the archive's own list of checksums says."""


class ListDiffers(DamagedArchive):
    """The list of checksums is not the one that the manifest names."""


class ListMissing(DamagedArchive):
    """The list of checksums that the manifest names is not in the archive."""


class KeyNeeded(PermanentError, code="FETCH-05"):
    template = _("The archive is encrypted.")
    remedy = _("Give the private key, or the passphrase, that opens it.")
    remedy_first = _("Decrypt it first: enter its key.")
    remedy_export = _(
        "This server does not have the key. Make the complete zip where the key is: "
        "odoo backup export"
    )
    remedy_option = _(
        "Give the file with the private key: --identity FILE. A passphrase is asked "
        "for on a terminal."
    )


class RefusedArchive(PermanentError, code="FETCH-06"):
    """A zip that no honest program makes."""

    template = _("The archive is refused: %(reason)s.")
    remedy = _(
        "It was not made by this addon nor by Odoo, or was changed since. Nothing of "
        "it was used. Find out where it comes from."
    )


class NoDatabase(PermanentError, code="FETCH-07"):
    finding = "no_database"
    template = _("There is no database in the archive.")
    remedy = _(
        "It only holds files: its backup could not save the database, or was told not "
        "to. Choose another copy."
    )


class PgDumpFormat(PermanentError, code="FETCH-08"):
    template = _("This is a dump in pg_dump's own format, not a zip.")
    remedy = _("Restore it with pg_restore, or with the database manager of Odoo.")


class FileUnreadable(PermanentError, code="FETCH-09"):
    template = _("%(file)s cannot be read: %(reason)s.")
    remedy = _("Check the disk, and that the user who runs Odoo may read the file.")
    remedy_source = _(
        "The archive is gone or unreadable on this server. Run a new backup."
    )


class FetchNeedsSpace(PermanentError, code="FETCH-10"):
    template = _("%(folder)s has %(free)s free, and the archive needs %(needed)s.")
    remedy = _("Free some space, or choose a larger disk. Nothing was changed.")


class BadManifest(PermanentError, code="FETCH-11"):
    template = _("“%(key)s” is not a usable manifest of a backup: %(reason)s.")
    remedy = _(
        "Something else wrote that file, or it is damaged. Delete it if it is not "
        "yours; an archive beside it can still be restored by its name."
    )


class NotAtStorage(PermanentError, code="FETCH-12"):
    template = _("%(key)s is not at %(location)s.")
    remedy = _("It was moved or deleted. Scan the storage to see what is there.")
    remedy_address = _(
        "Check the address. “odoo backup list --storage ADDRESS” shows what is there."
    )


class FileGone(PermanentError, code="FETCH-13"):
    template = _("%(file)s is not in %(folder)s.")
    remedy = _("The file was moved or deleted. Scan the storage to see what is there.")


class FetchedDiffers(Mismatch, code="FETCH-14"):
    template = _("%(key)s is not what was stored: its size or its checksum differs.")
    remedy = _(
        "The stored copy is damaged. Use one of another storage, or an older one."
    )


class NewerFormat(PermanentError, code="FETCH-15"):
    template = _(
        "“%(key)s” was made by a newer version of this addon (format %(format)s)."
    )
    remedy = _("Upgrade the addon, or restore that backup where it was made.")


class ArchiveMissing(PermanentError, code="FETCH-16"):
    """A manifest without its archive."""

    template = _("The archive is missing.")
    remedy = _("Only its manifest is there. Use a copy in another storage.")


class ArchiveSizeDiffers(PermanentError, code="FETCH-17"):
    template = _("The archive has %(size)s bytes instead of %(expected)s.")
    remedy = _("It was cut off or changed. Use another copy.")


class ManifestReplaced(Mismatch, code="FETCH-18"):
    template = _("The manifest beside %(key)s is not the one that was stored.")
    remedy = _(
        "Somebody has changed it, or put another backup in its place. Find out who may "
        "write into the storage, and use a copy in another one."
    )
