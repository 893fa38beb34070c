"""What would make a restore fail, found before anything is written."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

from ..errors import EngineError
from ..errors.archive import InsideFolder
from ..errors.dump import TemplateUnusable
from ..errors.fetch import NoDatabase
from ..errors.packs import ExportFirst
from ..errors.restore import (
    BackupIncomplete,
    MayNotCreate,
    ModulesEnclosed,
    ModulesMissing,
    NoChecksums,
    OtherSeries,
    PostgresOlder,
    RestoreNeedsSpace,
    SeriesUnknown,
    UntrustedAsSuperuser,
    is_acceptable,
)
from ..fileio.durable import require_writable
from ..manifest.description import Description
from ..manifest.names import DUMP
from ..messages import Message, Text, _
from ..postgres.connection import Connection
from ..queue.reservations import Need, Reservations, existing, shortage
from .database_location import DatabaseLocation
from .errors import server_error
from .target import check_name, require_free
from .write_behind import explained

# What a loaded database takes of its server's disk, with indexes and its transaction
# log, in bytes per byte of SQL. Rounded up from what was measured.
DATABASE_RATIO = 2.0
SPARE = 64 << 20  # bytes
NAMED = 20  # modules that are named
USABLE_TEMPLATE = """
    SELECT current_user, EXISTS (
        SELECT FROM pg_database, pg_roles WHERE datname = %s AND rolname = current_user
           AND (datistemplate OR rolsuper OR pg_has_role(datdba, 'USAGE')))
