"""Can a database be asked for its backups? Found out before Odoo is loaded for it, and
before any of our tables is read: then the answer is an error that says what is
wrong."""

import contextlib
import shlex
from typing import Any

import psycopg2

from ..errors.command_line import DatabaseMissing, NotAnOdooDatabase
from ..errors.dump import ServerUnreachable
from ..errors.identity import AddonMissing, CodeTooOld, NotUpgraded
from ..versions import numbers_in
from .connection import Connection

EXISTS = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s)"
IS_ODOO = "SELECT to_regclass('ir_module_module') IS NOT NULL"
# Odoo writes the version when an installation or an upgrade has come to its end
VERSION = """
    SELECT latest_version FROM ir_module_module
     WHERE name = 'dfr_backup' AND state IN ('installed', 'to upgrade')
"""


def require_installed(
    connection: Connection, maintenance: Connection, code: str
) -> None:
    """Raise an EngineError unless the addon is installed in a database, in the version
    ``code``. ``maintenance`` leads to another one, which knows the names of all."""
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
        require_version(cr, connection.database, code)


def require_version(cr: Any, database: str, code: str) -> None:
    """Raise AddonMissing, NotUpgraded or CodeTooOld unless the tables of a database are
    those of the version ``code``, such as "19.0.1.1.0"."""
    cr.execute(VERSION)
    found = cr.fetchone()
    if not found:
        raise AddonMissing(database=database)
    (installed,) = found
    if not installed or installed == code:  # none: this is the installation
        return
    wrong = NotUpgraded if numbers_in(installed) < numbers_in(code) else CodeTooOld
    command = f"odoo -u dfr_backup -d {shlex.quote(database)} --stop-after-init"
    raise wrong(database=database, installed=installed, code=code, command=command)


def _is_missing(name: str, maintenance: Connection) -> bool:
    """Tell whether there is surely no such database."""
    try:
        session = maintenance.connect()
        with contextlib.closing(session), session.cursor() as cr:
            cr.execute(EXISTS, [name])
            return not cr.fetchone()[0]
    except (ServerUnreachable, psycopg2.Error):
        return False
