"""Loading, publishing, undoing: with the PostgreSQL that the environment names
(PGHOST…)."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psycopg2
import pytest
from extracting import extract_filestore
from psycopg2 import sql
from run_fixtures import databases, run_sql

from dfr_backup.engine.archive.reader import Description, open_archive
from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.errors import Cancelled, error_class
from dfr_backup.engine.errors.archive import InsideFolder
from dfr_backup.engine.errors.restore import (
    BadName,
    EventTriggerRefused,
    ExtensionRefused,
    FilestoreTaken,
    LeftoverStays,
    LoadFailed,
    NameTaken,
    NeededByServer,
    NotHarmless,
    NotHidden,
    OwnedByAnother,
    PublicationRefused,
    ServerLost,
    ServerRefused,
)
from dfr_backup.engine.errors.runs import OpenInBackup
from dfr_backup.engine.manifest.model import Manifest
from dfr_backup.engine.messages import from_json
from dfr_backup.engine.postgres.connection import Connection
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.restore import target as target_module
from dfr_backup.engine.restore import verify
from dfr_backup.engine.restore.database_location import PREFIX, DatabaseLocation
from dfr_backup.engine.restore.finish import (
    FinishOptions,
    analyze,
    finish_database,
    installed_modules,
)
from dfr_backup.engine.restore.leftovers import remove_leftovers
from dfr_backup.engine.restore.load import sql_stream
from dfr_backup.engine.restore.load.loader import load
from dfr_backup.engine.restore.preflight import Surroundings, preflight
from dfr_backup.engine.restore.safety import require_harmless
from dfr_backup.engine.restore.target import RestoreTarget, put_back
from dfr_backup.engine.restore.verify import verify_restored

SERVER = Connection("postgres")
END = b"\n-- PostgreSQL database dump complete\n"
# what Odoo asks when it looks for databases to serve (service/db.py, list_dbs)
ODOO_LISTS = """
    SELECT datname FROM pg_database
     WHERE datdba = (SELECT usesysid FROM pg_user WHERE usename = current_user)
       AND NOT datistemplate AND datallowconn
"""
NASTY = r"""
CREATE EXTENSION pg_trgm;
CREATE TYPE mood AS ENUM ('so;', 'la''la', 'E''\;');
CREATE TABLE "Odd ""name;" (id serial PRIMARY KEY, "a;b" text, mood mood, body bytea);
INSERT INTO "Odd ""name;" ("a;b", mood, body) SELECT
  E'tab\t back\\slash \\. quote'' "" ; -- $$ \n\\.\nline' || g, 'so;',
  decode(md5(g::text), 'hex') FROM generate_series(1, 3000) g;
INSERT INTO "Odd ""name;" VALUES (9999, E'\\.', NULL, NULL), (10000, '', 'la''la', '');
CREATE TABLE child (id int PRIMARY KEY,
  odd int CONSTRAINT "fk;1" REFERENCES "Odd ""name;" ON DELETE CASCADE
    DEFERRABLE INITIALLY DEFERRED,
  self int REFERENCES child, x int NOT NULL UNIQUE);
