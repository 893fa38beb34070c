"""What tests of whole runs begin with: a real database, and storages that are
directories. ``conftest.py`` imports the fixtures."""

import contextlib
import hashlib
import os

import psycopg2
import pytest
from memory_context import MemoryContext, Storage
from psycopg2 import sql

FILES = [b"one" * 1000, b"two" * 50_000]
ODOO = """
CREATE TABLE ir_attachment (id int, store_fname text, checksum text, file_size int,
  res_model text, name text, type text, db_datas bytea, res_field text, res_id int,
  mimetype text, url text);
CREATE TABLE ir_module_module (name text, state text);
CREATE TABLE ir_config_parameter (key text UNIQUE, value text, create_uid int,
  create_date timestamp, write_uid int, write_date timestamp);
CREATE TABLE backup_plan (active bool, next_run timestamp);
CREATE TABLE backup_job (state text, date_end timestamp, error text, uuid text);
CREATE TABLE backup_step (state text, date_end timestamp);
CREATE TABLE body (id int, text text);
INSERT INTO ir_module_module VALUES ('base', 'installed');
INSERT INTO ir_config_parameter VALUES ('database.uuid', 'old');
INSERT INTO body SELECT n, md5(n::text) FROM generate_series(1, 5000) n;
"""


def run_sql(database, query, *parameters):
    with contextlib.closing(psycopg2.connect(dbname=database)) as session:
        session.autocommit = True
        with session.cursor() as cr:
            cr.execute(query, parameters or None)
            return cr.fetchall() if cr.description else []


def drop(name):
    with contextlib.suppress(psycopg2.errors.InvalidCatalogName):
        query = sql.SQL("DROP DATABASE {}").format(sql.Identifier(name))
        run_sql("postgres", query)


@pytest.fixture
def source(tmp_path):
    """A small database with two attachments, and its filestore."""
    if "PGHOST" not in os.environ:
        pytest.skip('no PostgreSQL: eval "$(make -s env)"')
    name = f"dfr_test_run_{os.getpid()}"
    query = sql.SQL("CREATE DATABASE {} TEMPLATE template0")
    run_sql("postgres", query.format(sql.Identifier(name)))
    run_sql(name, ODOO)
    for number, content in enumerate(FILES):
        digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        path = tmp_path / "filestore" / name / digest[:2] / digest
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        row = "INSERT INTO ir_attachment VALUES (%s, %s, %s, %s, 'm', 'n', 'binary')"
        run_sql(name, row, number, f"{digest[:2]}/{digest}", digest, len(content))
    yield name
    drop(name)


@pytest.fixture
def storages(tmp_path):
    return [Storage(n, f"S{n}", tmp_path / f"disk{n}") for n in (1, 2)]


@pytest.fixture
def backup(tmp_path, source, storages):
    """The context of a backup that waits."""
    context = MemoryContext("backup", tmp_path, source)
    context.job.plan(storages)
    return context


@pytest.fixture
def stored(backup):
    """What a backup has stored, as the catalogue knows it."""
    assert backup.job.perform() == "success", backup.job.states
    return list(backup.job.copy_ids)


@pytest.fixture
def target():
    name = f"dfr_test_back_{os.getpid()}"
    yield name
    drop(name)


def raising(error):
    def act():
        raise error

    return act


def restore_of(copies, tmp_path, source, kind="restore", **values):
    context = MemoryContext(kind, tmp_path, source, **values)
    context.job.plan(copies=copies)
    return context


def databases():
    return {name for (name,) in run_sql("postgres", "SELECT datname FROM pg_database")}
