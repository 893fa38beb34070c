"""Runs: what ends one from outside its steps."""

from ..messages import _
from . import EngineError, PermanentError


class Interrupted(EngineError, code="RUN-01"):
    template = _("Interrupted in step “%(step)s”, in attempt %(attempt)s.")
    remedy = _(
        "Something ends the backup process: look for “out of memory” in the kernel "
        "log, for a container or service limit, and at the end of %(log_file)s."
    )


class NotStarted(EngineError, code="RUN-02"):
    template = _("The backup process could not be started.")
    remedy = _("The reason stands at the end of %(log_file)s on the server.")


class SwitchedOff(PermanentError, code="RUN-03"):
    template = _(
        "Backups are switched off on this server: odoo.conf says "
        "dfr_backup_enabled = False."
    )
    remedy = _(
        "No run starts here, nothing is deleted and nobody is notified. To switch "
        "backups on, remove that line and restart Odoo."
    )


class ActionTooFar(PermanentError, code="RUN-04"):
    template = _(
        "The scheduled action “Backup: plan and supervise” waits until %(next_call)s: "
        "the server's clock was probably ahead when it last ran."
    )
    remedy = _(
        "Check the server's clock. The date is set right by whoever has found this; "
        "the action runs within a minute."
    )


class ActionOff(PermanentError, code="RUN-05"):
    template = _(
        "The scheduled action “Backup: plan and supervise” is switched off: no backup "
        "starts by itself, and a run that is interrupted is not resumed."
    )
    remedy = _(
        "Switch it on with the button on the overview. Somebody has switched it off, "
        "or Odoo itself after a week of failures: the server's log says which."
    )


class ActionFailing(PermanentError, code="RUN-06"):
    template = _(
        "The scheduled action “Backup: plan and supervise” has failed %(count)s times "
        "in a row, since %(since)s."
    )
    remedy = _("The server's log has the reason.")


class ActionLate(PermanentError, code="RUN-07"):
    template = _(
        "The scheduled action “Backup: plan and supervise” should have run at "
        "%(next_call)s."
    )
    remedy = _(
        "Odoo runs no scheduled actions of this database: max_cron_threads may be 0, "
        "db_name may name other databases, or a module may be waiting under Apps to be "
        "installed, upgraded or removed."
    )


class ActionMissing(PermanentError, code="RUN-08"):
    template = _("The scheduled action “Backup: plan and supervise” was deleted.")
    remedy = _("Upgrade the addon: odoo -u dfr_backup creates it again.")


class ActionSlow(PermanentError, code="RUN-09"):
    template = _(
        "The scheduled action “Backup: plan and supervise” runs less often than the "
        "plans need: next at %(next_call)s."
    )
    remedy = _(
        "Let it run every hour: Settings / Technical / Scheduled Actions. It wakes up "
        "by itself for what is due before."
    )


class UnknownKind(PermanentError, code="RUN-10"):
    template = _("This server does not know runs of the kind “%(kind)s”.")
    remedy = _(
        "This run was made by an addon that is no longer installed. Install it again, "
        "or delete the run from the history."
    )


class UnknownState(EngineError, code="RUN-11"):
    template = _(
        "Another release of this addon has begun this run, or its saved state is "
        "damaged."
    )
    remedy = _("No action needed: the run starts again from the beginning.")


class NoWorker(PermanentError, code="RUN-20"):
    template = _(
        "A run has been waiting since %(since)s (UTC), and no worker has taken it: "
        "odoo.conf says dfr_backup_spawn = False, so Odoo starts no run itself."
    )
    remedy = _(
        "Make sure that “odoo backup worker” is running with this odoo.conf and this "
        "data directory, and check its log. Or remove that line and restart Odoo."
    )


class OpenInBackup(EngineError, code="ARCHIVE-16"):
    """What the run that made a backup says in the database restored from it."""

    template = _(
        "This run was open in the backup from which this database was restored."
    )
    remedy = _(
        "Nothing is to be done: usually it is the very run that made that backup."
    )


class NoReason(EngineError, code="OTHER-51"):
    template = _("The step failed without a recorded reason.")
    remedy = _("See the log of the step, and the runner's log: %(log_file)s")


class StepFailed(EngineError):
    """The error of a step as that of its run; its code is that of the step's error."""

    template = _("%(step)s: %(problem)s")