CREATE TABLE other (id int PRIMARY KEY, child int REFERENCES child);
ALTER TABLE child ADD other int REFERENCES other;
INSERT INTO child SELECT g, g, g, g, NULL FROM generate_series(1, 500) g;
INSERT INTO other SELECT g, g FROM generate_series(1, 500) g;
UPDATE child SET other = id;
SET CONSTRAINTS ALL IMMEDIATE;
CREATE TABLE doubtful (id int);
INSERT INTO doubtful VALUES (-1);
ALTER TABLE doubtful ADD CONSTRAINT old FOREIGN KEY (id) REFERENCES child NOT VALID;
CREATE TABLE part (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
CREATE INDEX part_day ON part (day);
ALTER TABLE part ADD FOREIGN KEY (id) REFERENCES child;
INSERT INTO part SELECT g, date '2020-06-01' + g FROM generate_series(1, 400) g;
CREATE TABLE parent_t (id int CHECK (id > 0),
  up text GENERATED ALWAYS AS ('x' || id) STORED);
CREATE TABLE kid (extra int) INHERITS (parent_t);
INSERT INTO parent_t VALUES (1); INSERT INTO kid (id, extra) VALUES (2, 3);
CREATE FUNCTION body() RETURNS text LANGUAGE sql AS $_$ SELECT 'a;$$;'; $_$;
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN RAISE EXCEPTION ''a trigger saw the load; %'', NEW.id; END;';
CREATE TRIGGER audit BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION audit();
CREATE INDEX by_body ON "Odd ""name;" (("a;b" || ';')) WHERE "a;b" <> ';';
CREATE INDEX trigrams ON "Odd ""name;" USING gin ("a;b" gin_trgm_ops);
CREATE UNIQUE INDEX clustered ON child (odd);
ALTER TABLE child CLUSTER ON clustered;
ALTER TABLE child REPLICA IDENTITY USING INDEX child_x_key;
ALTER TABLE doubtful ADD CONSTRAINT apart EXCLUDE (id WITH =);
CREATE STATISTICS stats ON odd, self FROM child;
CREATE VIEW seen AS SELECT ';' AS a, * FROM child;
CREATE RULE quiet AS ON DELETE TO child DO INSTEAD (SELECT 1; SELECT 2);
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM child WITH DATA;
CREATE UNIQUE INDEX counted_i ON counted (count);
ALTER TABLE other ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON other USING (id > 0);
COMMENT ON CONSTRAINT child_x_key ON child IS 'unique; ''x''';
COMMENT ON INDEX clustered IS E'of\nindex;';
COMMENT ON COLUMN child.odd IS 'back\slash';
SELECT lo_from_bytea(0, '\x0102ff00'), lo_from_bytea(0, 'large; object');
CREATE SEQUENCE counter START 5; SELECT nextval('counter');
CREATE SCHEMA "two;"; CREATE TABLE "two;".t AS SELECT 1 AS "x;y";
GRANT SELECT ON child TO PUBLIC;
"""
# PostgreSQL 14 and later
ATOMIC = """
CREATE FUNCTION atomic(int) RETURNS int LANGUAGE sql
  BEGIN ATOMIC SELECT CASE $1 WHEN 1 THEN 2 ELSE 3 END; SELECT 4; END;
"""
ODOO = """
CREATE TABLE ir_attachment (id int, store_fname text, checksum text, file_size int,
  res_model text, name text, type text, db_datas bytea);
CREATE TABLE ir_module_module (name text, state text);
CREATE TABLE ir_config_parameter (key text UNIQUE, value text, create_uid int,
  create_date timestamp, write_uid int, write_date timestamp);
CREATE TABLE backup_plan (active bool, next_run timestamp);
CREATE TABLE backup_job (state text, date_end timestamp, error text);
CREATE TABLE backup_step (state text, date_end timestamp);
INSERT INTO ir_module_module
  VALUES ('base', 'installed'), ('dfr_backup', 'installed'), ('x', 'no');
INSERT INTO ir_config_parameter
  VALUES ('database.uuid', 'old'), ('web.base.url', 'http://x');
INSERT INTO backup_plan VALUES (true, now());
INSERT INTO backup_job VALUES ('running'), ('success');
INSERT INTO backup_step VALUES ('running'), ('pending'), ('success');
"""
# as pg_dump 18 writes what inherits, on a server 18
INHERITING = b"""
CREATE TABLE public.parent (
    id integer NOT NULL,
    name text,
    kind text
);
CREATE TABLE public.child (
    CONSTRAINT "a NOT NULL b," NOT NULL name,
    NOT NULL id,
    size integer DEFAULT 1 NOT NULL
)
INHERITS (public.parent);
CREATE TABLE public.bare (
    NOT NULL id,
    CONSTRAINT bare_name NOT NULL "name"
)
INHERITS (public.parent);
CREATE TABLE public.last (
    CONSTRAINT positive CHECK ((id > 0)),
    NOT NULL id
)
INHERITS (public.parent);
"""
REQUIRED = """
    SELECT attrelid::regclass::text, array_agg(attname::text ORDER BY attname)
      FROM pg_attribute WHERE attrelid::regclass::text = ANY(%s)
       AND attnotnull AND attnum > 0 GROUP BY 1
"""
FILES = [b"one" * 1000, b"two" * 50_000]


def make_nasty(database):
    run_sql(database, NASTY)
    if run_sql(database, "SHOW server_version_num")[0][0] >= "140000":
        run_sql(database, ATOMIC)


def drop(name):
    if name in databases():
        quoted = sql.Identifier(name)
        run_sql(
            "postgres", sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(quoted)
        )
        # without FORCE, which fails when autovacuum is at work there
        run_sql("postgres", sql.SQL("DROP DATABASE {}").format(quoted))


@pytest.fixture(scope="module", autouse=True)
def server():
    if "PGHOST" not in os.environ:
        pytest.skip('no PostgreSQL: eval "$(make -s env)"')


@pytest.fixture
def new_database(request):
    """Return a function that makes an empty database, which goes away with the test."""
    made = []

    def make(name=None):
        test = abs(hash(request.node.nodeid)) % 10**6
        name = name or f"dfr_test_{os.getpid()}_{len(made)}_{test}"
        made.append(name)
        run_sql(
            "postgres",
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 LC_COLLATE 'C'").format(
                sql.Identifier(name)
            ),
        )
        return name

    yield make
    for name in made:
        drop(name)


def dumped(database):
    """Return the plain dump, without the words that differ each time."""
    done = subprocess.run(
        ["pg_dump", "--no-owner", database], check=True, capture_output=True
    )
    return re.sub(rb"(?m)^\\(un)?restrict .*\n", b"", done.stdout)


def pieces(data, size=10_000):
    return (data[at : at + size] for at in range(0, len(data), size))


def loaded(database, dump, progress=None, **options):
    return load(pieces(dump), Connection(database), progress or Progress(), **options)


# === LOAD === #


@pytest.mark.parametrize("plain", [False, True])
def test_what_inherits_is_required_as_in_the_dump_of_18(new_database, plain):
    copy = new_database()
    loaded(copy, INHERITING + END, plain=plain)
    tables = ["parent", "child", "bare", "last"]
    assert dict(run_sql(copy, REQUIRED, tables)) == {
        "parent": ["id"],
        "child": ["id", "name", "size"],
        "bare": ["id", "name"],
        "last": ["id"],
    }


@pytest.mark.parametrize("helpers", [1, 3])
def test_a_nasty_database_is_loaded_as_it_was(new_database, helpers, monkeypatch):
    monkeypatch.setattr(sql_stream, "ROWS_CHUNK", 20_000)  # the rows in many parts
    source, copy = new_database(), new_database()
    make_nasty(source)
    dump = dumped(source)
    report = loaded(copy, dump, helpers=helpers)
    assert sorted(dumped(copy).splitlines()) == sorted(dump.splitlines())
    invalid = "SELECT conname FROM pg_constraint WHERE NOT convalidated"
    assert run_sql(copy, invalid) == [("old",)]
    assert (
        run_sql(copy, "SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid")
        == []
    )
    assert report.size == len(dump)
    assert report.skipped == []


@pytest.mark.parametrize("plain", [False, True])
def test_a_long_row_is_loaded_while_it_is_read(new_database, plain):
    dump = b"CREATE TABLE t (id int, body text);\nCOPY t (id, body) FROM stdin;\n0\ta\n"
    dump += b"1\t" + b"x" * (40 << 20) + b"\n2\tb\n\\.\nSELECT pg_catalog.lo_create(1);"
    data, copy = dump + END, new_database()
    load(pieces(data, 1 << 20), Connection(copy), Progress(), plain=plain)
    rows = run_sql(copy, "SELECT id, length(body) FROM t ORDER BY 1")
    assert rows == [(0, 1), (1, 40 << 20), (2, 1)]


@pytest.mark.parametrize("plain", [False, True])
def test_a_long_row_that_is_refused_ends_the_load(new_database, plain):
    dump = b"CREATE TABLE t (id int);\nCOPY t (id) FROM stdin;\n" + b"x" * (40 << 20)
    data, copy = dump + b"\n\\.\n" + END, new_database()
    with pytest.raises(LoadFailed) as refused:
        load(pieces(data, 1 << 20), Connection(copy), Progress(), plain=plain)
    assert "line 3" in str(refused.value)


def test_a_cancel_ends_a_long_row(new_database):
    def cancel(progress):
        if progress.done > 30 << 20:
            raise Cancelled

    progress = Progress(cancel)

    def endless():
        yield b"CREATE TABLE t (id text);\nCOPY t (id) FROM stdin;\n"
        for _each in range(5000):
            progress._next_report = 0
            yield b"x" * (1 << 20)

    with pytest.raises(Cancelled):
        load(endless(), Connection(new_database()), progress)


def test_psql_would_have_loaded_the_same(new_database, tmp_path):
    """The same dump by PostgreSQL's own program is the measure."""
    source, ours, theirs = new_database(), new_database(), new_database()
    make_nasty(source)
    (tmp_path / "dump.sql").write_bytes(dump := dumped(source))
    loaded(ours, dump)
    psql = [
        "psql",
        "-Xq1",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        theirs,
        "-f",
        tmp_path / "dump.sql",
    ]
    subprocess.run(psql, check=True, capture_output=True)
    assert sorted(dumped(ours).splitlines()) == sorted(dumped(theirs).splitlines())


def test_a_bad_row_is_named_with_its_line_and_not_shown(new_database, monkeypatch):
    monkeypatch.setattr(sql_stream, "ROWS_CHUNK", 50)
    rows = b"".join(b"%d\tsecret%d\n" % (n, n) for n in range(100))
    rows = rows.replace(b"77\tsecret77\n", b'a "secret" x\tsecret77\n')
    dump = (
        b"CREATE TABLE t (id int, s text);\n\nCOPY t (id, s) FROM stdin;\n"
        + rows
        + b"\\.\n"
        + END
    )
    with pytest.raises(LoadFailed) as caught:
        loaded(new_database(), dump)
    error, line = caught.value, dump.split(b"\n").index(b'a "secret" x\tsecret77') + 1
    where = error.message.values["where"].values
    assert where == {"line": line, "table": "t", "column": "id"}
    assert "secret" not in f"{error.in_full} {error.log}"


def test_a_failing_statement_is_named(new_database):
    dump = b"BEGIN;\n\n\nCREATE EXTENSION nonexistent;\nCOMMIT;\n" + END
    with pytest.raises(LoadFailed) as caught:
        loaded(new_database(), dump)
    assert caught.value.message.values["where"].values == {"line": 4}
    assert "CREATE EXTENSION nonexistent;" in caught.value.log
    assert caught.value.hint.template is LoadFailed.remedy_install


@pytest.mark.parametrize(
    "broken",
    [
        b"ALTER TABLE ONLY t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (id);",
        b"CREATE UNIQUE INDEX i ON public.t USING btree (id);",
        b"ALTER TABLE ONLY t\n    ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES u(id);",
    ],
)
def test_constraints_that_do_not_hold_end_the_load(new_database, broken):
    dump = b"CREATE TABLE t (id int);\nCREATE TABLE u (id int PRIMARY KEY);\n"
    dump += b"COPY t (id) FROM stdin;\n1\n1\n\\.\n\n" + broken + b"\n" + END
    with pytest.raises(LoadFailed) as caught:
        loaded(new_database(), dump)
    assert caught.value.message.values["where"].values == {"line": 8}


def test_rights_of_unknown_users_and_unknown_settings_are_no_reason_to_fail(
    new_database,
):
    dump = b"SET no_such_setting_of_a_newer_version = 0;\nCREATE TABLE t (id int);\n"
    dump += b"GRANT SELECT ON TABLE t TO no_such_user;\n" + END
    progress = Progress()
    report = loaded(new_database(), dump, progress)
    assert len(report.skipped) == len(progress.warnings) == 1
    assert progress.warnings[0].values["line"] == 3
    assert "no_such_user" in progress.warnings[0].values["reason"]


@pytest.mark.parametrize(
    "statement, error",
    [
        (
            b"CREATE EXTENSION IF NOT EXISTS nonexistent WITH SCHEMA x;",
            ExtensionRefused,
        ),
        (
            b"CREATE EXTENSION file_fdw;\nCOMMENT ON EXTENSION file_fdw IS 'x';",
            ExtensionRefused,
        ),
        (
            b"CREATE PUBLICATION p FOR ALL TABLES WITH (publish = 'x');",
            PublicationRefused,
        ),
        (
            b"CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql"
            b" AS 'BEGIN END';\n"
            b"CREATE EVENT TRIGGER f ON ddl_command_end EXECUTE FUNCTION f();\n"
            b"ALTER EVENT TRIGGER f DISABLE;",
            EventTriggerRefused,
        ),
    ],
)
def test_what_holds_no_data_can_be_left_out_by_name(new_database, statement, error):
    dump = b"CREATE TABLE t (id int);\n" + statement + b"\n" + END
    with pytest.raises(error) as caught:
        loaded(new_database(), dump)
    refused, progress, database = caught.value, Progress(), new_database()
    assert refused.acceptable
    assert refused.message.values["name"] in statement.decode()
    loaded(database, dump, progress, left_out=[refused.finding])
    assert progress.warnings
    assert run_sql(database, "SELECT count(*) FROM t") == [(0,)]
    with pytest.raises(error):
        loaded(new_database(), dump, left_out=["another"])


@pytest.mark.parametrize("before", [b"", b"CREATE TABLE t (id int);\n"])
def test_a_lost_server_is_retryable(new_database, before):
    database = new_database()
    dump = (
        before + b"CREATE TABLE u AS SELECT pg_terminate_backend(pg_backend_pid());\n"
    )
    dump += END
    with pytest.raises(ServerLost) as caught:
        loaded(database, dump)
    assert "closed" in caught.value.message.values["reason"]


def test_statements_around_one_that_is_not_followed_are_done_once(new_database):
    """They are sent together, and all of them are undone with the one that fails."""
    database = new_database()
    dump = b"CREATE TABLE t (id int);\nINSERT INTO t VALUES (1);\n"
    dump += (
        b"GRANT SELECT ON TABLE t TO no_such_user;\nINSERT INTO t VALUES (2);\n" + END
    )
    assert len(loaded(database, dump).skipped) == 1
    assert run_sql(database, "SELECT id FROM t ORDER BY id") == [(1,), (2,)]


def test_a_transaction_of_the_dump_is_done_once(new_database):
    """Large objects stand in one: what is sent together with it may fail later."""
    database = new_database()
    dump = b"BEGIN;\nSELECT pg_catalog.lo_create('12');\nCOMMIT;\n"
    dump += (
        b"CREATE TABLE t (id int);\nGRANT SELECT ON TABLE t TO no_such_user;\n" + END
    )
    assert len(loaded(database, dump).skipped) == 1
    count = "SELECT count(*) FROM pg_largeobject_metadata"
    assert run_sql(database, count) == [(1,)]


def test_whatever_ends_the_reading_ends_the_load(new_database):
    def broken():
        yield b"BEGIN;\n"
        raise MemoryError()

    with pytest.raises(MemoryError):
        load(broken(), Connection(new_database()), cancelling(30))


# === AUTOVACUUM === #

# as autovacuum takes a table
TAKE = "LOCK TABLE public.t IN SHARE UPDATE EXCLUSIVE MODE NOWAIT"

# a probe that takes the lock, for a moment only, is in the loader's way
HELD = """
    SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE datname = current_database() AND relation = to_regclass('public.t')
    AND mode = 'ShareUpdateExclusiveLock' AND granted
"""


def is_held(database):
    """Tell whether autovacuum would have to wait for the table."""
    return run_sql(database, HELD) != [(0,)]


def within_a_minute(happens):
    end = time.monotonic() + 60
    while not happens() and time.monotonic() < end:
        time.sleep(0.01)
    return happens()


def test_autovacuum_passes_over_a_table_while_its_rows_come(new_database, monkeypatch):
    monkeypatch.setattr(sql_stream, "ROWS_CHUNK", 50)
    database, held = new_database(), []

    def slowly():
        yield (
            b"CREATE TABLE public.t (id int);\nCOPY public.t (id) FROM stdin;\n"
            + b"1\n" * 100
        )
        held.append(within_a_minute(lambda: is_held(database)))
        yield b"2\n\\.\nCREATE INDEX i ON public.t USING btree (id);\n" + END

    load(slowly(), Connection(database), Progress())
    assert held == [True]
    assert not is_held(database)
    assert run_sql(database, "SELECT count(*) FROM t") == [(101,)]


def test_an_unknown_setting_between_rows_is_no_reason_to_fail(
    new_database, monkeypatch
):
    monkeypatch.setattr(sql_stream, "ROWS_CHUNK", 50)
    database = new_database()

    def slowly():
        yield b"CREATE TABLE public.t (id int);\nCREATE TABLE public.u (id int);\n"
        yield b"COPY public.t (id) FROM stdin;\n" + b"1\n" * 100
        assert within_a_minute(lambda: is_held(database))
        yield b"\\.\nSET no_such_setting_of_a_newer_version = 0;\n"
        yield b"COPY public.u (id) FROM stdin;\n1\n\\.\n" + END

    load(slowly(), Connection(database), Progress())
    assert run_sql(database, "SELECT count(*) FROM t, u") == [(100,)]


def test_a_table_that_somebody_holds_already_is_loaded(new_database):
    database = new_database()
    opened = contextlib.ExitStack()

    def while_held():
        yield (
            b"CREATE TABLE public.t (id int);\nCOPY public.t (id) FROM stdin;\n"
            + b"1\n" * 100
        )
        other = opened.enter_context(
            contextlib.closing(psycopg2.connect(dbname=database))
        )
        exists = "SELECT to_regclass('public.t') IS NOT NULL"
        assert within_a_minute(lambda: run_sql(database, exists) == [(True,)])
        other.cursor().execute(TAKE)
        yield b"2\n\\.\n" + END

    with opened:
        load(while_held(), Connection(database), Progress())
    assert run_sql(database, "SELECT count(*) FROM t") == [(101,)]


# === CANCEL === #


def cancelling(after):
    """Return a progress that asks to stop after so many seconds."""
    started = time.monotonic()

    def report(_progress):
        if time.monotonic() - started > after:
            raise Cancelled()

    return Progress(report)


@pytest.mark.parametrize(
    "dump",
    [
        b"CREATE TABLE t AS SELECT pg_sleep(60) IS NULL;\n",
        b"CREATE TABLE t (i int);\nCREATE FUNCTION f(int) RETURNS int IMMUTABLE "
        b"LANGUAGE sql AS"
        b" 'SELECT 1 FROM pg_sleep(60)';\nCOPY t (i) FROM stdin;\n1\n\\.\n"
        b"CREATE INDEX i ON public.t USING btree (f(i));\n",
    ],
)
def test_cancel_ends_what_the_server_does(new_database, dump):
    database, started = new_database(), time.monotonic()
    with pytest.raises(Cancelled):
        loaded(database, dump + END, cancelling(1))
    assert time.monotonic() - started < 45
    busy = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND state = 'active'"
    )
    assert run_sql("postgres", busy, database) == [(0,)]


