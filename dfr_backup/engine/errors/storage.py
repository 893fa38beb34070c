"""Every storage."""

from ..messages import _
from . import Deferred, Mismatch, PermanentError


class NoGoodFile(PermanentError, code="STORAGE-01"):
    template = _(
        "No backup that can be read has an intact copy of these %(count)s files."
    )
    remedy = _("Another storage may have older backups: scan it, and try again.")


class ArchiveGone(PermanentError, code="STORAGE-02"):
    template = _("The archive is gone from %(folder)s.")
    remedy = _(
        "Something deleted it before it was stored everywhere. Run the backup again."
    )


class PartialArchiveGone(PermanentError, code="STORAGE-03"):
    template = _("The archive under construction is gone.")
    remedy = _(
        "The run starts again by itself. If this happens often, check what empties "
        "Odoo's data directory, and that all servers share it."
    )


class ContentDiffers(Mismatch, code="STORAGE-04"):
    template = _(
        "The content of %(key)s in the storage is not what was sent: its checksum "
        "differs."
    )
    remedy = _(
        "The stored copy is damaged. Run a new backup, and check the storage's disk; "
        "to restore, choose another copy."
    )


class ForeignManifest(Mismatch, code="STORAGE-05"):
    template = _("The manifest beside %(key)s belongs to another archive.")
    remedy = _("Somebody changed the storage. Scan it to see what it holds now.")


class UploadedFileGone(PermanentError, code="STORAGE-06"):
    template = _("The uploaded file is gone.")
    remedy = _("Upload it again: nothing else was changed.")


class WorkDeleted(Deferred, code="STORAGE-07"):
    template = _(
        "The working directory %(folder)s was deleted while the backup was running."
    )
    remedy = _("Something cleans up there: exclude that directory.")


class ProbeDiffers(PermanentError, code="STORAGE-08"):
    template = _("What was written to %(location)s is different when it is read back.")
    remedy = _("Check the storage's disk, and what lies between it and this server.")


class ReadOnlyStorage(PermanentError, code="STORAGE-09"):
    template = _(
        "“%(storage)s” is read-only here: it belongs to the database that this one is "
        "a copy of."
    )
    remedy = _(
        "If this database takes the place of the original, open the storage and press "
        "“Take Over”. If it is a test copy, give it a storage of its own."
    )


class SizeDiffers(Mismatch, code="STORAGE-10"):
    template = _("%(key)s has %(size)s bytes in the storage instead of %(expected)s.")
    remedy = _(
        "The stored copy is damaged. Run a new backup, and look at the storage; to "
        "restore, choose another copy."
    )


class CopyMissing(Mismatch, code="STORAGE-11"):
    template = _("%(key)s is not in the storage any more.")
    remedy = _(
        "Somebody or something deleted it. Run a new backup; to restore, choose "
        "another copy."
    )
    remedy_scan = _("Scan the storage.")


class ForeignBackup(PermanentError, code="STORAGE-12"):
    template = _("%(key)s was made by another database, “%(database)s”.")
    remedy = _("Delete it there, or with the tools of the storage.")


class NotOurs(PermanentError, code="STORAGE-13"):
    template = _("%(key)s was put here by Odoo's database manager, or by hand.")
    remedy = _("Delete the file itself, with the tools of the server.")


class BadKey(PermanentError, code="LOCAL-02"):
    template = _("“%(key)s” cannot be the name of a stored object.")
    remedy = _("A name is not empty and has no “/” in it.")


class TooManyObjects(PermanentError, code="ARCHIVE-15"):
    template = _("%(location)s holds more than %(most)s objects.")
    remedy = _("Give the backups a folder or a bucket of their own.")


class TooManyFolders(PermanentError, code="STORAGE-14"):
    template = _("There are more than %(most)s folders below %(location)s.")
    remedy = _(
        "Name the folders that hold backups: “odoo backup restore --from ADDRESS "
        "--from ADDRESS --all”."
    )


class LockRefused(PermanentError, code="STORAGE-15"):
    template = _(
        "The Object Lock of %(key)s in %(location)s cannot be extended: %(problem)s"
    )
    remedy = _(
        "Allow the keys s3:PutObjectRetention and s3:GetObjectRetention, and test the "
        "storage. Where its provider does not extend locks, use it in a plan with "
        "complete backups."
    )


class NotPermitted(PermanentError):
    """The credentials may not do that. Each kind of storage has a code for it."""


class NoRoom(PermanentError):
    """Found before anything is sent. Each kind of storage has a code for it."""

    template = _("%(location)s has %(free)s free, but the archive needs %(needed)s.")
    remedy = _("Free some space, or choose a larger disk. Nothing was deleted.")
    remedy_quota = _("Free some space there, or raise the quota. Nothing was deleted.")
