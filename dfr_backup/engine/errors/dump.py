"""PostgreSQL and pg_dump."""

from ..messages import _
from . import PermanentError, RetryableError

SERVER_DOWN = _("Check that PostgreSQL runs and takes connections.")
INSTALL = _(
    "Install the client programs of PostgreSQL %(major)s on the Odoo server (Debian, "
    "Ubuntu: package postgresql-client-%(major)s), or set pg_path in odoo.conf to "
    "where they are."
)


class TableLocked(RetryableError, code="DUMP-01"):
    template = _("A table is locked by another session, and was not free in time.")
    remedy = _(
        "The backup is tried again later. A module upgrade may be running, or a "
        "transaction may have been left open: look into pg_stat_activity."
    )


class DumpIncomplete(PermanentError, code="DUMP-02"):
    template = _("pg_dump ended without an error, but its output is not complete.")
    remedy = _(
        "Run pg_dump by hand to see what happens; the PostgreSQL log may say more."
    )


class DumpFailed(PermanentError, code="DUMP-03"):
    template = _("pg_dump failed: %(reason)s")
    remedy = _("Run pg_dump by hand as the same database user to see the same error.")
    remedy_postgres = _("PostgreSQL says: %(advice)s")


class DumpLostServer(RetryableError, code="DUMP-04"):
    template = _("pg_dump lost the database server: %(reason)s")
    remedy = SERVER_DOWN


class DumpKilled(RetryableError, code="DUMP-05"):
    template = _("pg_dump was ended by signal %(signal)s.")
    remedy = _("The system may be short of memory: look for pg_dump in the kernel log.")


class ServerUnreachable(RetryableError, code="DUMP-06"):
    template = _("PostgreSQL cannot be reached.")
    remedy = SERVER_DOWN
    remedy_no_host = _(
        "No host is named, so PostgreSQL was looked for on this machine: check that it "
        "runs here. If it runs elsewhere, set db_host in odoo.conf or give --db_host. "
        "In a container of the official image, put /entrypoint.sh before the command."
    )
    remedy_login = _(
        "PostgreSQL rejected the user name or password: check db_user and db_password "
        "in odoo.conf, the options -r and -w, PGUSER and PGPASSWORD."
    )


class TemplateUnusable(PermanentError, code="RESTORE-43"):
    finding = "template"
    template = _(
        "A database cannot be created from the template “%(template)s”: it is missing, "
        "or the database user “%(user)s” may not copy it."
    )
    remedy = _(
        "Correct db_template in odoo.conf: template0, another template, or a database "
        "of this user."
    )


class TooManySessions(ServerUnreachable, code="OTHER-40"):
    template = _("PostgreSQL takes no further session of Odoo: %(reason)s.")
    remedy = _(
        "Raise the limit that it names (CONNECTION LIMIT of the role or the database, "
        "or max_connections). Beside those of the Odoo server, a "
        "backup needs 5 sessions at the same time, a restore from the back office 4, "
        "and one from the command line 1."
    )


class FewSessions(PermanentError, code="OTHER-41"):
    template = _(
        "PostgreSQL lets %(whose)s have %(limit)s sessions at the same time, and "
        "%(used)s are in use: a backup needs %(needed)s more."
    )
    remedy = _("Raise the limit: %(statement)s")


class QueryRefused(PermanentError, code="DUMP-07"):
    template = _("The database server refused to answer.")
    remedy = _("Look at the PostgreSQL log. The backup can be run again.")


class MayNotRead(PermanentError, code="DUMP-08"):
    template = _("The database user is not allowed to read %(objects)s.")
    remedy = _("Make that user the owner, or let the owner or a superuser grant it.")
    remedy_grant = _("As the owner or a superuser, in this database: %(grants)s")
    remedy_log = _(
        "As the owner or a superuser, run the GRANT statements in the log of the step."
    )


class GaveWay(RetryableError, code="DUMP-09"):
    template = _("The dump was stopped in favour of %(session)s.")
    remedy = _(
        "The backup is tried again later. Avoid upgrading modules while it runs."
    )


class ProgramMissing(PermanentError, code="DUMP-10"):
    template = _("%(program)s is not installed on the Odoo server.")
    remedy = INSTALL


class ProgramTooOld(PermanentError, code="DUMP-11"):
    template = _(
        "%(program)s is older than the database server (PostgreSQL %(major)s) and "
        "would refuse it."
    )
    remedy = INSTALL


class ProgramUnstartable(PermanentError, code="OTHER-140"):
    template = _("%(program)s cannot be started: %(reason)s.")
    remedy = _(
        "Run it by hand with --version, as the system user that runs Odoo, and repair "
        "or reinstall it. If pg_path in odoo.conf leads to it, correct that."
    )


class ReplicaLags(RetryableError, code="DUMP-30"):
    template = _(
        "The read replica %(host)s is behind: after %(seconds)s seconds it lacked "
        "%(behind)s of what the primary had written when the run began."
    )
    remedy = _(
        "Check pg_stat_replication on the primary, and whether the replay is "
        "paused. dfr_backup_replica_wait in odoo.conf says how many seconds to "
        "wait for it."
    )


class ReplicaConflict(RetryableError, code="DUMP-31"):
    template = _(
        "The read replica %(host)s cancelled the dump, because it had to replay what "
        "the primary had removed."
    )
    remedy = _(
        "Switch hot_standby_feedback on, or raise max_standby_streaming_delay, in the "
        "configuration of the replica."
    )


class NotReplica(PermanentError, code="DUMP-32"):
    template = _(
        "The server %(host)s is not a read replica of this database's server: it "
        "accepts writes, or belongs to another cluster."
    )
    remedy = _("Check db_replica_host and db_replica_port in odoo.conf.")


class ReplicaSilent(PermanentError, code="DUMP-33"):
    template = _("%(host)s does not let the database user see how far it has replayed.")
    remedy = _(
        "As a superuser, on the primary, in this database: GRANT EXECUTE ON FUNCTION "
        "pg_is_in_recovery(), pg_control_system(), pg_current_wal_lsn(), "
        "pg_last_wal_replay_lsn(), pg_logical_emit_message(boolean, text, text) TO "
        '"%(user)s".'
    )


class ReplicaDiverged(PermanentError, code="DUMP-34"):
    template = _(
        "The read replica %(host)s does not know this run: it follows another server, "
        "such as a copy of this one."
    )
    remedy = _("Check db_replica_host and db_replica_port in odoo.conf.")


class ReplicaUnlogged(PermanentError, code="DUMP-35"):
    template = _(
        "The read replica %(host)s has no rows of unlogged tables: %(tables)s."
    )
    remedy = _(
        "Run ALTER TABLE … SET LOGGED for them, or set dfr_backup_use_replica = False "
        "in odoo.conf."
    )