def test_cancel_ends_an_endless_dump(new_database):
    def endless():
        yield b"CREATE TABLE t (i int);\nCOPY t (i) FROM stdin;\n"
        while True:
            yield b"1\n" * 1000
            time.sleep(0.001)

    threads = threading.active_count()
    with pytest.raises(Cancelled):
        load(endless(), Connection(new_database()), cancelling(1))
    assert threading.active_count() == threads


# === THE WHOLE === #


@pytest.fixture
def stamp(monkeypatch):
    """What the names of this test's scratch databases begin with: others may be
    restoring, too."""
    stamp = secrets.token_hex(4)
    names = SimpleNamespace(token_hex=lambda _bytes: stamp + secrets.token_hex(2))
    monkeypatch.setattr(target_module, "secrets", names)
    return stamp


@pytest.fixture
def site(tmp_path, new_database, stamp):
    """An archive with a database and two files, and where it can be restored to."""
    source = new_database()
    run_sql(source, ODOO)
    names = [
        hashlib.sha1(content, usedforsecurity=False).hexdigest() for content in FILES
    ]
    for number, name in enumerate(names):
        run_sql(source, "INSERT INTO ir_attachment VALUES (%s, %s, %s, 3, 'm', 'n', "
                        "'binary')",
                number, f"{name[:2]}/{name}", name)  # fmt: skip
    writer = ArchiveWriter.create(tmp_path / "a.zip")
    with writer.stream_member("dump.sql") as member:
        member.write(dumped(source))
    for name, content in zip(names, FILES, strict=True):
        writer.add_bytes(f"filestore/{name[:2]}/{name}", content)
    writer.close()
    site = Site(tmp_path, f"dfr_test_new_{os.getpid()}_{stamp}", stamp)
    yield site
    for name in site.databases():
        drop(name)


