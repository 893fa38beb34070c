"""What would make a restore fail, found before anything is written."""

import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

from ..archive.reader import Description
from ..errors import EngineError
from ..postgres import Connection
from .errors import server_error
from .target import Place, check_name

# What a loaded database takes of its server's disk, with indexes and its transaction
# log, in bytes per byte of SQL. Rounded up from what was measured.
DATABASE_RATIO = 2.0
SPARE = 64 << 20  # bytes
NAMED = 20  # modules that are named


@dataclass(frozen=True)
class Finding:
    """Something to know before a restore. ``code`` names its kind; one that is
    ``blocking`` may only be accepted explicitly, by its code."""

    code: str
    message: str
    hint: str
    blocking: bool = True


@dataclass(frozen=True)
class Surroundings:
    """Where the archive would be restored to. ``modules`` are the names of those on
    this disk, None when nobody knows; ``series`` is Odoo's here, for example "19.0"."""

    place: Place
    series: str
    modules: Collection[str] | None = None
    replace_existing: bool = False


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
                *_space(cr, description, surroundings.place.filestore),
            ]
    except psycopg2.Error as error:
        raise server_error(error, "look at the database server") from error
    finally:
        session.close()
    return sorted(found, key=lambda finding: not finding.blocking)


def _contents(description: Description) -> Iterator[Finding]:
    if "database" not in description.contents:
        yield Finding(
            "no_database",
            "There is no database in the archive.",
            "It holds files only. Choose another copy.",
        )
    for sentence in description.missing:
        yield Finding(
            "incomplete",
            f"The archive is not complete: {sentence}.",
            "Another copy may be complete. What is in this one can be restored.",
            blocking=False,
        )
    if not description.has_checksums:
        yield Finding(
            "no_checksums",
            "The archive has no SHA-256 checksums.",
            "It was made by Odoo's database manager: only its CRC-32 can be compared.",
            blocking=False,
        )


def _odoo(description: Description, surroundings: Surroundings) -> Iterator[Finding]:
    series = description.odoo_series
    if not series:
        yield Finding(
            "series_unknown",
            "Nothing in the archive says which version of Odoo it is of.",
            f"Make sure that it is of Odoo {surroundings.series}.",
            blocking=False,
        )
    elif series != surroundings.series:
        yield Finding(
            "series",
            f"The database is of Odoo {series}, and this is Odoo {surroundings.series}.",
            f"Restore it where Odoo {series} is installed: Odoo does not upgrade a "
            "database "
            "by itself.",
        )
    if surroundings.modules is None:
        return
    absent = sorted(set(description.modules) - set(surroundings.modules))
    enclosed = [name for name in absent if name in description.addons]
    unknown = [name for name in absent if name not in description.addons]
    if enclosed:
        yield Finding(
            "modules_enclosed",
            f"{len(enclosed)} modules of the database are not on this server, but in "
            "the "
            f"archive: {_some(enclosed)}.",
            "Unpack the addons of the archive, and add that directory to addons_path.",
            blocking=False,
        )
    if unknown:
        yield Finding(
            "modules_missing",
            f"{len(unknown)} modules of the database are not on this server: "
            f"{_some(unknown)}.",
            "Install their code first. Without it the restored database does not work "
            "properly.",
        )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _names(cr: Any, surroundings: Surroundings) -> Iterator[Finding]:
    place = surroundings.place
    try:
        check_name(place.database)
    except EngineError as error:
        yield Finding("name", error.message, error.hint)
        return
    cr.execute(
        "SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s)", [place.database]
    )
    taken = cr.fetchone()[0]
    if taken and not surroundings.replace_existing:
        yield Finding(
            "name_taken",
            f"There is a database “{place.database}” already.",
            "Choose another name. A restore never writes over a database.",
        )
    if not taken and place.exists:
        yield Finding(
            "filestore_taken",
            f"There are files of a database “{place.database}” already.",
            f"Choose another name, or move {place.filestore} away.",
        )


def _server(cr: Any, description: Description) -> Iterator[Finding]:
    cr.execute(
        "SELECT rolcreatedb OR rolsuper, rolname FROM pg_roles WHERE rolname = "
        "current_user"
    )
    may_create, user = cr.fetchone()
    if not may_create:
        yield Finding(
            "createdb",
            f"The database user “{user}” may not create databases.",
            f'As a superuser of PostgreSQL: ALTER ROLE "{user}" CREATEDB;',
        )
    major = cr.connection.server_version // 10000
    if description.pg_version and description.pg_version[0] > major:
        yield Finding(
            "postgres_older",
            f"The database comes from PostgreSQL {description.pg_version[0]}, and this "
            "server "
            f"is PostgreSQL {major}.",
            "Restore to a server that is at least as new: an older one may not "
            "understand all.",
        )


def _space(cr: Any, description: Description, filestore: Path) -> Iterator[Finding]:
    """Compare what is needed with what is free, where that can be seen from here."""
    needed: dict[Path, int] = {_existing(filestore): description.file_bytes + SPARE}
    database = _database_directory(cr)
    if database:
        size = int(description.sql_bytes * DATABASE_RATIO) + SPARE
        same = next(
            (p for p in needed if os.stat(p).st_dev == os.stat(database).st_dev), None
        )
        needed[same or database] = needed.get(same or database, 0) + size
    for path, size in needed.items():
        free = shutil.disk_usage(path).free
        if free < size:
            yield Finding(
                "space",
                f"About {size >> 20} MiB are needed, and the disk of {path} has "
                f"{free >> 20} MiB "
                "free.",
                "Free some space, or use a larger disk.",
            )


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


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())
