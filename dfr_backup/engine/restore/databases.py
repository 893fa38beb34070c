"""What a restore says to the database server about whole databases."""

# every name in these statements is quoted by psycopg2.sql
# pylint: disable=sql-injection

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2 import sql

from ..errors.staging import StagingReplaced
from ..messages import _
from ..postgres.connection import Connection
from .errors import server_error


@contextmanager
def server_session(
    server: Connection, doing: str, *, transaction: bool = False
) -> Iterator[Any]:
    """Yield a cursor of a session of its own, which commits at its end or at once.
    ``doing`` is as for ``server_error``."""
    session = server.connect()
    try:
        session.autocommit = not transaction
        with session.cursor() as cr:
            yield cr
        session.commit()
    except psycopg2.Error as error:
        raise server_error(error, doing) from error
    finally:
        session.close()


def fence(server: Connection, database: str, oid: int = 0) -> None:
    """Let nobody into a database, and end the sessions that are in it. Raise
    StagingReplaced when it has another number than ``oid``, if that is given."""
    doing = _("close the existing database")
    with server_session(server, doing, transaction=True) as cr:
        allow_connections(cr, database, False)
        if oid and oid_of(cr, database) != oid:
            raise StagingReplaced(database=database)
    with server_session(server, doing) as cr:
        end_sessions(cr, database)


def end_sessions(cr: Any, database: str) -> None:
    """End the sessions of our own role in a database."""
    cr.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = %s AND usename = current_user",
        [database],
    )


def allow_connections(cr: Any, database: str, allowed: bool) -> None:
    """Say whether anybody may connect to a database."""
    cr.execute(
        sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(
            quoted(database), sql.Literal(allowed)
        )
    )


def allows_connections(cr: Any, database: str) -> bool:
    """Tell whether a database is there and anybody may connect to it."""
    cr.execute("SELECT datallowconn FROM pg_database WHERE datname = %s", [database])
    found = cr.fetchone()
    return bool(found and found[0])


def rename(cr: Any, old: str, new: str) -> None:
    """Give a database another name."""
    cr.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(quoted(old), quoted(new))
    )


def drop(cr: Any, database: str) -> None:
    """Drop a database, and end our sessions in it, which a killed restore may have
    left.

    Not WITH (FORCE): that fails for who is no superuser when autovacuum is in the
    database, while the plain statement ends autovacuum itself, and waits for it.
    It takes no connections before it is no template any more: an Odoo would list it,
    and run its tasks, when a session of somebody else keeps it.
    """
    allow_connections(cr, database, False)
    cr.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(quoted(database)))
    end_sessions(cr, database)
    cr.execute(sql.SQL("DROP DATABASE {}").format(quoted(database)))


def exists(cr: Any, database: str) -> bool:
    """Tell whether there is a database of this name."""
    cr.execute("SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s)", [database])
    return bool(cr.fetchone()[0])


def oid_of(cr: Any, database: str) -> int:
    """Return the number of a database, 0 when there is none of this name."""
    cr.execute("SELECT oid::bigint FROM pg_database WHERE datname = %s", [database])
    found = cr.fetchone()
    return int(found[0]) if found else 0


def is_there(cr: Any, oid: int) -> bool:
    """Tell whether there is a database with this number, whatever its name."""
    cr.execute("SELECT EXISTS (SELECT FROM pg_database WHERE oid = %s)", [oid])
    return bool(cr.fetchone()[0])


def is_template(cr: Any, database: str) -> bool:
    """Tell whether new databases may be copies of this one."""
    cr.execute("SELECT datistemplate FROM pg_database WHERE datname = %s", [database])
    found = cr.fetchone()
    return bool(found and found[0])


def owner_without_us(cr: Any, database: str) -> str | None:
    """Return the role that owns a database, None when we may act as it."""
    cr.execute(
        "SELECT pg_get_userbyid(datdba) FROM pg_database"
        " WHERE datname = %s AND NOT pg_has_role(datdba, 'USAGE')",
        [database],
    )
    found = cr.fetchone()
    return str(found[0]) if found else None


def quoted(database: str) -> sql.Identifier:
    """Return the name as it stands in a statement."""
    return sql.Identifier(database)
