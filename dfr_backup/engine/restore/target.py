"""Where a restore goes: a scratch database and a scratch filestore, which get their
names last.

Until then nobody but the restore acts in them. The scratch database is marked as a
template: Odoo lists no templates (``service.db.list_dbs``), so no server of any machine
finds it, shows it, or runs its crons; and its name stands in nobody's configuration.
The last step gives it its name and takes the mark away in one transaction.

What was made is written down in a marker file before it is made. The file is locked as
long as the process lives, so that a later one can tell what a killed one has left.
"""

# every name in these statements is quoted by psycopg2.sql
# pylint: disable=sql-injection

import contextlib
import os
import re
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from ..checkpoints import checkpoint
from ..errors import reason_of
from ..errors.restore import (
    BadName,
    FilestoreNotRenamed,
    FilestoreTaken,
    NameTaken,
    NeededByServer,
    NotHidden,
    OwnedByAnother,
)
from ..errors.staging import StagingReplaced
from ..messages import _
from ..postgres.connection import Connection
from ..progress import Progress
from .database_location import MARKER_SUFFIX, PREFIX, SCRATCH, DatabaseLocation
from .databases import (
    allow_connections,
    allows_connections,
    drop,
    end_sessions,
    exists,
    fence,
    is_template,
    oid_of,
    owner_without_us,
    quoted,
    rename,
    server_session,
)
from .leftovers import clean_up
from .marker import Marker

DATABASE_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")  # what Odoo serves
SERVERS_OWN = ("postgres", "template0", "template1")
# What Odoo creates in each database. After the load: the dump may have it in another
# schema, or a function of its own under that name.
EXTENSIONS = ("CREATE EXTENSION IF NOT EXISTS pg_trgm",)
NO_UNACCENT = "SELECT to_regprocedure('public.unaccent(text)') IS NULL"
UNACCENT = (
    "CREATE EXTENSION IF NOT EXISTS unaccent",
    "ALTER FUNCTION unaccent(text) IMMUTABLE",
)
HIDDEN = """
    SELECT datistemplate AND datallowconn
       AND NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setdatabase = d.oid)
      FROM pg_database d WHERE datname = %s
"""
KEPT = "_before_%Y%m%d_%H%M%S"  # what is replaced: after its own name
KEPT_LIKE = re.compile(r"(?P<name>.+)_before_\d{8}_\d{6}")
PUBLIC_SCHEMA = ("GRANT CREATE ON SCHEMA public TO PUBLIC",)  # as Odoo does


@dataclass(frozen=True)
class Published:
    """Where a restore ended up; ``previous`` is what it replaced, under its new
    name. That one takes no connections, so that two databases with the same tasks
    cannot both act."""

    place: DatabaseLocation
    previous: DatabaseLocation | None = None


