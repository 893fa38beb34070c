"""The last changes inside a restored database, before anybody can act in it."""

import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import psycopg2

from ..checkpoints import checkpoint
from ..crew import LOOK
from ..postgres import Connection
from ..progress import Progress
from .errors import server_error

HAS_ADDON = """
    SELECT EXISTS (SELECT FROM ir_module_module WHERE name = 'dfr_backup'
                      AND state IN ('installed', 'to upgrade', 'to remove'))
"""
# The dump holds the very run that made it, as running: going on with it would write into the
# storages of the original. Plans wait until somebody has looked.
MAKE_SAFE = (
    "UPDATE backup_plan SET active = false, next_run = NULL",
    "UPDATE backup_step SET state = 'skipped', date_end = now() AT TIME ZONE 'UTC'"
    " WHERE state IN ('pending', 'running')",
    "UPDATE backup_job SET state = 'cancelled', date_end = now() AT TIME ZONE 'UTC',"
    " error = 'This run was open in the backup from which this database was restored.'"
    " WHERE state IN ('pending', 'running')",
)
SET_PARAMETER = """
    INSERT INTO ir_config_parameter (key, value, create_uid, create_date, write_uid, write_date)
         VALUES (%(key)s, %(value)s, 1, now() AT TIME ZONE 'UTC', 1, now() AT TIME ZONE 'UTC')
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, write_date = excluded.write_date
"""


@dataclass(frozen=True)
class FinishOptions:
    """``new_identity``: the copy gets a uuid and a secret of its own. ``statements`` are run last
    and in order: those of Odoo's ``neutralize.sql`` files, for example."""

    new_identity: bool = True
    statements: Sequence[str] = ()


def installed_modules(connection: Connection) -> list[str]:
    """Return the modules of the restored database, whose ``neutralize.sql`` count."""
    session = connection.connect()
    try:
        with session.cursor() as cr:
            cr.execute(
                "SELECT name FROM ir_module_module"
                " WHERE state IN ('installed', 'to upgrade', 'to remove') ORDER BY name"
            )
            return [name for (name,) in cr.fetchall()]
    except psycopg2.Error as error:
        raise server_error(error, "read the modules of the restored database") from error
    finally:
        session.close()


def finish_database(connection: Connection, options: FinishOptions = FinishOptions()) -> None:
    """Make a restored database safe, in one transaction: its plans are off, and its open runs
    are closed. Then do what the options say. Raise EngineError."""
    session = connection.connect()
    try:
        with session.cursor() as cr:
            _finish(cr, options)
        session.commit()
    except psycopg2.Error as error:
        raise server_error(error, "finish the restored database") from error
    finally:
        session.close()
    checkpoint("restore.finished")


def analyze(connection: Connection, progress: Progress) -> None:
    """Let the planner know the restored tables: a dump has no statistics, and without them the
    first queries are slow until autovacuum has come by. A failure is a warning. Raise Cancelled,
    and RetryableError when the server cannot be reached."""
    session = connection.connect()
    session.autocommit = True
    with ThreadPoolExecutor(1, "dfr_backup analyze") as pool, session.cursor() as cr:
        running = pool.submit(cr.execute, "ANALYZE")
        try:
            while not wait([running], LOOK).done:
                progress.tick()
            running.result()
        except psycopg2.Error as error:
            progress.warn(
                "The planner's statistics could not be gathered: the database is slower until "
                f"autovacuum has done it. {str(error).strip()}"
            )
        except BaseException:
            session.cancel()
            raise
        finally:
            wait([running])
            session.close()


def _finish(cr: Any, options: FinishOptions) -> None:
    cr.execute(HAS_ADDON)
    if cr.fetchone()[0]:
        for statement in MAKE_SAFE:
            cr.execute(statement)
    if options.new_identity:
        _renew_identity(cr)
    for statement in options.statements:
        cr.execute(statement)


def _renew_identity(cr: Any) -> None:
    """Do what Odoo does for a copy; its address and its login rules are left as they are."""
    cr.execute("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')")
    values = {
        "database.uuid": str(uuid.uuid4()),
        "database.secret": str(uuid.uuid4()),
        "database.create_date": cr.fetchone()[0],
    }
    for key, value in values.items():
        cr.execute(SET_PARAMETER, {"key": key, "value": value})
