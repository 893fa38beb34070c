"""A dump is data: it runs the statements that pg_dump writes, and no others."""

import os
import subprocess

import pytest

from dfr_backup.engine.errors.restore import ForeignStatement, PsqlCommands, WholeServer
from dfr_backup.engine.postgres.connection import Connection
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.restore.load.allowed import require_allowed
from dfr_backup.engine.restore.load.loader import load
from dfr_backup.engine.restore.load.sql_stream import Rows, split

END = b"\n-- PostgreSQL database dump complete\n"
FOREIGN = [
    "ALTER SYSTEM SET archive_command = 'x';",
    "COPY t FROM '/etc/passwd';",
    "COPY t TO '/tmp/x';",
    "COPY t FROM PROGRAM 'id';",
    "COPY t TO PROGRAM 'id' -- FROM stdin\n;",
    "COPY (SELECT 1) TO PROGRAM 'id' /* */ -- FROM stdin\n;",
    "copy t (a) from program 'id';",
    "COPY t (a) FROM stdin WHERE pg_read_file('x') IS NULL;",
    "DO $$ BEGIN END $$;",
    "do language plpgsql 'begin end';",
    "LOAD 'x';",
    "CALL p();",
    "SELECT 1;",
    "SELECT pg_catalog.pg_read_file('/etc/passwd');",
    "SELECT pg_terminate_backend(1);",
    "UPDATE ir_cron SET active = true;",
    "DELETE FROM ir_cron;",
    "WITH x AS (SELECT 1) INSERT INTO t SELECT 1;",
    "TRUNCATE t;",
    "GRANT postgres TO odoo;",
    'GRANT "x ON TABLE y" TO odoo;',
    "GRANT ALL ON DATABASE postgres TO PUBLIC;",
    "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;",
    "COMMENT ON DATABASE postgres IS 'x';",
    "COMMENT ON ROLE odoo IS 'x';",
    "CREATE USER x;",
    "CREATE TABLESPACEX;",
    "CREATE TABLES (a int);",
    "DROP OWNED BY odoo;",
    "REASSIGN OWNED BY odoo TO x;",
    "SET ROLE postgres;",
    "RESET ALL;",
    "VACUUM;",
    "NOTIFY x;",
    "LISTEN x;",
    "PREPARE x AS SELECT 1;",
    "ALTER EXTENSION x UPDATE;",
    "IMPORT FOREIGN SCHEMA x FROM SERVER y INTO z;",
    "/* x */ CREATE TABLE t (a int);",
    "(SELECT 1);",
]
SERVERS = [
    "CREATE DATABASE x;",
    "DROP DATABASE prod;",
    "ALTER DATABASE prod SET x = 1;",
    "CREATE ROLE x SUPERUSER;",
    "ALTER ROLE odoo SUPERUSER;",
    "DROP ROLE x;",
    "CREATE TABLESPACE x LOCATION '/x';",
    "\\connect other",
]
# beside what the schemas of test_restore_differential have
WRITTEN = [
    "SET transaction_timeout = 0;",
    "SET SESSION AUTHORIZATION 'x';",
    "SET SESSION AUTHORIZATION DEFAULT;",
    "RESET SESSION AUTHORIZATION;",
    "CREATE OR REPLACE PROCEDURAL LANGUAGE plpython3u;",
    "CREATE TRUSTED PROCEDURAL LANGUAGE x HANDLER y;",
    "CREATE UNLOGGED TABLE t (a int);",
    "CREATE USER MAPPING FOR x SERVER y;",
    "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = false);",
    "ALTER DEFAULT PRIVILEGES FOR ROLE x IN SCHEMA y REVOKE ALL ON TABLES FROM z;",
    "ALTER LARGE OBJECT 12 OWNER TO x;",
    "ALTER TABLE t DISABLE TRIGGER ALL;",
    "ALTER TABLE IF EXISTS ONLY t DROP CONSTRAINT IF EXISTS u;",
    "DROP TABLE IF EXISTS t;",
    "DROP EXTENSION IF EXISTS x;",
    "COMMENT ON COLUMN t.a IS 'x';",
    "COMMENT ON EXTENSION x IS 'x';",
    "COMMENT ON LARGE OBJECT 12 IS 'x';",
    "SECURITY LABEL FOR selinux ON TABLE t IS 'x';",
    'GRANT SELECT(a),UPDATE("b "" c") ON TABLE t TO x WITH GRANT OPTION;',
    "GRANT ALL ON SCHEMA s TO x;",
    "GRANT SELECT,INSERT ON TABLE t TO x;",
    "REVOKE GRANT OPTION FOR SELECT ON TABLE t FROM x;",
    "REVOKE ALL ON FUNCTION f(integer) FROM PUBLIC;",
    "GRANT USAGE ON FOREIGN SERVER s TO x;",
    "SELECT pg_catalog.lo_create('12');",
    "SELECT pg_catalog.lo_open('12', 131072);",
    "SELECT pg_catalog.lowrite(0, '\\x00');",
    "SELECT pg_catalog.lo_close(0);",
    "SELECT * FROM pg_catalog.pg_restore_relation_stats('version', '1'::integer);",
    "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING;",
    "COPY t  FROM stdin;\n\\.\n",
    'COPY "a "" b"."c.d" (e, "f, g") FROM stdin;\n\\.\n',
]