class Site:
    def __init__(self, folder, name, stamp):
        self.name = name
        self.stamp = stamp
        self.archive = folder / "a.zip"
        self.place = DatabaseLocation(name, folder / "filestore" / name)
        self.markers = folder / "markers"

    def target(self, **options):
        return RestoreTarget(SERVER, self.place, self.markers, **options)

    def fill(self, target):
        with open_archive(self.archive) as archive:
            target.create()
            load(archive.sql(), target.connection, Progress())
            extract_filestore(archive, target.filestore, Progress())

    def restore(self, **options):
        with self.target(**options) as target:
            self.fill(target)
            return target.publish()

    def traces(self):
        """Return what is there of restores: databases, directories, markers."""
        folders = [*self.place.filestore.parent.glob("*"), *self.markers.glob("*")]
        return self.databases() | {path.name for path in folders}

    def databases(self):
        return {
            n for n in databases() if n.startswith((self.name, PREFIX + self.stamp))
        }

    def killed(self, checkpoint, *options):
        script = Path(__file__).with_name("restore_killed.py")
        places = [
            self.stamp,
            self.archive,
            self.name,
            self.place.filestore,
            self.markers,
        ]
        done = subprocess.run([sys.executable, script, *places, checkpoint, *options])
        assert done.returncode == -9


def fail(_done):
    """Let what is around this end with an error."""
    raise ZeroDivisionError


