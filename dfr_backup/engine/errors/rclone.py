"""rclone."""

from ..messages import _
from . import PermanentError, RetryableError
from .storage import NoRoom, NotPermitted


class ConfigurationLocked(PermanentError, code="RCLONE-01"):
    template = _(
        "Cannot %(doing)s in %(location)s: its configuration is encrypted, and could "
        "not be opened."
    )
    remedy = _(
        "Set the environment variable RCLONE_CONFIG_PASS for the service that runs "
        "Odoo."
    )


class RcloneNoPermission(NotPermitted, code="RCLONE-02"):
    template = _("Cannot %(doing)s in %(location)s: permission denied.")
    remedy = _("Give the account of the remote the right to do so.")


class RcloneLoginRefused(PermanentError, code="RCLONE-03"):
    template = _("Cannot %(doing)s in %(location)s: the login was refused.")
    remedy = _(
        "The server's administrator can renew it: rclone config reconnect, or rclone "
        "config"
    )


class RemoteNotConfigured(PermanentError, code="RCLONE-04"):
    template = _(
        "Cannot %(doing)s in %(location)s: the remote is not configured, or not "
        "completely."
    )
    remedy = _("The server's administrator can look at it: rclone config show")


class RcloneNotReached(RetryableError, code="RCLONE-05"):
    template = _(
        "Cannot %(doing)s in %(location)s: the storage cannot be reached, or does not "
        "answer."
    )
    remedy = _(
        "It is tried again. If this happens often, check the network and the storage."
    )


class StorageFull(PermanentError, code="RCLONE-06"):
    template = _("Cannot %(doing)s in %(location)s: the storage is full.")
    remedy = NoRoom.remedy_quota


class RcloneStuck(RetryableError, code="RCLONE-07"):
    template = _("rclone did nothing for %(seconds)s seconds.")
    remedy = _("It was stopped, and is tried again. Check the network and the remote.")


class ConfigurationMissing(PermanentError, code="RCLONE-08"):
    template = _("The configuration of rclone is not at %(path)s.")
    remedy = _(
        "The server's administrator can make it: rclone config, as the system user "
        "that runs Odoo."
    )


class RcloneMissing(PermanentError, code="RCLONE-09"):
    template = _("The program rclone is missing on this server.")
    remedy = _(
        "The server's administrator can install it, for example: apt install rclone"
    )


class RcloneTooOld(PermanentError, code="RCLONE-10"):
    template = _("This rclone is too old: %(version)s.")
    remedy = _(
        "Version 1.60 or newer is needed; the server's administrator can install it."
    )


class BadRemoteDirectory(PermanentError, code="RCLONE-11"):
    template = _("“%(directory)s” cannot be a directory in a remote of rclone.")
    remedy = _(
        "Enter a path like backups/odoo, below where the remote begins, without colons "
        "and without “..”. To begin elsewhere, make an alias remote."
    )


class BadRemote(PermanentError, code="RCLONE-12"):
    template = _("“%(remote)s” cannot be the name of a remote of rclone.")
    remedy = _(
        "Choose one of the remotes that the server's administrator has configured."
    )


class RemoteNotAllowed(PermanentError, code="RCLONE-13"):
    template = _(
        "“%(remote)s” is not among the remotes that may be used on this server."
    )
    remedy = _(
        "There are: %(remotes)s. The server's administrator adds one with rclone "
        "config, as the system user that runs Odoo; one of the kind “local” is never "
        "used."
    )


class RcloneFailed(RetryableError, code="RCLONE-14"):
    template = _("Cannot %(doing)s in %(location)s: rclone says “%(answer)s”.")
    remedy = _(
        "It is tried again. The server's administrator can try the same with rclone by "
        "hand."
    )


class RcloneDirectoryMissing(PermanentError, code="RCLONE-15"):
    template = _("The backup directory is missing: %(location)s.")
    remedy = _("Was it moved, or is a disk not mounted?")


class RcloneNoRoom(NoRoom, code="RCLONE-16"):
    remedy = NoRoom.remedy_quota


class RcloneNotADirectory(PermanentError, code="RCLONE-17"):
    template = _("%(location)s is not a directory.")
    remedy = _("Choose another one, or one that does not exist yet.")
