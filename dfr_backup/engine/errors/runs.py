"""Runs: what ends one from outside its steps."""

from ..messages import _
from . import EngineError, PermanentError, RetryableError

IN_ITS_TURN = _("No action needed: it starts by itself when its turn comes.")
IN_ITS_TURN_AT = _(
    "No action needed: it starts by itself, probably at about %(expected)s UTC."
)


class Interrupted(EngineError, code="RUN-01"):
    template = _("Interrupted in step “%(step)s”, in attempt %(attempt)s.")
    remedy = _(
        "Something ends the backup process: look for “out of memory” in the kernel "
        "log, for a container or service limit, and at the end of %(log_file)s."
    )


class NotStarted(EngineError, code="RUN-02"):
    template = _("The backup process could not be started.")
    remedy = _("The reason is at the end of %(log_file)s on the server.")


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
        "Check the server's clock. The action's date is corrected now, and it "
        "runs within a minute."
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
        "Let it run every hour: Settings / Technical / Scheduled Actions. It "
        "starts earlier by itself for whatever is due sooner."
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


class WaitsForSlot(EngineError, code="RUN-21"):
    """Why a run has not begun: no error, and told like one."""

    template = _(
        "Waiting for a free slot: %(running)s of %(slots)s runs on this server, "
        "%(before)s before this one."
    )
    remedy = _(
        "No action needed: it starts by itself when its turn comes. "
        "dfr_backup_max_running in odoo.conf says how many runs there may be at a time."
    )
    remedy_expected = _(
        "No action needed: it starts by itself, probably at about %(expected)s UTC. "
        "dfr_backup_max_running in odoo.conf says how many runs there may be at a time."
    )


class WaitsForTest(EngineError, code="RUN-22"):
    """The same of a restore test."""

    template = _(
        "Waiting for another restore test on this server: one runs at a time. Runs "
        "that wait before this one: %(before)s."
    )
    remedy = IN_ITS_TURN
    remedy_expected = IN_ITS_TURN_AT


class SlotsUnusable(PermanentError, code="RUN-23"):
    template = _(
        "No run can start, because the folder that limits how many run at a time "
        "cannot be used: %(file)s: %(reason)s"
    )
    remedy = _(
        "Make the system user of Odoo the owner of that folder, with the right to read "
        "and write there, or name another one in odoo.conf: dfr_backup_slots_dir. If "
        "the disk is full, free some space. Waiting runs start within a minute then."
    )


class LimitUnusable(PermanentError, code="RUN-24"):
    template = _(
        "dfr_backup_max_running in odoo.conf is not a whole number above 0: %(value)s"
    )
    remedy = _(
        "Correct that line, or remove it, and restart Odoo. Until then %(default)s "
        "runs are performed at a time: one per two processor cores."
    )


class WaitsForRun(EngineError, code="RUN-25"):
    """The same of a run behind another one of its database."""

    template = _(
        "Waiting for %(run)s: a database has one run at a time. Runs of this database "
        "before this one: %(before)s."
    )
    remedy = IN_ITS_TURN
    remedy_expected = IN_ITS_TURN_AT


class SpaceReserved(RetryableError, code="RUN-26"):
    """Enough for this run alone, and not beside what the others will still write."""

    finding, acceptable = "space", True  # of a restore, as RESTORE-01
    template = _(
        "About %(needed)s are needed, and of the %(free)s free on the disk of "
        "%(folder)s other runs on this host will take %(reserved)s."
    )
    remedy = _(
        "There will be enough space once those runs have ended. A backup is "
        "retried automatically, up to twice, after ten minutes each. Otherwise "
        "free some space, use a larger disk, or allow fewer runs at a time: "
        "dfr_backup_max_running in odoo.conf."
    )


class OpenInBackup(EngineError, code="ARCHIVE-16"):
    """What the run that made a backup says in the database restored from it."""

    template = _(
        "This run was open in the backup from which this database was restored."
    )
    remedy = _("No action needed: usually it is the run that made that backup.")


class NoReason(EngineError, code="OTHER-51"):
    template = _("The step failed without a recorded reason.")
    remedy = _("See the log of the step, and the runner's log: %(log_file)s")


class StepFailed(EngineError):
    """The error of a step as that of its run; its code is that of the step's error."""

    template = _("%(step)s: %(problem)s")
