"""What psql restores, we restore: by the command line and from the back office, and
ten times of ten while other things keep the machine busy."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys

import psycopg2
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
from instances import e2e, made_instance
from office import Office

from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.manifest import write as manifest
from dfr_backup.engine.manifest.names import DUMP, sidecar_key
from dfr_backup.engine.postgres.connection import Connection
from dfr_backup.engine.postgres.snapshot import Snapshot
from dfr_backup.engine.restore.target import EXTENSIONS, NO_UNACCENT, UNACCENT

SHORT = "check_function"
TIMES = 10
# what a restore reads and writes in any database of Odoo
ODOO = """
    CREATE TABLE ir_config_parameter (
        key varchar UNIQUE, value text, create_uid int, create_date timestamp,
        write_uid int, write_date timestamp);
    CREATE TABLE ir_module_module (name varchar, state varchar);
    CREATE TABLE ir_attachment (store_fname varchar, file_size int);
"""
RENEWED = re.compile(rb"database\.(uuid|secret|create_date)\t")
ODOOS = {
    "odoo_dump": "1",
    "version": "19.0",
    "major_version": "19.0",
    "pg_version": "15.0",
    "modules": {},
}
OURS = {
    "job": "0123abcd-0000-4000-8000-000000000000",
    "run": "B00001",
    "plan": "",
    "snapshot_at": "2026-11-01T02:00:00+00:00",
    "contents": ["database"],
    "missing": [],
}
BURN = "while True: pass"
CHURN = """
import psycopg2
session = psycopg2.connect(dbname="postgres")
while True:
    with session, session.cursor() as cr:
        cr.execute("SELECT sum(sqrt(n)) FROM generate_series(1, 300000) n")
