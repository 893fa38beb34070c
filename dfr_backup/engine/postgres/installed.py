"""Can a database be asked for its backups? Found out before Odoo is loaded for it: then
the answer is an error that says what is wrong."""

import contextlib

import psycopg2

from ..errors.command_line import DatabaseMissing, NotAnOdooDatabase
from ..errors.dump import ServerUnreachable
from ..errors.identity import AddonMissing
from .connection import Connection

EXISTS = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s)"
IS_ODOO = "SELECT to_regclass('ir_module_module') IS NOT NULL"
HAS_ADDON = """
    SELECT EXISTS (SELECT FROM ir_module_module WHERE name = 'dfr_backup'
                      AND state IN ('installed', 'to upgrade'))
"""


def require_installed(connection: Connection, maintenance: Connection) -> None:
    """Raise an EngineError unless the addon is installed in a database. ``maintenance``
    leads to another one, which knows the names of all."""
    try:
        session = connection.connect()
    except ServerUnreachable as error:
        if _is_missing(connection.database, maintenance):
            raise DatabaseMissing(database=connection.database) from error
        raise
    with contextlib.closing(session), session.cursor() as cr:
        cr.execute(IS_ODOO)
        if not cr.fetchone()[0]:
            raise NotAnOdooDatabase(database=connection.database)
        cr.execute(HAS_ADDON)
        if not cr.fetchone()[0]:
            raise AddonMissing(database=connection.database)


def _is_missing(name: str, maintenance: Connection) -> bool:
    """Tell whether there is surely no such database."""
    try:
        session = maintenance.connect()
        with contextlib.closing(session), session.cursor() as cr:
            cr.execute(EXISTS, [name])
            return not cr.fetchone()[0]
    except (ServerUnreachable, psycopg2.Error):
        return False