def test_nobody_else_sees_a_database_until_it_is_published(site):
    with site.target() as target:
        site.fill(target)
        scratch = target.scratch.database
        assert scratch in databases()
        assert {scratch, site.name}.isdisjoint(
            n for (n,) in run_sql("postgres", ODOO_LISTS)
        )
        assert not site.place.exists
        published = target.publish()
    assert (published.place, published.previous) == (site.place, None)
    assert (site.name,) in run_sql("postgres", ODOO_LISTS)
    assert site.traces() == {site.name}
    assert run_sql(site.name, "SELECT count(*) FROM ir_attachment") == [(2,)]
    manifest = Manifest({"dfr_backup": {"rows": {'"public"."ir_attachment"': 2}}})
    report = verify_restored(
        Connection(site.name), manifest, site.place.filestore, Progress()
    )
    assert (report.files, report.missing_count) == (2, 0)
    absent = [line.values["saved"].template for line in report.different]
    assert set(absent) == {verify.NO_TABLE}


def test_a_failed_restore_leaves_nothing(site):
    with pytest.raises(ZeroDivisionError), site.target() as target:
        fail(site.fill(target))
    assert site.traces() == set()


def test_names_that_are_taken_are_refused(site, new_database):
    new_database(site.name)
    with pytest.raises(NameTaken):
        site.restore()
    drop(site.name)
    site.place.filestore.mkdir(parents=True)
    with pytest.raises(FilestoreTaken):
        site.restore()
    assert site.traces() == {site.name}


def test_a_name_that_is_taken_meanwhile_is_refused(site, new_database):
    with site.target() as target:
        site.fill(target)
        new_database(site.name)
        with pytest.raises(NameTaken):
            target.publish()
    assert site.traces() == {site.name}
    assert run_sql(
        site.name, "SELECT count(*) FROM pg_class WHERE relname = 'ir_attachment'"
    ) == [(0,)]


@pytest.mark.parametrize(
    "name", ["", "a b", "-x", "ü", "x" * 64, PREFIX + "0123456789ab", "a;b"]
)
def test_names_that_odoo_does_not_serve_are_refused(tmp_path, name):
    place = DatabaseLocation(name, tmp_path / "fs")
    with pytest.raises(BadName):
        RestoreTarget(SERVER, place, tmp_path / "markers").__enter__()
    assert list(tmp_path.iterdir()) == []


