"""What psql restores, we restore, with the same schema and the same rows.

Comments at the beginning of a file in “schemas” say what is special about it:
“PostgreSQL 18” (or newer), “PostgreSQL 16 and older”, “unaccent” (as in odoo.conf),
“psql refuses” (and we do not), “refused” (by both).
"""

import os
import zlib
from pathlib import Path

import pytest
from differential import (
    SCHEMAS,
    Schema,
    differences,
    dumped,
    made_databases,
    made_from,
    psql,
    query,
    restored,
    unpopulated,
)

from dfr_backup.engine.errors.restore import LoadFailed
from dfr_backup.engine.manifest.model import Manifest
from dfr_backup.engine.postgres.connection import Connection
from dfr_backup.engine.postgres.snapshot import Snapshot
from dfr_backup.engine.restore.load import errors, fallback
from dfr_backup.engine.restore.load.sql_stream import Longest
from dfr_backup.engine.restore.verify import verify_restored

# those that are tried each time; “--all-schemas” tries them all
FEW = {
    "begin_atomic", "check_function", "enum_hash", "extension_schema", "generated",
    "fk_to_partitioned", "keys_cycle", "matview", "names_odd", "not_enforced",
    "part_keys", "rows_odd", "unaccent_schema", "views_cycle",
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def server():
    if "PGHOST" not in os.environ:
        pytest.skip('no PostgreSQL: eval "$(make -s env)"')


@pytest.fixture
def databases():
    with made_databases() as make:
        yield make


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_what_psql_restores_we_restore(path, databases, tmp_path, request):
    if path.stem not in FEW and not request.config.getoption("--all-schemas"):
        pytest.skip("--all-schemas")
    schema = Schema(path)
    source = made_from(schema, databases)
    dump, theirs = dumped(source), databases()
    by_psql = psql(theirs, "-1", input=dump.decode())
    assert bool(by_psql.returncode) == schema.psql_refuses, by_psql.stderr
    if schema.refused:
        with pytest.raises(LoadFailed), restored(dump, schema, tmp_path):
            pass
        return
    with restored(dump, schema, tmp_path) as (ours, progress):
        measure = source if schema.psql_refuses else theirs
        assert differences(ours, measure) == unpopulated(progress)


# === WHAT THE USER HEARS === #


def named(name):
    return Schema(Path(__file__).with_name("schemas") / f"{name}.sql")


def test_a_view_without_search_path_is_named(databases, tmp_path):
    schema = named("matview")
    dump = dumped(made_from(schema, databases))
    with restored(dump, schema, tmp_path) as (ours, progress):
        by_path, other = progress.warnings
        assert by_path.template == errors.UNPOPULATED_BY_SEARCH_PATH
        assert by_path.values["view"] == "public.bi_mentions"
        assert other.template == errors.UNPOPULATED
        query(ours, "ALTER FUNCTION count_mentions() SET search_path = public")
        for warning in progress.warnings:
            query(ours, f"REFRESH MATERIALIZED VIEW {warning.values['view']}")
        assert query(ours, "SELECT max FROM over_it") == [(2,)]


def test_a_function_without_search_path_is_named(databases, tmp_path):
    schema = named("generated")
    dump = dumped(made_from(schema, databases))
    with pytest.raises(LoadFailed) as caught, restored(dump, schema, tmp_path):
        pass
    assert caught.value.hint.template == LoadFailed.remedy_search_path
    assert caught.value.hint.values["function"] == "public.slugify(text)"


def test_why_a_dump_is_loaded_again_is_said(databases, tmp_path):
    schema = named("check_function")
    dump = dumped(made_from(schema, databases))
    with restored(dump, schema, tmp_path) as (_ours, progress):
        again = [line for line in progress.lines if line.template == fallback.AGAIN]
        assert len(again) == 1
        assert "b_chk" in str(again[0].values["reason"])
        assert progress.done == len(dump)
    with restored(dump, schema, tmp_path, plain=True) as (_ours, progress):
        assert progress.lines == []


@pytest.mark.parametrize("options", [(), ("--inserts",), ("--rows-per-insert=30000",)])
def test_long_statements_are_restored(databases, tmp_path, options):
    """However small the archive is."""
    schema = named("long_statements")
    source = made_from(schema, databases)
    dump = dumped(source, *options)
    longest = Longest.of_archive(len(zlib.compress(dump, 1)))
    with restored(dump, schema, tmp_path, longest=longest) as (ours, progress):
        assert [line.template for line in progress.lines] == [fallback.LONG]
        assert differences(ours, source) == []


@pytest.mark.parametrize("code", ["53100", "53200", "57014", "42501"])
def test_what_no_other_order_helps_is_not_loaded_again(databases, tmp_path, code):
    dump = (
        b"CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE SQLSTATE "
        b"''%s''; END';\nCREATE TABLE t AS SELECT f();\n"
        % code.encode()
        + b"-- PostgreSQL database dump complete\n"
    )
    failures = []
    with (
        pytest.raises(LoadFailed),
        restored(dump, named("generated"), tmp_path, on_failure=failures.append),
    ):
        pass
    assert len(failures) == 1


def test_counts_are_compared_for_a_partitioned_table_as_a_whole(databases, tmp_path):
    schema = named("enum_hash")
    source = made_from(schema, databases)
    query(source, "CREATE TABLE ir_attachment (store_fname text, file_size int)")
    with Snapshot(Connection(source)) as snapshot:
        rows = snapshot.row_counts()
    with restored(dumped(source), schema, tmp_path) as (ours, progress):
        # as it is when the values of the enum have other hashes
        rows['"public"."moods_0"'] += 3
        rows['"public"."moods_1"'] -= 3

        def different():
            manifest = Manifest({"dfr_backup": {"rows": rows, "contents": []}})
            connection = Connection(ours)
            return verify_restored(connection, manifest, tmp_path, progress).different

        assert different() == []
        query(ours, "DELETE FROM moods WHERE v = 1")
        assert {line.values["table"] for line in different()} <= rows.keys()
        assert different()