def looked_at(dump):
    for item in split(iter([dump])):
        if isinstance(item, Rows):
            item.loaded(-1)
        else:
            require_allowed(item)


@pytest.mark.parametrize("statement", FOREIGN)
def test_what_pg_dump_does_not_write_is_refused_and_named(statement):
    with pytest.raises(ForeignStatement) as caught:
        looked_at(b"BEGIN;\n" + statement.encode() + END)
    values = caught.value.message.values
    assert values["line"] == 2
    assert statement.startswith(values["head"])


@pytest.mark.parametrize("statement", SERVERS)
def test_what_is_for_a_whole_server_is_refused(statement):
    with pytest.raises(WholeServer):
        looked_at(b"BEGIN;\n" + statement.encode() + END)


@pytest.mark.parametrize("statement", WRITTEN)
def test_what_pg_dump_writes_is_allowed(statement):
    looked_at(statement.encode() + END)


def test_commands_of_psql_are_none_of_it():
    with pytest.raises(PsqlCommands):
        looked_at(b"\\! id" + END)


@pytest.fixture(scope="module")
def database():
    if "PGHOST" not in os.environ:
        pytest.skip('no PostgreSQL: eval "$(make -s env)"')
    name = f"dfr_allowed_{os.getpid()}"
    subprocess.run(["createdb", "-T", "template0", name], check=True)
    yield name
    subprocess.run(["dropdb", name], check=True)


def test_the_loader_itself_runs_none_of_it(database):
    dump = b"CREATE TABLE kept (a int);\nSELECT pg_sleep(6);\n" + END
    with pytest.raises(ForeignStatement):
        load(iter([dump]), Connection(database), Progress())


@pytest.mark.parametrize("option", ["--clean", "--inserts", "--column-inserts"])
@pytest.mark.parametrize("more", ["--use-set-session-authorization", "--if-exists"])
def test_dumps_of_other_options_are_allowed(database, option, more):
    sql = (
        "DROP TABLE IF EXISTS o; CREATE TABLE o (a int PRIMARY KEY, b int);"
        "INSERT INTO o VALUES (1, 1); COMMENT ON COLUMN o.a IS 'x';"
        "GRANT SELECT (a) ON o TO PUBLIC; SELECT lo_from_bytea(0, 'x')"
    )
    subprocess.run(["psql", "-Xq", "-d", database, "-c", sql], check=True)
    command = ["pg_dump", option, more, database]
    if more == "--if-exists" and option != "--clean":
        command.insert(1, "--clean")
    done = subprocess.run(command, check=True, capture_output=True)
    looked_at(done.stdout)
