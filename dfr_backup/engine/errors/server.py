"""The databases of a server, seen from outside."""

from ..messages import _
from . import PermanentError, RetryableError


class NoAnswer(RetryableError, code="OTHER-80"):
    template = _(
        "The database “%(database)s” did not answer within %(seconds)s seconds."
    )
    remedy = _(
        "A table may be locked, as during an upgrade, or the server is overloaded. Try "
        "again later."
    )


class NoSuchDatabase(PermanentError, code="OTHER-81"):
    template = _("Nothing was done: there is no database “%(database)s” to exclude.")
    remedy = _("Check the names after --exclude. “odoo backup status --all” lists all.")


class NoDatabases(PermanentError, code="OTHER-92"):
    template = _("There is no database to run this for.")
    remedy = _(
        "“--all” stands for those that Odoo's role owns, or that odoo.conf names in "
        "db_name. “odoo backup status --all” lists them."
    )


class InvalidDatabase(PermanentError, code="OTHER-82"):
    template = _(
        "The database “%(database)s” cannot be used: somebody began to drop it, and "
        "was interrupted."
    )
    remedy = _("Drop it: “%(command)s”. If it was needed, restore its last backup.")


class TablesUnreadable(PermanentError, code="OTHER-83"):
    template = _("The tables of “%(database)s” cannot be read: %(reason)s.")
    remedy = _(
        "Check that they belong to the role with which Odoo logs in, and whether an "
        "upgrade was interrupted."
    )


class ModuleWaits(PermanentError, code="OTHER-84"):
    template = _(
        "The module “%(module)s” is waiting to be installed, upgraded or removed: "
        "until then Odoo runs no scheduled action of this database."
    )
    remedy = _(
        "Finish that under Apps, or cancel it there; then restart the server. From a "
        "shell: “%(command)s”."
    )


class NothingPlanned(PermanentError, code="OTHER-85"):
    template = _("No active plan of this database has a schedule.")
    remedy = _("Create or unarchive one under Backups / Configuration / Plans.")


class PlanLate(PermanentError, code="OTHER-86"):
    template = _(
        "The plan “%(plan)s” has no successful backup within its time limit, which "
        "ended at %(deadline)s."
    )
    remedy = _(
        "The overview of that database says why. “odoo backup run -d %(database)s” "
        "makes one now."
    )
    remedy_paused = _("%(pause)s “odoo backup resume -d %(database)s” resumes them.")


class NotSuccessful(PermanentError, code="OTHER-87"):
    template = _("The last run of the plan “%(plan)s” did not succeed: %(reason)s")
    remedy = _("Run it again: “odoo backup run -d %(database)s”.")
    remedy_known = _("%(hint)s Then run it again: “odoo backup run -d %(database)s”.")


class OtherRelease(PermanentError, code="OTHER-95"):
    template = _(
        "The database “%(database)s” is of Odoo %(found)s, and this server is of Odoo "
        "%(series)s: nothing was changed in it."
    )
    remedy = _("Run the command with the Odoo of that database, or upgrade it first.")


class NotEnabled(PermanentError, code="OTHER-96"):
    template = _("The addon was not installed in “%(database)s”: %(reason)s")
    remedy = _("Resolve what Odoo names, and run the command again.")


class RunFailed(PermanentError, code="OTHER-93"):
    template = _("The run %(run)s did not succeed: %(reason)s")
    remedy = _("The run says more: Backups / Runs in that database.")


class RunRefused(PermanentError, code="OTHER-94"):
    template = _("No run was started: %(reason)s")
    remedy = _("Open the plan in that database: Backups / Configuration / Plans.")


class NoneLeft(PermanentError, code="OTHER-88"):
    template = _(
        "No verified backup of the plan “%(plan)s” is left in its storages, or none "
        "was seen there for a week."
    )
    remedy = _("Check the storages of the plan, scan them, and run a backup.")


class FileNotWritten(PermanentError, code="OTHER-89"):
    template = _("%(file)s could not be written: %(reason)s.")
    remedy = _("Check the directory, and whether this user may write there.")


class Paused(PermanentError, code="OTHER-90"):
    template = _(
        "Backups are paused since %(since)s, by %(by)s (reason: %(reason)s): no "
        "scheduled run starts."
    )
    remedy = _("To resume them: “%(command)s”.")
    remedy_until = _(
        "They resume by themselves at %(until)s. To resume them now: “%(command)s”."
    )


class NotOpened(RetryableError, code="OTHER-91"):
    template = _("The database “%(database)s” cannot be opened: %(reason)s.")
    remedy = _(
        "The server lists it: check that the role with which Odoo logs in has the "
        "right CONNECT there, and that the database has sessions left."
    )


class NothingStored(PermanentError, code="OTHER-97"):
    template = _("There is no backup at %(address)s, nor in the folders below it.")
    remedy = _(
        "Check the address, and whether the disk or share is mounted. “odoo backup "
        "list --storage ADDRESS” shows what is in one folder."
    )
    remedy_folders = _(
        "The section gives each database a location that cannot be listed. Name the "
        "databases: -d NAME,NAME; or each folder: --from ADDRESS."
    )


class FoldersNotListed(PermanentError, code="OTHER-99"):
    template = _("The folders in %(location)s cannot be listed: %(reason)s")
    remedy = _(
        "Give the credentials the right to list there; or name the folder of each "
        "database: “odoo backup restore --from ADDRESS --from ADDRESS --all”."
    )


class NothingWhole(PermanentError, code="OTHER-98"):
    template = _(
        "No backup of “%(database)s” has both its database and its attachments, and is "
        "undamaged."
    )
    remedy = _(
        "Choose one yourself: “odoo backup list --storage ADDRESS”, then “odoo backup "
        "restore ARCHIVE --to NAME”."
    )
