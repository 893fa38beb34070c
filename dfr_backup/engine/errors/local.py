"""Directories of this server."""

from ..messages import _
from . import PermanentError, RetryableError
from .storage import NoRoom, NotPermitted


class SystemRefused(PermanentError, code="LOCAL-01"):
    """What the system says and no class below is for."""

    template = _("Cannot %(doing)s in %(folder)s: %(reason)s.")
    remedy = _("Check the directory on the server.")


class NotAbsolute(PermanentError, code="LOCAL-03"):
    template = _("“%(folder)s” is not an absolute path.")
    remedy = _("Enter the whole path, for example /var/backups/odoo.")


class NotAllowed(PermanentError, code="LOCAL-04"):
    template = _("“%(folder)s” is outside the directories where backups may be kept.")
    remedy = _(
        "Choose a directory below %(roots)s. The server's administrator can add one "
        "in odoo.conf: dfr_backup_local_roots = /path"
    )


class PartOfOdoo(PermanentError, code="LOCAL-05"):
    template = _("“%(folder)s” overlaps with %(root)s, which is itself part of Odoo.")
    remedy = _("Keep backups out of the filestore and of the addons paths.")


class LocalNoRoom(NoRoom, code="LOCAL-06"):
    pass


class DirectoryMissing(PermanentError, code="LOCAL-07"):
    template = _("The backup directory is missing: %(folder)s.")
    remedy = _("Is the disk or share mounted?")


class NoPermission(NotPermitted, code="LOCAL-08"):
    template = _("Odoo has no permission to %(doing)s in %(folder)s.")
    remedy = _("Give the system user that runs Odoo the right to write there.")


class DiskFull(PermanentError, code="LOCAL-09"):
    template = _("The disk of the backup directory is full: %(folder)s.")
    remedy = _("Free some space, or choose a larger disk. Nothing was deleted.")


class QuotaUsedUp(PermanentError, code="LOCAL-10"):
    template = _("The disk quota is used up: %(folder)s.")
    remedy = _("Free some space, or raise the quota. Nothing was deleted.")


class ReadOnlyDisk(PermanentError, code="LOCAL-11"):
    template = _("The disk of the backup directory is read-only: %(folder)s.")
    remedy = _("The file system is mounted read-only: mount it read-write.")


class PathIsFile(PermanentError, code="LOCAL-12"):
    template = _("A part of the path is a file: %(folder)s.")
    remedy = _("Choose another directory.")


class DiskBroken(RetryableError, code="LOCAL-13"):
    template = _("The disk of the backup directory reports errors: %(folder)s.")
    remedy = _("Check the disk before anything else.")


class ShareLost(RetryableError, code="LOCAL-14"):
    template = _("The network share was lost: %(folder)s.")
    remedy = _("Mount it again.")