"""


class Case:
    """A schema, its archive in ``storage``, and the database that psql makes of it."""

    def __init__(self, path, databases, storage):
        self.schema = Schema(path)
        self.source = made_from(self.schema, databases)
        query(self.source, ODOO)
        self.dump = dumped(self.source)
        self.key = f"{self.schema.name}-20261101T020000Z-0123abcd.zip"
        self.archive = storage / self.key
        self._finalize(storage)
        theirs = databases()
        by_psql = psql(theirs, "-1", input=self.dump.decode())
        assert bool(by_psql.returncode) == self.schema.psql_refuses, by_psql.stderr
        self.measure = self.source if self.schema.psql_refuses else theirs

    def _finalize(self, storage):
        with Snapshot(Connection(self.source)) as snapshot:
            rows = snapshot.row_counts()
        writer = ArchiveWriter.create(storage / "archive.part")
        with writer.stream_member(DUMP) as member:
            member.write(self.dump)
        count, digest = writer.write_checksums()
        sums = {"count": count, "sha256sums": digest}
        content = manifest.build(
            {**ODOOS, "db_name": self.schema.name},
            {**OURS, "members": sums, "rows": rows},
        )
        writer.add_bytes("manifest.json", manifest.encode(content))
        finalized = writer.close()
        (storage / "archive.part").rename(self.archive)
        beside = manifest.sidecar(content, self.key, finalized.size, finalized.sha256)
        (storage / sidecar_key(self.key)).write_bytes(beside)

    def complete(self):
        """Let psql's database have what Odoo creates in each; a whole restore does,
        too."""
        with contextlib.suppress(psycopg2.Error):
            for statement in EXTENSIONS:
                query(self.measure, statement)
        if self.schema.unaccent and query(self.measure, NO_UNACCENT)[0][0]:
            for statement in UNACCENT:
                query(self.measure, statement)

    def require_same(self, ours):
        found = [line for line in differences(ours, self.measure) if not _renewed(line)]
        if self.schema.psql_refuses:  # a view that nobody can fill: a warning
            found = [line for line in found if line[0] != "view"]
        assert found == [], self.schema.name

    def close(self):
        self.archive.unlink()
        self.archive.with_suffix(".json").unlink()


def _renewed(line):
    return isinstance(line, bytes) and RENEWED.match(line)


class Site:
    """An Odoo with its back office, into which archives come from elsewhere."""

    def __init__(self, instance):
        self.instance = instance
        self.office = Office(instance)
        (self.storage,) = self.office.call("backup.storage", "search", [])
        # it owns its location before anything from elsewhere is there
        self.office.call("backup.storage", "action_test", [self.storage])

    def by_command_line(self, case, name):
        """Return the code of the error, None when it is restored."""
        done = self.instance.command(
            "backup", "restore", str(case.archive), "--to", name, "--json"
        )
        report = json.loads(done.stdout)
        assert (report["state"] == "success") == (done.returncode == 0), done.stderr
        return None if done.returncode == 0 else report["error_code"]

    def by_back_office(self, case, name):
        """The same, of the step that has failed."""
        office = self.office
        scan = office.call("backup.storage", "action_scan", [self.storage])["res_id"]
        assert self.instance.await_job(scan) == "success"
        (copy,) = office.call("backup.copy", "search", [["key", "=", case.key]])
        values = {"copy_id": copy, "database": name, "neutralize": False}
        values |= {"new_identity": True, "i_trust": True}
        wizard = office.call("backup.restore.wizard", "create", values)
        run = office.call("backup.restore.wizard", "action_restore", [wizard])["res_id"]
        if self.instance.await_job(run) == "success":
            return None
        failed = "SELECT error_code FROM backup_step WHERE job_id = %s AND state = %s"
        return self.instance.sql(failed, run, "failure")[0][0]

    @contextlib.contextmanager
    def dropped(self, name):
        try:
            yield name
        finally:
            e2e.drop_database(name)
            shutil.rmtree(self.instance.data / "filestore" / name, ignore_errors=True)


@pytest.fixture(scope="module")
def site(template, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with made_instance(template, folder, "differential") as instance, instance.serve():
        yield Site(instance)


@pytest.fixture
def databases():
    with made_databases() as make:
        yield make


@pytest.fixture
def load():
    """Keep both processors and the server busy."""
    programs = [BURN] * (os.cpu_count() or 1) + [CHURN]
    with contextlib.ExitStack() as stack:
        for program in programs:
            argv = [sys.executable, "-c", program]
            stack.callback(_end, subprocess.Popen(argv))
        yield


def _end(process):
    process.kill()
    process.wait()


def schemas(*short):
    mark = pytest.mark.short
    return [
        pytest.param(p, id=p.stem, marks=[mark] if p.stem in short else [])
        for p in SCHEMAS
    ]


@pytest.mark.parametrize("path", schemas(SHORT))
@pytest.mark.parametrize("way", ["by_command_line", "by_back_office"])
def test_restored(site, databases, cell, way, path):
    case = Case(path, databases, site.instance.storage)
    site.instance.write_conf(unaccent=str(case.schema.unaccent))
    name = f"{site.instance.database}_r"
    with contextlib.closing(case), site.dropped(name):
        code = getattr(site, way)(case, name)
        outcome = code or "the same as by psql"
        cell(way.replace("_", " "), case.schema.name, outcome)
        if case.schema.refused:
            assert code
            there = "SELECT 1 FROM pg_database WHERE datname = %s"
            assert query("postgres", there, name) == []
        else:
            assert code is None
            case.complete()
            case.require_same(name)


@pytest.mark.parametrize("path", schemas())
def test_ten_of_ten(databases, load, tmp_path, cell, path, request):
    """Which session loads what is another matter each time."""
    case = Case(path, databases, tmp_path)
    if case.schema.refused:
        pytest.skip("by psql as well")
    for number in range(TIMES):
        request.config.table.rounds += 1
        with restored(case.dump, case.schema, tmp_path / str(number)) as (name, told):
            assert differences(name, case.measure) == unpopulated(told)
    cell(f"restored {TIMES} times under load", case.schema.name, "the same each time")
