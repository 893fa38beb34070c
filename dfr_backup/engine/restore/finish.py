"""The last changes inside a restored database, before anybody can act in it."""

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg2

from ..checkpoints import checkpoint
from ..concurrency.cores import usable_cores
from ..errors import EngineError
from ..errors.runs import OpenInBackup
from ..messages import Message, _
from ..postgres.connection import Connection
from ..progress import Progress
from .errors import server_error
from .safety import HAS_ADDON, nothing_in_the_way
from .sessions import Sessions
from .staging_mark import HAS_PARAMETERS, PARAMETER, StagingMark

OPEN = OpenInBackup()
# The dump holds the very run that made it, as running: going on with it would write
# into the storages of the original. Plans wait until somebody has looked.
MAKE_SAFE = (
    "UPDATE backup_plan SET active = false, next_run = NULL",
    "UPDATE backup_step SET state = 'skipped', date_end = now() AT TIME ZONE 'UTC'"
    " WHERE state IN ('pending', 'running')",
    "UPDATE backup_job SET state = 'cancelled', date_end = now() AT TIME ZONE 'UTC',"
    " error = 'This run was open in the backup from which this database was restored.'"
    " WHERE state IN ('pending', 'running')",
)
# a backup of an older release of the addon has no such columns
HAS_CODES = """
    SELECT count(*) = 3 FROM pg_attribute
     WHERE attrelid = 'backup_job'::regclass AND NOT attisdropped
       AND attname IN ('hint', 'error_code', 'error_values')
"""
SET_CODE = """
    UPDATE backup_job SET hint = %(hint)s, error_code = %(code)s,
                          error_values = %(values)s
     WHERE state = 'cancelled' AND error = %(error)s
"""
INSTALLED = """
    SELECT name FROM ir_module_module
     WHERE state IN ('installed', 'to upgrade', 'to remove') ORDER BY name
"""
# the largest first: it must not be the last to end
ANALYZE = """
    SELECT format('ANALYZE %s', c.oid::regclass) FROM pg_class c
     WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'
       AND NOT c.relisshared
     ORDER BY pg_relation_size(c.oid) DESC
"""
SET_PARAMETER = """
    INSERT INTO ir_config_parameter
                (key, value, create_uid, create_date, write_uid, write_date)
         VALUES (%(key)s, %(value)s, 1, now() AT TIME ZONE 'UTC',
                 1, now() AT TIME ZONE 'UTC')
    ON CONFLICT (key) DO UPDATE
            SET value = excluded.value, write_date = excluded.write_date
"""
# a restored database is no staging copy unless it is made one now, and has made none
FORGET_MARK = "DELETE FROM ir_config_parameter WHERE key = %(key)s"
FORGET_COPIES = "DELETE FROM backup_staging"
HAS_COPIES = "SELECT to_regclass('backup_staging') IS NOT NULL"
NO_STATISTICS = _(
    "The planner's statistics could not be gathered: the database is slower until "
    "autovacuum has done it. %(problem)s"
)


@dataclass(frozen=True)
class FinishOptions:
    """``new_identity``: the copy gets a uuid and a secret of its own, and says that it
    is a staging copy, if there is a ``mark``. ``statements`` are run last and in order:
    those of Odoo's ``neutralize.sql`` files, for example."""

    new_identity: bool = True
    statements: Sequence[str] = ()
    mark: StagingMark | None = None


def installed_modules(connection: Connection) -> list[str]:
    """Return the modules of the restored database, whose ``neutralize.sql`` count."""
    return _names(connection, INSTALLED, _("read the modules of the restored database"))


def _names(connection: Connection, query: str, doing: str) -> list[str]:
    session = connection.connect()
    try:
        with session.cursor() as cr:
            cr.execute(query)
            return [name for (name,) in cr.fetchall()]
    except psycopg2.Error as error:
        raise server_error(error, doing) from error
    finally:
        session.close()


