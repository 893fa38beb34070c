"""Staging copies: is a database still the harmless copy that was made here? Only then
it is replaced or dropped."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg2

from ..errors import EngineError, reason_of
from ..errors.staging import (
    CopyNotDropped,
    CopyOfAnother,
    IdentityChanged,
    InProduction,
    NotMarked,
    StagingGone,
    StagingRenamed,
    StagingReplaced,
    ThisDatabase,
)
from ..messages import Message, _
from ..postgres.connection import Connection
from .database_location import DatabaseLocation
from .databases import allows_connections, oid_of, server_session
from .errors import server_error
from .safety import acting_as_more
from .staging_mark import HAS_PARAMETERS, PARAMETER, StagingMark
from .target import discard, is_kept_previous

WHERE_IS = """
    SELECT (SELECT datname FROM pg_database WHERE oid = %(oid)s),
           (SELECT oid::bigint FROM pg_database WHERE datname = %(name)s)
"""
INSIDE = """
    SELECT (SELECT value FROM ir_config_parameter WHERE key = %(mark)s),
           (SELECT value FROM ir_config_parameter WHERE key = 'database.uuid'),
           (SELECT value FROM ir_config_parameter
             WHERE key = 'database.is_neutralized'),
           pg_database_size(current_database())::bigint,
           (SELECT oid::bigint FROM pg_database WHERE datname = current_database())
"""
TRUE = ("true", "1", "t", "yes", "y", "on")
NOT_NEUTRALIZED = _("it is not neutralized")
ACTS = _("something in it is active (%(tables)s)")


@dataclass(frozen=True)
class StagingCopy:
    """A copy as the list knows it: its name, its number (``oid``), the uuid of the run
    that has made it, and the identity (its key) of the database that this run belongs
    to. ``here`` is the number of the database that asks."""

    database: str
    oid: int
    run: str
    owner: str
    here: int


def require_copy(server: Connection, copy: StagingCopy) -> int:
    """Return the size of a copy's database in bytes. Raise NotThere when it is not
    under its name, NotOurCopy when it is no harmless copy of ours, and RetryableError
    when it cannot be looked at."""
    if copy.oid == copy.here:
        raise ThisDatabase(database=copy.database)
    _require_in_place(server, copy)
    with _inside(replace(server, database=copy.database)) as cr:
        return _require_harmless_copy(cr, copy)


def _require_in_place(server: Connection, copy: StagingCopy) -> None:
    with server_session(server, _("inspect the databases")) as cr:
        cr.execute(WHERE_IS, {"oid": copy.oid, "name": copy.database})
        name, oid = cr.fetchone()
    if oid is not None and oid != copy.oid:
        raise StagingReplaced(database=copy.database)
    if name is None:
        raise StagingGone(database=copy.database)
    if name != copy.database:
        raise StagingRenamed(database=copy.database, name=name)


@contextlib.contextmanager
def _inside(connection: Connection) -> Iterator[Any]:
    """Yield a cursor that changes nothing."""
    session = connection.connect()
    try:
        session.set_session(readonly=True)
        with session.cursor() as cr:
            yield cr
    except psycopg2.Error as error:
        raise server_error(error, _("inspect the staging copy")) from error
    finally:
        session.close()


def _require_harmless_copy(cr: Any, copy: StagingCopy) -> int:
    cr.execute("SET LOCAL row_security = off")
    cr.execute(HAS_PARAMETERS)
    if not cr.fetchone()[0]:
        raise NotMarked(database=copy.database)
    cr.execute(INSIDE, {"mark": PARAMETER})
    text, uuid, neutralized, size, oid = cr.fetchone()
    mark = StagingMark.from_text(text or "")
    if mark is None or (mark.run, mark.oid, oid) != (copy.run, copy.oid, copy.oid):
        raise NotMarked(database=copy.database)
    if mark.owner != copy.owner:
        raise CopyOfAnother(database=copy.database)
    if mark.uuid != uuid:
        raise IdentityChanged(database=copy.database)
    if str(neutralized).strip().lower() not in TRUE:
        why = Message(NOT_NEUTRALIZED)
        raise InProduction(database=copy.database, why=why)
    if tables := acting_as_more(cr):
        why = Message(ACTS, tables=", ".join(tables))
        raise InProduction(database=copy.database, why=why)
    return int(size)


def is_in_place(server: Connection, database: str, oid: int) -> bool:
    """Tell whether the database of this name has this number. Raise EngineError."""
    with server_session(server, _("inspect the databases")) as cr:
        return oid_of(cr, database) == oid


def drop_copy(
    server: Connection, copy: StagingCopy, place: DatabaseLocation, markers: Path
) -> None:
    """Drop a copy and its filestore for good. Raise what ``require_copy`` does, with
    nothing done; and CopyNotDropped: then all is as it was, or nothing has its name any
    more and the next clean-up removes what is left."""
    require_copy(server, copy)
    with _told(copy.database):
        discard(server, place, copy.oid, markers)


def drop_replaced(
    server: Connection, place: DatabaseLocation, oid: int, markers: Path
) -> bool:
    """Drop what a copy that was made anew has taken the place of: the database with
    this number, if it is kept under the name that a replacement gives and nobody has
    opened it. Return whether it was there."""
    with server_session(server, _("inspect the databases")) as cr:
        cr.execute("SELECT datname FROM pg_database WHERE oid = %s", [oid])
        found = cr.fetchone()
        kept = found and is_kept_previous(place.database, found[0])
        if not kept or allows_connections(cr, found[0]):
            return False
    previous = DatabaseLocation(found[0], place.filestore.with_name(found[0]))
    with _told(previous.database):
        discard(server, previous, oid, markers)
    return True


@contextlib.contextmanager
def _told(database: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = reason_of(error)
        raise CopyNotDropped(
            database=database, reason=reason, log=str(error)
        ) from error
    except EngineError as error:
        raise CopyNotDropped(
            database=database, reason=error.message, log=error.log
        ) from error


def size_of_files(folder: Path, seconds: float) -> int | None:
    """Return the bytes of all files below a folder; None when counting them takes
    longer than ``seconds``. What cannot be read counts nothing."""
    until, total, folders = time.monotonic() + seconds, 0, [folder]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if time.monotonic() > until:
                    return None
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total