class RestoreTarget:
    """Make one, ``create`` its database, fill ``connection`` and ``filestore``,
    ``publish``.

    Use as a context manager: leaving it before ``publish`` removes all that was made,
    and nothing else. ``server`` connects to the database “postgres”; ``place`` must be
    free, unless ``replace_existing``; with ``replaces``, no database but the one with
    this number (OID) is replaced. ``markers`` is a directory of this server's own.
    """

    def __init__(
        self,
        server: Connection,
        place: DatabaseLocation,
        markers: Path,
        *,
        replace_existing: bool = False,
        replaces: int = 0,
    ):
        name = f"{PREFIX}{secrets.token_hex(6)}"
        self.place = place
        self.scratch = DatabaseLocation(name, place.filestore.with_name(name))
        self.connection = replace(server, database=name)
        self.filestore = self.scratch.filestore
        self._server = server
        self._markers = markers
        self._replace = replace_existing
        self._replaces = replaces
        self._template = ""
        self._marker: Marker
        self._published = False

    def __enter__(self) -> "RestoreTarget":
        check_name(self.place.database)
        self._require_free()
        path = self._markers / f"{self.scratch.database}{MARKER_SUFFIX}"
        self._marker = Marker.create(path, _facts(self.scratch, self.place))
        checkpoint("restore.marker.written")
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            if not self._published:
                clean_up(self._server, self._marker.facts)
            self._marker.remove()
        finally:
            self._marker.close()

    def create(
        self, *, template: str = "template0", progress: Progress | None = None
    ) -> None:
        """Create the scratch database, empty. Raise EngineError, Cancelled."""
        self._template = template
        server = self._server.heard_by(progress)
        with server_session(server, _("create the database")) as cr:
            collate = sql.SQL("LC_COLLATE 'C'" if template == "template0" else "")
            cr.execute(
                sql.SQL("CREATE DATABASE {} ENCODING 'unicode' {} TEMPLATE {} "
                        "IS_TEMPLATE true")
                .format(quoted(self.scratch.database), collate, quoted(template))
            )  # fmt: skip
        checkpoint("restore.database.created")
        with server_session(self.connection, _("prepare the database")) as cr:
            _try(cr, PUBLIC_SCHEMA)

    def create_again(self, progress: Progress | None = None) -> None:
        """Create the scratch database once more, empty as before. Raise
        EngineError, Cancelled."""
        server = self._server.heard_by(progress)
        with server_session(server, _("create the database")) as cr:
            drop(cr, self.scratch.database)
        self.create(template=self._template, progress=progress)

    def complete(
        self, *, unaccent: bool = False, progress: Progress | None = None
    ) -> None:
        """Create what Odoo would have created in a new database and a dump may lack.
        Raise EngineError, Cancelled."""
        connection = self.connection.heard_by(progress)
        with server_session(connection, _("prepare the database")) as cr:
            _try(cr, EXTENSIONS)
            cr.execute(NO_UNACCENT)
            if unaccent and cr.fetchone()[0]:
                _try(cr, UNACCENT)

    def number(self) -> int:
        """Return the number (OID) that PostgreSQL has given the database: it is the
        same under whatever name, and proves after a kill that this one was
        published."""
        with server_session(self._server, _("inspect the databases")) as cr:
            return oid_of(cr, self.scratch.database)

    def publish(self) -> Published:
        """Give database and filestore their names. Either all of it happens or, when
        an error is raised, nothing. Sessions in the scratch database, which a pooler
        may keep, are ended."""
        previous = self._previous()
        self._require_hidden()
        self._marker.add(**_facts_of_publishing(self.filestore, previous))
        checkpoint("restore.publish.before")
        if previous:
            fence(self._server, self.place.database)
        with server_session(self._server, _("give the database its name")) as cr:
            allow_connections(cr, self.scratch.database, False)
            end_sessions(cr, self.scratch.database)
        _exchange_files(self.place, self.scratch, previous)
        checkpoint("restore.publish.files")
        with server_session(
            self._server, _("give the database its name"), transaction=True
        ) as cr:
            if previous:
                rename(cr, self.place.database, previous.database)
            rename(cr, self.scratch.database, self.place.database)
            cr.execute(
                sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(
                    quoted(self.place.database)
                )
            )
            allow_connections(cr, self.place.database, True)
        self._published = True
        checkpoint("restore.publish.after")
        return Published(self.place, previous)

    def _previous(self) -> DatabaseLocation | None:
        """Return where what is there now will be kept, if there is anything."""
        with server_session(self._server, _("inspect the databases")) as cr:
            if not self._replace or not exists(cr, self.place.database):
                require_free(cr, self.place, replace_existing=self._replace)
                return None
            if self._replaces and oid_of(cr, self.place.database) != self._replaces:
                raise NameTaken(database=self.place.database)
        suffix = datetime.now(timezone.utc).strftime(KEPT)
        name = self.place.database[: 63 - len(suffix)] + suffix
        return DatabaseLocation(name, self.place.filestore.with_name(name))

    def _require_hidden(self) -> None:
        """Raise NotHidden when what was loaded has changed its own database: an Odoo
        may have found it, or settings in it would count."""
        with server_session(self._server, _("inspect the databases")) as cr:
            cr.execute(HIDDEN, [self.scratch.database])
            if not cr.fetchone()[0]:
                raise NotHidden(log=self.scratch.database)

    def _require_free(self) -> None:
        with server_session(self._server, _("inspect the databases")) as cr:
            require_free(cr, self.place, replace_existing=self._replace)


def require_free(cr: Any, place: DatabaseLocation, *, replace_existing: bool) -> None:
    """Raise the error of who may not have the place."""
    name = place.database
    taken = exists(cr, name)
    if taken and not replace_existing:
        raise NameTaken(database=name)
    if is_template(cr, name):
        raise NeededByServer(database=name)
    if not taken and place.exists:
        raise FilestoreTaken(database=name, folder=place.filestore)
    if owner := owner_without_us(cr, name):
        cr.execute("SELECT current_user")
        raise OwnedByAnother(database=name, owner=owner, user=cr.fetchone()[0])


