"""Databases of odd schemas, restored by psql and by us, and what differs then."""

import contextlib
import os
import re
import subprocess
from collections import Counter
from pathlib import Path

import psycopg2
import pytest

from dfr_backup.engine.postgres.connection import Connection
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.restore.database_location import DatabaseLocation
from dfr_backup.engine.restore.load.fallback import load_whole
from dfr_backup.engine.restore.target import PUBLIC_SCHEMA, RestoreTarget

SCHEMAS = sorted(Path(__file__).with_name("schemas").glob("*.sql"))
PIECE = 1 << 20
OF_NO_MATTER = re.compile(rb"\\(un)?restrict |REFRESH |--|$")  # STATES has the views
# what pg_dump does not write
STATES = """
    SELECT 'constraint', conrelid::regclass::text, conname, convalidated
      FROM pg_constraint WHERE oid >= 16384
 UNION ALL SELECT 'index', indexrelid::regclass::text, '', indisvalid FROM pg_index
     WHERE indexrelid >= 16384 AND indexrelid::regclass::text NOT LIKE 'pg_toast.%'
 UNION ALL SELECT 'view', oid::regclass::text, '', relispopulated FROM pg_class
     WHERE relkind = 'm'
"""


class Schema:
    """A file of SQL that makes a database."""

    def __init__(self, path):
        text = path.read_text()
        self.sql = path
        self.name = path.stem
        self.refused = "-- refused\n" in text
        self.psql_refuses = self.refused or "-- psql refuses\n" in text
        self.unaccent = "-- unaccent\n" in text
        of = re.search(r"^-- PostgreSQL (\d+)( and older)?$", text, re.M)
        first, last = (0, int(of[1])) if of and of[2] else (of and int(of[1]), 99)
        self.versions = range(first or 0, last + 1)


def query(database, text, *parameters):
    with contextlib.closing(psycopg2.connect(dbname=database)) as session:
        session.autocommit = True
        with session.cursor() as cr:
            cr.execute(text, parameters or None)
            return cr.fetchall() if cr.description else []


def psql(database, *arguments, **options):
    command = ["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", database, *arguments]
    return subprocess.run(command, capture_output=True, text=True, **options)


def dumped(database, *options):
    command = ["pg_dump", "--no-owner", *options, database]
    done = subprocess.run(command, check=True, capture_output=True)
    return done.stdout


def content(database):
    """Count the lines of the dump, less what has no meaning, and the states."""
    lines = [
        line for line in dumped(database).splitlines() if not OF_NO_MATTER.match(line)
    ]
    return Counter([*lines, *query(database, STATES)])


def differences(ours, theirs):
    ours, theirs = content(ours), content(theirs)
    return [*(ours - theirs), *(theirs - ours)][:20]


@contextlib.contextmanager
def made_databases():
    """Yield a function that makes an empty database."""
    made = []

    def make():
        name = f"dfr_diff_{os.getpid()}_{len(made)}"
        made.append(name)
        query("postgres", f"CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C'")
        query(name, *PUBLIC_SCHEMA)
        return name

    try:
        yield make
    finally:
        for name in made:
            query("postgres", f"DROP DATABASE {name}")


def version():
    ((number,),) = query("postgres", "SHOW server_version_num")
    return int(number) // 10000


def made_from(schema, databases):
    if version() not in schema.versions:
        pytest.skip(f"not of PostgreSQL {version()}")
    source = databases()
    made = psql(source, "-f", schema.sql)
    assert not made.returncode, made.stderr
    return source


@contextlib.contextmanager
def restored(dump, schema, folder, **options):
    """Yield a restored database's name, and what the restore has told."""
    place = DatabaseLocation(f"dfr_diff_{os.getpid()}", folder / "filestore")
    target = RestoreTarget(Connection("postgres"), place, folder / "markers")
    progress = Progress()
    with target:
        target.create()
        load_whole(
            lambda: (dump[at : at + PIECE] for at in range(0, len(dump), PIECE)),
            target,
            progress,
            unaccent=schema.unaccent,
            **options,
        )
        yield target.connection.database, progress


def unpopulated(progress):
    """Return the materialized views that the restore could not fill, as states."""
    views = [one.values["view"].split(".")[1] for one in progress.warnings]
    return [("view", view, "", full) for full in (False, True) for view in views]
