"""What belongs to no other subject."""

from ..messages import _
from . import Cancelled, EngineError, Mismatch, PermanentError

CHOOSE_ARCHIVE = _(
    "Choose an archive of this addon, or a zip of Odoo's database manager."
)


class Unexpected(EngineError, code="OTHER-01"):
    template = _("An unexpected error: %(error)s")
    remedy = _(
        "This is a fault of the program. The runner's log has the details: %(log_file)s"
    )


class CancelledBy(Cancelled, code="OTHER-02"):
    template = _("Cancelled by %(who)s.")
    remedy = _("To start it again, press “Run Again”.")


class ClocksDisagree(PermanentError, code="OTHER-03"):
    template = _(
        "Nothing was deleted: the clocks of this server (%(now)s) and of the storage "
        "(%(storage_now)s) disagree by more than 5 minutes."
    )
    remedy = _("Set both clocks right, best with NTP.")


class ClockBehind(PermanentError, code="OTHER-04"):
    template = _(
        "Nothing was deleted: the newest verified backup is of %(newest)s, but this "
        "server's clock says %(now)s."
    )
    remedy = _(
        "Set the server's clock right. If that backup was made under a wrong clock, "
        "delete it by hand."
    )


class OutOfMemory(EngineError, code="OTHER-05"):
    template = _("Out of memory in step “%(step)s”.")
    remedy = _(
        "The backup process cannot get more memory: check for a limit of the "
        "service, the container or the system user that runs Odoo, and what else "
        "runs at that time."
    )


class NoManifest(PermanentError, code="OTHER-06"):
    template = _("The archive does not say what it holds: it has no manifest.")
    remedy = _("It can still be restored.")


class UploadNotKept(PermanentError, code="OTHER-07"):
    template = _("The file cannot be kept in %(folder)s: %(reason)s.")
    remedy = _("Check that directory of the server.")
    remedy_full = _("Free some space there.")


class UploadNeedsSpace(PermanentError, code="OTHER-08"):
    template = _("The file has %(size)s, and the server has %(free)s free for it.")
    remedy = _("Free some space on the disk of %(folder)s.")


class NotComparable(PermanentError, code="OTHER-09"):
    template = _(
        "The files of two archives can only be compared when this addon has made both."
    )
    remedy = _("The rows of the tables are compared all the same.")


class ManifestUnreadable(PermanentError, code="OTHER-10"):
    template = _("The manifest cannot be read: %(reason)s.")
    remedy = _("It was damaged or changed. The archive may still be intact: verify it.")


class NotAnArchive(PermanentError, code="OTHER-11"):
    template = _("This is neither a zip nor a file encrypted by age.")
    remedy = CHOOSE_ARCHIVE


class ForeignRun(EngineError, code="OTHER-12"):
    template = _("This run belongs to the database that this one is a copy of.")
    remedy = _(
        "No action needed: it continues in that database. This one makes its own "
        "backups from its next run on."
    )


class NotOdooBackup(PermanentError, code="OTHER-13"):
    template = _(
        "This zip is not a backup of an Odoo database: there is no %(member)s in it."
    )
    remedy = CHOOSE_ARCHIVE


class BadFileName(PermanentError, code="OTHER-14"):
    template = _("“%(file)s” is not the name of an attachment file.")
    remedy = _("Only files that Odoo has named by their content can be put back.")


class FolderIsLink(PermanentError, code="OTHER-15"):
    template = _("%(path)s is a link that leads to no directory.")
    remedy = _("Mount the disk that it leads to, or correct the link.")


class OtherFile(Mismatch, code="OTHER-16"):
    template = _("%(key)s is another file than the one that was found here before.")
    remedy = _("Scan the storage to see what it holds now.")


class OtherContent(PermanentError, code="OTHER-17"):
    template = _("%(file)s: the backup holds another content.")
    remedy = _(
        "The file was damaged already when that backup was made. Use an older one."
    )


class FileUnusable(PermanentError, code="OTHER-18"):
    template = _("%(file)s: %(reason)s.")
    remedy = _(
        "Check the disk with Odoo's filestore, and whether the system user that runs "
        "Odoo may read and write there."
    )


class PolicyUnusable(PermanentError, code="OTHER-19"):
    template = _("Nothing was deleted: %(problems)s")
    remedy = _("Correct the plan's retention.")


class NotLookedInTime(EngineError, code="OTHER-160"):
    template = _("The storage could not be looked at within %(seconds)s seconds.")
    remedy = _(
        "You can prune it without knowing how much is deleted: the run takes the time "
        "that it needs."
    )


class ManifestTooLarge(PermanentError, code="OTHER-70"):
    template = _(
        "The manifest of the backup is too large to be read again, even without the "
        "row counts."
    )
    remedy = _(
        "Remove public keys that are no longer needed from the plan: the manifest "
        "lists every one of them."
    )