"""
AND_MORE = _("%(names)s and %(more)s more")


@dataclass(frozen=True)
class Finding:
    """Something to know before a restore. ``code`` names its kind, see
    ``errors.restore``; one that is ``blocking`` ends the restore, unless it is
    ``acceptable`` and was accepted by its code."""

    error: EngineError
    blocking: bool = True

    @property
    def code(self) -> str:
        return str(getattr(self.error, "finding", ""))

    @property
    def acceptable(self) -> bool:
        return is_acceptable(self.error)

    @property
    def message(self) -> Message:
        return self.error.message

    @property
    def hint(self) -> Message:
        return self.error.hint


@dataclass(frozen=True)
class Surroundings:
    """Where the archive would be restored to. ``modules`` are the names of those on
    this disk, None when nobody knows; ``series`` is Odoo's here, for example "19.0".
    ``trusted``, ``space``, ``template`` and ``addons`` are those of
    ``RestoreOptions``."""

    place: DatabaseLocation
    series: str
    modules: Collection[str] | None = None
    replace_existing: bool = False
    trusted: bool | None = None
    space: Reservations | None = None
    template: str = "template0"
    addons: Path | None = None


def preflight(
    description: Description, surroundings: Surroundings, server: Connection
) -> list[Finding]:
    """Return everything that speaks against restoring the archive here, blocking ones
    first.

    ``server`` connects to the database “postgres”. Raise RetryableError when it cannot
    be reached.
    """
    session = server.connect()
    try:
        session.autocommit = True
        with session.cursor() as cr:
            found = [
                *_contents(description),
                *_odoo(description, surroundings),
                *_names(cr, surroundings),
                *_server(cr, description),
                *_template(cr, surroundings.template),
                *_folders(surroundings),
                *_trust(cr, surroundings),
                *_space(cr, description, surroundings),
            ]
    except psycopg2.Error as error:
        raise server_error(error, _("inspect the database server")) from error
    finally:
        session.close()
    return sorted(found, key=lambda finding: not finding.blocking)


def _contents(description: Description) -> Iterator[Finding]:
    if "database" not in description.contents:
        folder = description.folder
        error = InsideFolder(folder=folder, member=DUMP) if folder else NoDatabase()
        yield Finding(ExportFirst() if description.incremental else error)
    for missing in description.missing:
        yield Finding(BackupIncomplete(missing=missing), blocking=False)
    if not description.has_checksums:
        yield Finding(NoChecksums(), blocking=False)


def _odoo(description: Description, surroundings: Surroundings) -> Iterator[Finding]:
    saved, here = description.odoo_series, surroundings.series
    if not saved:
        yield Finding(SeriesUnknown(here=here), blocking=False)
    elif saved != here:
        yield Finding(OtherSeries(saved=saved, here=here))
    if surroundings.modules is None:
        return
    absent = sorted(set(description.modules) - set(surroundings.modules))
    enclosed = [name for name in absent if name in description.addons]
    unknown = [name for name in absent if name not in description.addons]
    if enclosed:
        names = _some(enclosed)
        error = ModulesEnclosed(count=len(enclosed), modules=names)
        yield Finding(error, blocking=False)
    if unknown:
        yield Finding(ModulesMissing(count=len(unknown), modules=_some(unknown)))


def _some(names: list[str]) -> Text:
    shown = ", ".join(names[:NAMED])
    more = len(names) - NAMED
    return Message(AND_MORE, names=shown, more=more) if more > 0 else shown


def _names(cr: Any, surroundings: Surroundings) -> Iterator[Finding]:
    place = surroundings.place
    try:
        check_name(place.database)
        require_free(cr, place, replace_existing=surroundings.replace_existing)
    except EngineError as error:
        yield Finding(error)


def _server(cr: Any, description: Description) -> Iterator[Finding]:
    cr.execute(
        "SELECT rolcreatedb OR rolsuper, rolname FROM pg_roles WHERE rolname = "
        "current_user"
    )
    may_create, user = cr.fetchone()
    if not may_create:
        yield Finding(MayNotCreate(user=user))
    here = cr.connection.server_version // 10000
    if description.pg_version and description.pg_version[0] > here:
        yield Finding(PostgresOlder(saved=description.pg_version[0], here=here))


def _template(cr: Any, template: str) -> Iterator[Finding]:
    cr.execute(USABLE_TEMPLATE, [template])
    user, usable = cr.fetchone()
    if not usable:
        yield Finding(TemplateUnusable(template=template, user=user))


def _folders(surroundings: Surroundings) -> Iterator[Finding]:
    """Find out where files cannot be written: nothing stays of the attempt."""
    for folder in (surroundings.place.filestore.parent, surroundings.addons):
        if folder is None:
            continue
        try:
            with explained(folder):
                require_writable(existing(folder))
        except EngineError as error:
            yield Finding(error)


def _trust(cr: Any, surroundings: Surroundings) -> Iterator[Finding]:
    cr.execute("SELECT rolsuper, rolname FROM pg_roles WHERE rolname = current_user")
    superuser, user = cr.fetchone()
    if superuser and surroundings.trusted is False:
        yield Finding(UntrustedAsSuperuser(user=user))


def _space(
    cr: Any, description: Description, surroundings: Surroundings
) -> Iterator[Finding]:
    """Reserve what is needed, where that can be seen from here, or say what is
    short."""
    filestore = existing(surroundings.place.filestore)
    needs = [Need(filestore, description.file_bytes + SPARE)]
    database = _database_directory(cr)
    if database:
        size = int(description.sql_bytes * DATABASE_RATIO) + SPARE
        needs.append(Need(database, size))
    space = surroundings.space
    short = space.take(needs) if space else shortage(needs)
    if short:
        yield Finding(short.explained(RestoreNeedsSpace))


def share_left(description: Description, written: int) -> float:
    """Return how much of what a restore takes is still to be written, after so many
    bytes of SQL and of files: indexes come when all of the dump is loaded."""
    whole = description.sql_bytes * DATABASE_RATIO + description.file_bytes
    return max(0.0, 1 - written / whole) if whole else 0.0


def _database_directory(cr: Any) -> Path | None:
    """Return where the server keeps its data, when it is this machine and may be
    known."""
    try:
        cr.execute("SHOW data_directory")
        path = Path(cr.fetchone()[0])
        os.stat(path)
    except (psycopg2.errors.InsufficientPrivilege, OSError):
        return None
    return path