def finish_database(
    connection: Connection, options: FinishOptions = FinishOptions()
) -> list[str]:
    """Make a restored database safe, in one transaction: its plans are off, and its
    open runs are closed. Then do what the options say. Return the names of the rules
    and triggers that were switched off meanwhile. Raise EngineError."""
    session = connection.connect()
    try:
        with session.cursor() as cr:
            ours = (*MAKE_SAFE, SET_PARAMETER, FORGET_MARK, FORGET_COPIES)
            statements = [*ours, *options.statements]
            with nothing_in_the_way(cr, statements) as switched_off:
                _finish(cr, options)
        session.commit()
    except psycopg2.Error as error:
        raise server_error(error, _("finish the restored database")) from error
    finally:
        session.close()
    checkpoint("restore.finished")
    return switched_off


def analyze(connection: Connection, progress: Progress) -> None:
    """Let the planner know the restored tables: a dump has no statistics, and
    without them the first queries are slow until autovacuum has come by. A failure
    is a warning. Raise Cancelled, and RetryableError when the server cannot be
    reached."""
    statements = _names(
        connection, ANALYZE, _("list the tables of the restored database")
    )
    statistics = _Statistics()
    with Sessions(connection, usable_cores(), progress) as sessions:
        for statement in statements:
            sessions.share(statistics.gather_now(statement))
        sessions.wait()
        for statement in statistics.taken.copy():
            sessions.share(statistics.gather(statement))
        sessions.wait()
    if statistics.problems:
        progress.warn(Message(NO_STATISTICS, problem=statistics.problems[0]))


class _Statistics:
    """What became of the statements: tables that autovacuum has ``taken`` are to be
    waited for, and each may take a second, so all others come before."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.problems: list[str] = []

    def gather_now(self, statement: str) -> Callable[[Any], None]:
        now = self.gather(statement.replace("ANALYZE", "ANALYZE (SKIP_LOCKED)", 1))

        def work(session: Any) -> None:
            now(session)
            if session.notices:  # the only one there is: that the table was skipped
                session.notices.clear()
                self.taken.append(statement)

        return work

    def gather(self, statement: str) -> Callable[[Any], None]:
        def work(session: Any) -> None:
            try:
                with session.cursor() as cr:
                    cr.execute(statement)
            except psycopg2.Error as error:
                self.problems.append(str(error).strip())

        return work


def _finish(cr: Any, options: FinishOptions) -> None:
    cr.execute(HAS_ADDON)
    if cr.fetchone()[0]:
        for statement in MAKE_SAFE:
            cr.execute(statement)
        cr.execute(HAS_CODES)
        if cr.fetchone()[0]:
            cr.execute(SET_CODE, _columns(OPEN))
    cr.execute(HAS_PARAMETERS)
    if cr.fetchone()[0]:
        cr.execute(FORGET_MARK, {"key": PARAMETER})
    if options.new_identity:
        _become_another(cr, _renew_identity(cr), options.mark)
    for statement in options.statements:
        cr.execute(statement)


def _columns(error: EngineError) -> dict[str, object]:
    """Return what the models store of an error."""
    texts = {"error": error.message, "hint": error.hint}
    values = {name: text.to_json() for name, text in texts.items()}
    shown = {name: str(text) for name, text in texts.items()}
    return {**shown, "code": error.code, "values": json.dumps(values)}


def _become_another(cr: Any, identity: str, mark: StagingMark | None) -> None:
    """Forget the staging copies of the original, and say what this one is."""
    cr.execute(HAS_COPIES)
    if cr.fetchone()[0]:
        cr.execute(FORGET_COPIES)
    if mark:
        text = replace(mark, uuid=identity).to_text()
        cr.execute(SET_PARAMETER, {"key": PARAMETER, "value": text})


def _renew_identity(cr: Any) -> str:
    """Do what Odoo does for a copy; its address and its login rules are left as they
    are. Return its uuid."""
    cr.execute("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')")
    identity = str(uuid.uuid4())
    values = {
        "database.uuid": identity,
        "database.secret": str(uuid.uuid4()),
        "database.create_date": cr.fetchone()[0],
    }
    for key, value in values.items():
        cr.execute(SET_PARAMETER, {"key": key, "value": value})
    return identity
