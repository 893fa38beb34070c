"""What runs say about their steps, and why one was skipped."""

from ..engine.messages import _

UNPREPARED = _("Skipped: the preparation failed.")
FROM_REPLICA = _("Dumped from the read replica %(host)s.")
NOT_FROM_REPLICA = _(
    "The dump comes from the primary, not from the read replica: %(problem)s [%(code)s]"
)
NOTHING_SAVED = _("Skipped: neither the database nor the files could be saved.")
NO_ARCHIVE = _("Skipped: there is no archive.")
NOT_STORED = _("Skipped: the archive is not in this storage.")
LEFT_OUT = _(
    "The manifest would be too large to be read again, so it lacks %(what)s. The "
    "backup is complete; a restore can compare less."
)
NOT_KEPT = _("Skipped: this archive cannot be kept.")
STEP_FAILED = _("Skipped: an earlier step has failed.")
RESTORED_COPY = _("Skipped: this database is a restored copy.")
INTERRUPTED = _("Skipped: the run was interrupted.")
CANCELLED = _("Skipped: the run was cancelled.")
REPLACED = _("Skipped: run %(run)s takes the place of this one.")

TAKEN_OFF = _(
    "“%(storage)s” was removed from the plan in the meantime: nothing is stored there."
)

TRYING_AGAIN = _("Interrupted in attempt %(attempt)s: trying again.")

AN_ADMINISTRATOR = _("an administrator")
BETWEEN_STEPS = _("between two steps")
MORE_LINES = _("… and %(count)s more lines")
MAIL_NOT_SENT = _(
    "The email to %(recipient)s could not be sent; Odoo's mail queue tries it again. "
    "%(reason)s"
)
DELETED = _("%(storage)s: deleted %(key)s, which no rule matches")
NOT_DELETED = _("%(key)s could not be deleted: %(problem)s")
NOW_MISSING = _("%(key)s was stored here, and is missing now")
NOW_DAMAGED = _("%(key)s was stored here, and is damaged now")
NOT_USABLE = _("%(key)s cannot be used: %(problem)s")
NOW_REPLACED = _(
    "%(key)s is not the backup that was stored here: another one is in its place"
)
NAME_TAKEN = _("Another backup has that name by now: it is stored as %(key)s")
NOT_TRUSTED = _(
    "%(key)s is newer, and was not tested: it was not made by this database, and "
    "nobody has confirmed that it can be trusted"
)
ARCHIVE_KEPT = _("The archive is kept until %(until)s UTC, to be uploaded again")
LEFTOVER_REMOVED = _("Removed %(name)s, which an earlier run had left behind")
STARTING_AGAIN = _("%(problem)s Starting again.")
NOT_HANDED_OVER = _(
    "The database is restored, but it is not known as the original: %(problem)s Say so "
    "with “%(command)s”."
)
NOT_OPENED = _(
    "The database is restored, but cannot read the other backups of that "
    "location: %(problem)s Allow access to it with “%(command)s”."
)
NOT_MARKED = _("Nothing was opened: this location belongs to no storage")
SAME_NAME = _(
    "Several plans are called “%(plan)s”: backups that were found here follow the "
    "rules of none of them, and are kept. Give each plan its own name, and scan again."
)
NOT_PINGED = _("The monitors of this plan were not notified: %(problem)s")
FILES_MISSING = _("%(count)s attachment files are missing:\n%(names)s")
FILES_DAMAGED = _("%(count)s attachment files are damaged:\n%(names)s")
SIZE_DROP = _(
    "The backup is %(drop)s %% smaller than the ones before. If nobody has deleted "
    "that much, data is missing."
)
COMPLETE_INSTEAD = _("The backup is complete, not incremental: %(problem)s")
NEW_OF = _("%(storage)s: %(new)s new of %(all)s, in %(packs)s packs")
ALL_THERE = _(
    "%(size)s and %(packs)s packs are there. What is new was read back when it was "
    "stored."
)
PACKS_READ = _(
    "Read again in full: %(count)s of %(packs)s packs (%(size)s). All of them are read "
    "within %(days)s days."
)
FILES_READ = _(
    "Read again in the filestore: %(count)s files (%(size)s). All of them are read "
    "within %(days)s days."
)
PUT_BACK = _("%(file)s: restored from %(key)s")
GOOD_ALREADY = _("%(file)s: is intact already")
REPAIRED = _("Files restored: %(repaired)s. Already intact: %(good)s.")
FILES_LOST = _(
    "%(lost)s of %(count)s files are in no backup that can be read. Another storage "
    "may have older backups: scan it, and try again.\n%(names)s"
)
PROBLEM_AT = _("%(where)s: %(problem)s")

ADDONS_UNPACKED = _("Unpacked into %(path)s: %(names)s")
ODOO_HAS_LOADED = _("Odoo has loaded it and read %(count)s models")
NONE = _("nothing")
ADDONS_SKIPPED = _("Already there, left unchanged: %(names)s")
RESTORE_STOPPED = _("the restore was stopped.")
NOT_LOADED = _("Odoo cannot load the restored database.")
ADDONS_COMPLETE = _("This server has every module that the database needs.")
ADDONS_NEEDED = _(
    "The database needs modules that this server does not have: %(names)s."
)
ADDONS_LINE = _(
    "Before the database is opened, look at what was unpacked, let Odoo load it by "
    "this line of odoo.conf, and restart Odoo:\n%(line)s"
)
ADDONS_ABSENT = _("Not in the archive, to be installed manually: %(names)s.")