MOMENTS = [
    "restore.marker.written",
    "restore.database.created",
    "restore.load.end",
    "restore.filestore.begin",
    "restore.filestore.end",
    "restore.publish.before",
    "restore.publish.previous_files",
    "restore.publish.files",
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_a_kill_leaves_is_removed(site, moment):
    site.killed(moment)
    assert site.traces() != set()
    assert remove_leftovers(SERVER, site.markers) == [site.name]
    assert site.traces() == set()
    assert remove_leftovers(SERVER, site.markers) == []


def test_what_is_published_is_no_leftover(site):
    site.killed("restore.publish.after")
    remove_leftovers(SERVER, site.markers)
    assert site.traces() == {site.name}
    assert len([p for p in site.place.filestore.rglob("*") if p.is_file()]) == 2


def test_a_published_database_keeps_its_number(site):
    with site.target() as target:
        target.create()
        number = target.number()
        target.publish()
    assert run_sql(
        "postgres", "SELECT oid FROM pg_database WHERE datname = %s", site.name
    ) == [(number,)]


def test_a_living_restore_is_no_leftover(site):
    with site.target() as target:
        target.create()
        assert remove_leftovers(SERVER, site.markers) == []
        assert target.scratch.database in databases()


def as_superuser(database, query):
    script = Path(__file__).parents[1] / "e2e/as_superuser.sh"
    done = subprocess.run([script, database, query], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no superuser: {done.stderr}")


@contextlib.contextmanager
def owned_by_another(database):
    """Let the database belong to a role that is not ours."""
    (user,) = run_sql("postgres", "SELECT current_user")[0]
    as_superuser("postgres", f'ALTER DATABASE "{database}" OWNER TO postgres')
    try:
        yield
    finally:
        as_superuser("postgres", f'ALTER DATABASE "{database}" OWNER TO "{user}"')


@contextlib.contextmanager
def used_by_another(database):
    """Let a session of another role be in the database."""
    script = Path(__file__).parents[1] / "e2e/as_superuser.sh"
    sleep = "SELECT pg_sleep(600)"
    with subprocess.Popen([script, database, sleep], stderr=subprocess.DEVNULL) as user:
        sessions = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
            " AND usename <> current_user"
        )
        while run_sql("postgres", sessions, database) == [(0,)]:
            if user.poll() is not None:
                pytest.skip("no superuser")
            time.sleep(0.1)
        try:
            yield
        finally:
            as_superuser(
                "postgres",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = '{database}'",
            )


@pytest.mark.parametrize("kept", [owned_by_another, used_by_another])
def test_a_leftover_that_cannot_be_removed_is_no_wall(site, caplog, kept):
    site.killed("restore.load.end")
    (scratch,) = site.databases()
    with kept(scratch):
        assert remove_leftovers(SERVER, site.markers) == []
        (warning,) = caplog.records
        assert warning.args[0] == LeftoverStays.code
        assert (scratch,) not in run_sql("postgres", ODOO_LISTS)
        site.restore()
        assert site.databases() == {scratch, site.name}
    assert remove_leftovers(SERVER, site.markers) == [site.name]
    assert site.traces() == {site.name}
    assert len([p for p in site.place.filestore.rglob("*") if p.is_file()]) == 2


def test_a_marker_that_cannot_be_read_is_no_wall(site, caplog):
    site.markers.mkdir()
    marker = site.markers / f"{PREFIX}{site.stamp}0000.restore"
    marker.symlink_to(marker.name)
    assert remove_leftovers(SERVER, site.markers) == []
    assert [record.args[0] for record in caplog.records] == [LeftoverStays.code]


PLACE = {"database": "x", "filestore": "/nowhere/x", "scratch_filestore": "/nowhere/s"}


@pytest.mark.parametrize(
    "facts",
    [
        {"scratch": "{scratch}"},
        {"scratch": "{scratch}", "database": "x"},
        {"scratch": "{scratch}", **PLACE, "filestore": 5},
        {"scratch": "{scratch}", **PLACE, "previous": ["y"]},
        {"scratch": 5},
        {"scratch": [1]},
        [1],
    ],
    ids=str,
)
def test_a_marker_of_another_shape_is_no_wall(site, caplog, new_database, facts):
    """It is left as it is with its database; what names none is removed."""
    scratch = f"{PREFIX}{site.stamp}0000"
    new_database(scratch)
    site.markers.mkdir()
    marker = site.markers / f"{scratch}.restore"
    marker.write_text(json.dumps(facts).replace("{scratch}", scratch))
    assert remove_leftovers(SERVER, site.markers) == []
    told = [record.args[0] for record in caplog.records]
    assert told == ([LeftoverStays.code] if marker.exists() else [])
    assert scratch in databases()


# === REPLACE === #


@pytest.fixture
def occupied(site, new_database):
    """The same site, where a database of the name lives that somebody uses."""
    new_database(site.name)
    run_sql(site.name, "CREATE TABLE old (id int)")
    site.place.filestore.mkdir(parents=True)
    (site.place.filestore / "old").write_text("old")
    with contextlib.closing(psycopg2.connect(dbname=site.name)):
        yield site


def is_the_old_one(site):
    return (
        run_sql(site.name, "SELECT count(*) FROM pg_class WHERE relname = 'old'")
        == [(1,)]
        and (site.place.filestore / "old").exists()
        and (site.name,) in run_sql("postgres", ODOO_LISTS)
        and site.traces() == {site.name}
    )


def test_what_is_replaced_is_kept_and_can_be_put_back(occupied):
    published = occupied.restore(replace_existing=True)
    before = published.previous.database
    assert before.startswith(f"{occupied.name}_before_")
    assert occupied.traces() == {occupied.name, before}
    assert run_sql(occupied.name, "SELECT count(*) FROM ir_attachment") == [(2,)]
    assert (before,) not in run_sql("postgres", ODOO_LISTS)
    assert (published.previous.filestore / "old").exists()
    put_back(SERVER, published, occupied.markers)
    assert is_the_old_one(occupied)


def test_what_belongs_to_another_is_not_replaced(occupied):
    with owned_by_another(occupied.name):
        surroundings = Surroundings(occupied.place, "19.0", replace_existing=True)
        found = preflight(description(), surroundings, SERVER)
        assert [finding.code for finding in found] == ["owner"]
        with pytest.raises(OwnedByAnother) as caught:
            occupied.restore(replace_existing=True)
        assert caught.value.message.values["owner"] == "postgres"
        assert not list(occupied.markers.glob("*"))
    assert is_the_old_one(occupied)


def test_a_failed_replacement_changes_nothing(occupied):
    with (
        pytest.raises(ZeroDivisionError),
        occupied.target(replace_existing=True) as target,
    ):
        fail(occupied.fill(target))
    assert is_the_old_one(occupied)


@pytest.mark.parametrize("moment", MOMENTS[-3:])
def test_a_killed_replacement_is_taken_back(occupied, moment):
    occupied.killed(moment, "replace")
    remove_leftovers(SERVER, occupied.markers)
    assert is_the_old_one(occupied)


def test_a_kill_before_putting_back_leaves_the_new_one_in_use(occupied):
    occupied.killed("restore.put_back.fenced", "replace", "put_back")
    remove_leftovers(SERVER, occupied.markers)
    assert run_sql(occupied.name, "SELECT count(*) FROM ir_attachment") == [(2,)]
    assert len(occupied.traces()) == 2


def test_a_killed_putting_back_is_completed(occupied):
    occupied.killed("restore.put_back.renamed", "replace", "put_back")
    remove_leftovers(SERVER, occupied.markers)
    assert is_the_old_one(occupied)


# === WHAT IS LOOKED AT BEFORE === #

ACTIVE = """
CREATE TABLE ir_cron (id int, cron_name text, active bool);
CREATE TABLE ir_mail_server (id int, name text, smtp_host text, active bool);
CREATE TABLE ir_model_data (model text, module text, name text, res_id int);
ALTER TABLE backup_plan ADD id int, ADD name text;
ALTER TABLE backup_job ADD id int, ADD name text;
INSERT INTO ir_cron VALUES (1, 'Vacuum', true), (2, 'Mails', true);
INSERT INTO ir_mail_server VALUES (1, 'Mail', 'mail.example.com', true);
INSERT INTO ir_model_data VALUES ('ir.cron', 'base', 'autovacuum_job', 1);
"""
NEUTRALIZE = [
    "UPDATE ir_mail_server SET active = false",
    "UPDATE ir_cron SET active = false WHERE id NOT IN"
    " (SELECT res_id FROM ir_model_data WHERE name = 'autovacuum_job')",
]
NOTHING = "LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
DEFEATING = [
    "CREATE RULE r AS ON UPDATE TO ir_cron DO INSTEAD NOTHING",
    f"CREATE FUNCTION f() RETURNS trigger {NOTHING};"
    "CREATE TRIGGER t BEFORE UPDATE ON ir_mail_server FOR EACH ROW"
    " EXECUTE FUNCTION f()",
    f"CREATE FUNCTION f() RETURNS trigger {NOTHING};"
    "CREATE TRIGGER t BEFORE UPDATE ON backup_plan FOR EACH ROW EXECUTE FUNCTION f();"
    "ALTER TABLE backup_plan ENABLE ALWAYS TRIGGER t",
]


@pytest.fixture
def acting(new_database):
    """A database in which something acts."""
    database = new_database()
    run_sql(database, ODOO)
    run_sql(database, ACTIVE)
    return database


@pytest.mark.parametrize("defeating", DEFEATING)
def test_rules_and_triggers_do_not_stand_in_the_way(acting, defeating):
    run_sql(acting, defeating)
    states = (
        "SELECT tgenabled::text FROM pg_trigger WHERE NOT tgisinternal"
        " UNION ALL SELECT ev_enabled::text FROM pg_rewrite WHERE rulename = 'r'"
    )
    before = run_sql(acting, states)
    names = finish_database(Connection(acting), FinishOptions(statements=NEUTRALIZE))
    assert len(names) == 1
    assert run_sql(acting, states) == before
    require_harmless(Connection(acting), neutralized=True)
    active = (
        "SELECT id FROM ir_cron WHERE active"
        " UNION ALL SELECT id FROM backup_plan WHERE active"
    )
    assert run_sql(acting, active) == [(1,)]


def test_what_acts_all_the_same_is_found(acting):
    finish_database(Connection(acting), FinishOptions(statements=NEUTRALIZE[:1]))
    require_harmless(Connection(acting), neutralized=False)
    with pytest.raises(NotHarmless) as caught:
        require_harmless(Connection(acting), neutralized=True)
    assert caught.value.message.values["tables"] == "ir_cron"
    assert re.fullmatch(r"ir_cron\W.*\b2", caught.value.log)
    run_sql(acting, "UPDATE backup_plan SET active = true")
    with pytest.raises(NotHarmless):
        require_harmless(Connection(acting), neutralized=False)


def test_rows_that_a_policy_hides_are_no_harmless_ones(acting):
    run_sql(
        acting,
        "ALTER TABLE ir_cron ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    )
    with pytest.raises(ServerRefused):
        finish_database(Connection(acting), FinishOptions(statements=NEUTRALIZE))
    with pytest.raises(ServerRefused):
        require_harmless(Connection(acting), neutralized=True)


def test_a_session_that_a_pooler_keeps_is_ended(site):
    with site.target() as target:
        site.fill(target)
        scratch = target.scratch.database
        with contextlib.closing(psycopg2.connect(dbname=scratch)) as kept:
            target.publish()
            with pytest.raises(psycopg2.Error):
                kept.cursor().execute("SELECT 1")
    assert (site.name,) in run_sql("postgres", ODOO_LISTS)


@pytest.mark.parametrize("name", ["postgres", "template0", "template1"])
def test_databases_of_the_server_are_not_replaced(tmp_path, name):
    target = RestoreTarget(
        SERVER,
        DatabaseLocation(name, tmp_path / "fs"),
        tmp_path / "markers",
        replace_existing=True,
    )
    with pytest.raises(NeededByServer):
        target.__enter__()
    assert list(tmp_path.iterdir()) == []


def test_templates_are_not_replaced(occupied):
    run_sql("postgres", f'ALTER DATABASE "{occupied.name}" IS_TEMPLATE true')
    with pytest.raises(NeededByServer):
        occupied.restore(replace_existing=True)
    run_sql("postgres", f'ALTER DATABASE "{occupied.name}" IS_TEMPLATE false')
    assert is_the_old_one(occupied)


@pytest.mark.parametrize("change", ["IS_TEMPLATE false", "SET search_path = evil"])
def test_what_changes_its_own_database_is_not_published(site, change):
    """A function may do that, when an index is built."""
    with site.target() as target:
        site.fill(target)
        run_sql("postgres", f"ALTER DATABASE {target.scratch.database} {change}")
        with pytest.raises(NotHidden):
            target.publish()
    assert site.traces() == set()


# === FINISH, VERIFY, PREFLIGHT === #


def test_a_restored_copy_is_safe(site):
    with site.target() as target:
        site.fill(target)
        assert installed_modules(target.connection) == ["base", "dfr_backup"]
        statement = "INSERT INTO ir_config_parameter VALUES ('a', '100%')"
        finish_database(target.connection, FinishOptions(statements=[statement]))
        target.publish()
    assert run_sql(site.name, "SELECT active, next_run FROM backup_plan") == [
        (False, None)
    ]
    jobs = run_sql(site.name, "SELECT state, error IS NULL FROM backup_job ORDER BY 1")
    assert jobs == [("cancelled", False), ("success", True)]
    steps = run_sql(site.name, "SELECT state FROM backup_step ORDER BY 1")
    assert steps == [("skipped",), ("skipped",), ("success",)]
    values = dict(run_sql(site.name, "SELECT key, value FROM ir_config_parameter"))
    assert values["web.base.url"] == "http://x"
    assert values["database.uuid"] != "old"
    assert values["a"] == "100%"
    assert len(values["database.secret"]) == 36


def test_an_open_run_says_why_with_its_code(site):
    columns = "ADD hint text, ADD error_code text, ADD error_values jsonb"
    with site.target() as target:
        site.fill(target)
        run_sql(target.scratch.database, f"ALTER TABLE backup_job {columns}")
        finish_database(target.connection, FinishOptions())
        target.publish()
    # the literal in SQL is the error's own words, else its code finds no row
    query = "SELECT error_code, hint, error_values FROM backup_job WHERE state = %s"
    ((code, hint, values),) = run_sql(site.name, query.replace("%s", "'cancelled'"))
    assert error_class(code) is OpenInBackup
    assert str(from_json(values["hint"])) == hint == str(OpenInBackup().hint)
    rest = run_sql(site.name, query.replace("%s", "'success'"))
    assert rest == [(None, None, None)]


def test_finish_changes_all_or_nothing(site):
    options = FinishOptions(statements=["SELECT nonsense"])
    with site.target() as target:
        site.fill(target)
        with pytest.raises(ServerRefused):
            finish_database(target.connection, options)
        rows = run_sql(target.scratch.database, "SELECT active FROM backup_plan")
    assert rows == [(True,)]


def test_identity_may_stay(site):
    with site.target() as target:
        site.fill(target)
        finish_database(target.connection, FinishOptions(new_identity=False))
        query = "SELECT value FROM ir_config_parameter WHERE key = 'database.uuid'"
        assert run_sql(target.scratch.database, query) == [("old",)]


def test_the_planner_knows_the_restored_tables(new_database):
    database = new_database()
    run_sql(database, "CREATE TABLE t AS SELECT generate_series(1, 5000) AS i")
    known = "SELECT count(*) FROM pg_stats WHERE tablename = 't'"
    assert run_sql(database, known) == [(0,)]
    progress = Progress()
    analyze(Connection(database), progress)
    assert run_sql(database, known) == [(1,)]
    assert run_sql(database, "SELECT reltuples FROM pg_class WHERE relname = 't'") == [
        (5000,)
    ]
    assert progress.warnings == []


def test_the_planner_knows_tables_of_any_name_and_kind(new_database):
    database = new_database()
    run_sql(
        database,
        'CREATE SCHEMA "Other"; CREATE TABLE "Other"."a ""b"".c" AS SELECT 1 AS one;'
        " CREATE MATERIALIZED VIEW seen AS SELECT 2 AS two;"
        " CREATE TABLE parted (three int) PARTITION BY RANGE (three);"
        " CREATE TABLE part PARTITION OF parted DEFAULT;"
        " INSERT INTO parted VALUES (3);",
    )
    analyze(Connection(database), Progress())
    known = (
        "SELECT attname FROM pg_stats WHERE schemaname IN ('public', 'Other')"
        " ORDER BY 1"
    )
    assert run_sql(database, known) == [("one",), ("three",), ("three",), ("two",)]


def test_tables_that_autovacuum_has_keep_no_other_waiting(new_database):
    database, taken = new_database(), [f"t{n}" for n in range(os.cpu_count() or 1)]
    for table in taken:
        run_sql(
            database, f"CREATE TABLE {table} AS SELECT generate_series(1, 5000) AS i"
        )
    run_sql(database, "CREATE TABLE u AS SELECT 2 AS i")
    seen = "SELECT tablename FROM pg_stats WHERE schemaname = 'public' ORDER BY 1"
    with contextlib.closing(psycopg2.connect(dbname=database)) as other:
        other.cursor().execute(
            f"LOCK TABLE {', '.join(taken)} IN SHARE UPDATE EXCLUSIVE MODE"
        )
        thread = threading.Thread(
            target=analyze, args=(Connection(database), Progress())
        )
        thread.start()
        assert within_a_minute(lambda: run_sql(database, seen) == [("u",)])
        assert thread.is_alive()
    thread.join(60)
    assert len(run_sql(database, seen)) == len(taken) + 1


def test_cancel_ends_the_gathering_of_statistics(new_database):
    database, started = new_database(), time.monotonic()
    run_sql(database, "CREATE TABLE t (i int)")
    with (
        contextlib.closing(psycopg2.connect(dbname=database)) as other,
        other.cursor() as cr,
    ):
        cr.execute(
            "LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE"
        )  # ANALYZE waits for it
        with pytest.raises(Cancelled):
            analyze(Connection(database), cancelling(1))
    assert time.monotonic() - started < 120


def test_statistics_that_cannot_be_gathered_are_a_warning(new_database):
    database = new_database()
    run_sql(
        database,
        "CREATE FUNCTION bad(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN "
        "RETURN 1; END'; CREATE TABLE t AS SELECT 1 AS i; CREATE INDEX ON t (bad(i)); "
        "CREATE OR REPLACE FUNCTION bad(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS "
        "'BEGIN RAISE EXCEPTION ''no''; END'",
    )
    progress = Progress()
    analyze(Connection(database), progress)
    assert progress.warnings[0].values["problem"].startswith("no\n")


def test_what_is_missing_after_a_restore_is_named(site):
    site.restore()
    tables = {"ir_attachment": 2, "ir_module_module": 3, "ir_config_parameter": 2}
    tables |= {"backup_plan": 1, "backup_job": 2, "backup_step": 3}
    counts = {f'"public"."{table}"': rows for table, rows in tables.items()}
    files = sorted(p for p in site.place.filestore.rglob("*") if p.is_file())
    connection, ours = Connection(site.name), {"rows": counts}
    manifest = Manifest({"dfr_backup": ours})
    report = verify_restored(connection, manifest, site.place.filestore, Progress())
    assert report.is_complete
    assert report.counted
    assert (report.tables, report.rows) == (6, 13)
    files[0].unlink()
    files[1].write_bytes(b"x")
    run_sql(site.name, "DELETE FROM backup_step WHERE state = 'success'")
    report = verify_restored(connection, manifest, site.place.filestore, Progress())
    assert not report.is_complete
    (different,) = report.different
    assert different.values["table"] == '"public"."backup_step"'
    counts = [different.values[name].values["count"] for name in ("saved", "restored")]
    assert counts == [3, 2]
    assert (report.missing_count, report.damaged_count, report.files) == (1, 1, 0)
    assert files[0].name in report.missing[0]
    assert files[1].name in report.damaged[0]
    ours["filestore"] = {"missing": 1, "damaged": 1}
    run_sql(site.name, "INSERT INTO backup_step VALUES ('success')")
    report = verify_restored(connection, manifest, site.place.filestore, Progress())
    assert report.is_complete


def test_files_that_the_plan_left_out_are_not_missing(site):
    site.restore()
    shutil.rmtree(site.place.filestore)
    contents = ["database"]
    manifest = Manifest({"dfr_backup": {"contents": contents}})
    report = verify_restored(
        Connection(site.name), manifest, site.place.filestore, Progress()
    )
    assert report.is_complete
    assert report.files == 0
    contents.append("filestore")
    report = verify_restored(
        Connection(site.name), manifest, site.place.filestore, Progress()
    )
    assert not report.is_complete


def description(**changes):
    known = Description(
        origin="dfr_backup", database="prod", taken_at=None, size=1, members=1,
        sql_bytes=1, files=1, file_bytes=1, addon_bytes=0, addons=("mine",),
        odoo_version="19.0", odoo_series="19.0", pg_version=(13, 1),
        database_uuid=None, modules={"base": "1"}, contents=("database",), missing=(),
        rows=None, has_checksums=True,
    )  # fmt: skip
    return replace(known, **changes)


def test_preflight_names_a_folder_around_everything(tmp_path):
    where = Surroundings(
        DatabaseLocation(f"dfr_test_{os.getpid()}", tmp_path / "x"), "19.0"
    )
    about = description(contents=(), folder="shop")
    found = preflight(about, where, SERVER)
    assert [type(one.error) for one in found if one.blocking] == [InsideFolder]


@pytest.mark.parametrize(
    "changes, code",
    [
        ({}, None),
        ({"odoo_series": "18.0"}, "series"),
        ({"odoo_series": ""}, "series_unknown"),
        ({"modules": {"base": "1", "sale": "1"}}, "modules_missing"),
        ({"modules": {"base": "1", "mine": "1"}}, "modules_enclosed"),
        ({"pg_version": (99, 0)}, "postgres_older"),
        ({"file_bytes": 1 << 60}, "space"),
        ({"contents": ()}, "no_database"),
        ({"missing": ("x",)}, "incomplete"),
        ({"has_checksums": False}, "no_checksums"),
        ({"filestore": "file/such"}, "not_writable"),
        ({"addons": "file"}, "not_writable"),
        ({"template": "no_such_template"}, "template"),
        ({"template": "postgres"}, "template"),
    ],
)
def test_preflight_finds_what_would_fail(tmp_path, changes, code):
    (tmp_path / "file").touch()
    changes = {
        "filestore": "no/such",
        "addons": "no",
        "template": "template0",
    } | changes
    filestore, addons = (tmp_path / changes.pop(n) for n in ("filestore", "addons"))
    surroundings = Surroundings(
        DatabaseLocation("dfr_test_no_such_database", filestore),
        "19.0",
        ["base"],
        template=changes.pop("template"),
        addons=addons,
    )
    found = preflight(description(**changes), surroundings, SERVER)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert [finding.code for finding in found] == ([code] if code else [])
    harmless = ("series_unknown", "modules_enclosed", "incomplete", "no_checksums")
    assert all(f.blocking != (f.code in harmless) and f.hint for f in found)
    assert all(f.error.code and f.error.message == f.message for f in found)


@contextlib.contextmanager
def superuser():
    """Yield a connection of a superuser."""
    name, password = f"dfr_super_{os.getpid()}", secrets.token_hex(8)
    as_superuser(
        "postgres", f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD '{password}'"
    )
    try:
        yield Connection("postgres", {"user": name, "password": password})
    finally:
        as_superuser("postgres", f"DROP ROLE {name}")


def test_no_superuser_loads_what_nobody_vouches_for(tmp_path):
    def codes(connection, trusted):
        place = DatabaseLocation("dfr_test_no_such_database", tmp_path / "no")
        surroundings = Surroundings(place, "19.0", trusted=trusted)
        found = preflight(description(), surroundings, connection)
        return [finding.code for finding in found if finding.blocking]

    with superuser() as connection:
        assert codes(connection, False) == ["untrusted"]
        assert codes(connection, True) == codes(connection, None) == []
    assert codes(SERVER, False) == []


def test_preflight_looks_at_the_names(tmp_path, new_database):
    def codes(name, **options):
        surroundings = Surroundings(
            DatabaseLocation(name, tmp_path / name), "19.0", **options
        )
        return [
            finding.code for finding in preflight(description(), surroundings, SERVER)
        ]

    taken = new_database()
    assert codes(taken) == ["name_taken"]
    assert codes(taken, replace_existing=True) == []
    assert codes("a;b") == ["name"]
    (tmp_path / "files").mkdir()
    assert codes("files") == ["filestore_taken"]