def check_name(database: str) -> None:
    """Raise BadName when Odoo could not serve a database of this name, and
    NeededByServer when PostgreSQL has another use for it."""
    if database in SERVERS_OWN:
        raise NeededByServer(database=database)
    if not DATABASE_NAME.fullmatch(database) or SCRATCH.fullmatch(database):
        raise BadName(database=database)


def put_back(server: Connection, published: Published, markers: Path) -> None:
    """Undo a replacement, when the new database turns out not to work: drop it, and
    give the previous one its name back. Raise EngineError; the new one then stays as
    it is."""
    if published.previous is None:
        raise ValueError("nothing was replaced")
    _take_away(server, published.place, markers, published.previous)


def discard(
    server: Connection, place: DatabaseLocation, oid: int, markers: Path
) -> None:
    """Drop a database for good, with its filestore: the one with this number (OID), and
    no other one that has its name. Raise EngineError, OSError; what has lost its name
    by then is removed by the next clean-up, and all else stays as it is."""
    with server_session(server, _("inspect the databases")) as cr:
        if oid_of(cr, place.database) != oid:
            raise StagingReplaced(database=place.database)
        is_open = allows_connections(cr, place.database)
    _take_away(server, place, markers, oid=oid, is_open=is_open)


def is_kept_previous(database: str, name: str) -> bool:
    """Tell whether ``name`` is one that a database gets when it is replaced."""
    found = KEPT_LIKE.fullmatch(name)
    return bool(found and database.startswith(found["name"]))


def _take_away(
    server: Connection,
    place: DatabaseLocation,
    markers: Path,
    previous: DatabaseLocation | None = None,
    oid: int = 0,
    is_open: bool = True,
) -> None:
    """Take the name from a database, and give it to the ``previous`` one; drop it. When
    that cannot be done, who could connect to it before can do so again."""
    name = f"{PREFIX}{secrets.token_hex(6)}"
    scratch = DatabaseLocation(name, place.filestore.with_name(name))
    facts = _facts(scratch, place) | _facts_of_publishing(place.filestore, previous)
    facts |= {"fenced": is_open, "oid": oid}
    marker = Marker.create(markers / f"{name}{MARKER_SUFFIX}", facts)
    try:
        fence(server, place.database, oid)
        checkpoint("restore.put_back.fenced")
        with server_session(
            server, _("take the name from the database"), transaction=True
        ) as cr:
            rename(cr, place.database, scratch.database)
            if oid and oid_of(cr, scratch.database) != oid:
                raise StagingReplaced(database=place.database)
            if previous:
                rename(cr, previous.database, place.database)
        checkpoint("restore.put_back.renamed")
    finally:  # from here on it is what an unfinished replacement would have left
        try:
            clean_up(server, marker.facts)
            marker.remove()
        finally:
            marker.close()


def _facts(scratch: DatabaseLocation, place: DatabaseLocation) -> dict[str, Any]:
    return {
        "scratch": scratch.database,
        "scratch_filestore": str(scratch.filestore),
        "database": place.database,
        "filestore": str(place.filestore),
    }


def _facts_of_publishing(
    filestore: Path, previous: DatabaseLocation | None
) -> dict[str, Any]:
    """What tells our files from others under the same name, and where the others are
    kept."""
    status = os.lstat(filestore) if os.path.lexists(filestore) else None
    return {
        "inode": [status.st_dev, status.st_ino] if status else None,
        "previous": previous and [previous.database, str(previous.filestore)],
    }


def _exchange_files(
    place: DatabaseLocation,
    scratch: DatabaseLocation,
    previous: DatabaseLocation | None,
) -> None:
    try:
        if previous and place.exists:
            place.filestore.rename(previous.filestore)
        checkpoint("restore.publish.previous_files")
        if scratch.exists:
            scratch.filestore.rename(place.filestore)
    except OSError as error:
        folder = place.filestore.parent
        raise FilestoreNotRenamed(
            reason=reason_of(error), folder=folder, log=str(error)
        ) from error


def _try(cr: Any, statements: tuple[str, ...]) -> None:
    """Run statements as far as they are allowed: the dump will tell if one was
    needed."""
    with contextlib.suppress(psycopg2.Error):
        for statement in statements:
            cr.execute(statement)
