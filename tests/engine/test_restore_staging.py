"""Only what is still the harmless copy that was made here is dropped: with the
PostgreSQL that the environment names (PGHOST…)."""

import contextlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
from run_fixtures import ODOO, databases, drop, run_sql

from dfr_backup.engine.errors.restore import NameTaken
from dfr_backup.engine.errors.staging import (
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
from dfr_backup.engine.postgres.connection import Connection
from dfr_backup.engine.restore.database_location import PREFIX, DatabaseLocation
from dfr_backup.engine.restore.databases import allow_connections, server_session
from dfr_backup.engine.restore.finish import FinishOptions, finish_database
from dfr_backup.engine.restore.leftovers import remove_leftovers
from dfr_backup.engine.restore.staging import (
    StagingCopy,
    drop_copy,
    drop_replaced,
    require_copy,
    size_of_files,
)
from dfr_backup.engine.restore.staging_mark import PARAMETER, StagingMark
from dfr_backup.engine.restore.target import RestoreTarget

SERVER = Connection("postgres")
NEUTRALIZED = (
    "INSERT INTO ir_config_parameter VALUES ('database.is_neutralized','true')"
)
OID = "SELECT oid::bigint FROM pg_database WHERE datname = %s"
SET = "UPDATE ir_config_parameter SET value = %s WHERE key = %s"
MAILS = """
CREATE TABLE ir_mail_server (id int, active bool, smtp_host text);
INSERT INTO ir_mail_server VALUES (1, true, 'mail.example.com')
"""
PLANS = """
INSERT INTO ir_module_module VALUES ('dfr_backup', 'installed');
INSERT INTO backup_plan (id, active) VALUES (1, true)
"""
CRONS = """
CREATE TABLE ir_model_data (model text, module text, name text, res_id int);
CREATE TABLE ir_cron (id int, active bool);
INSERT INTO ir_cron VALUES (7, true)
"""


class Site:
    """A database that a restore has made as a copy, and what the list knows of it."""

    def __init__(self, name, folder):
        self.name = name
        self.place = DatabaseLocation(name, folder / "filestore" / name)
        self.markers = folder / "markers"
        run_sql("postgres", f'CREATE DATABASE "{name}" TEMPLATE template0')
        run_sql(name, ODOO)
        run_sql(name, "ALTER TABLE backup_plan ADD id int")
        self.oid = run_sql("postgres", OID, name)[0][0]
        mark = StagingMark("run", "us", self.oid)
        options = FinishOptions(statements=[NEUTRALIZED], mark=mark)
        finish_database(Connection(name), options)
        self.known = StagingCopy(name, self.oid, "run", "us", 1)
        (self.place.filestore / "aa").mkdir(parents=True)
        (self.place.filestore / "aa" / "one").write_bytes(b"1" * 5000)

    def drop(self, **changes):
        known = replace(self.known, **changes)
        drop_copy(SERVER, known, self.place, self.markers)

    def killed(self, checkpoint):
        script = Path(__file__).with_name("drop_killed.py")
        places = [self.name, str(self.oid), self.place.filestore, self.markers]
        done = subprocess.run([sys.executable, script, *places, checkpoint])
        assert done.returncode == -9

    def is_untouched(self):
        assert run_sql(self.name, "SELECT count(*) FROM body") == [(5000,)]
        assert (self.place.filestore / "aa" / "one").exists()
        assert not list(self.markers.glob("*"))

    def is_gone(self):
        assert self.oid not in {oid for (oid,) in run_sql("postgres", ALL)}
        assert not list(self.place.filestore.parent.glob("*"))
        assert not list(self.markers.glob("*"))


ALL = "SELECT oid::bigint FROM pg_database"


@pytest.fixture
def site(tmp_path):
    if "PGHOST" not in os.environ:
        pytest.skip('no PostgreSQL: eval "$(make -s env)"')
    name = f"dfr_test_staging_{os.getpid()}"
    site = Site(name, tmp_path)
    yield site
    for one in databases():
        if one.startswith(name):
            drop(one)
    for (one,) in run_sql("postgres", "SELECT datname FROM pg_database"):
        if one.startswith(PREFIX) and run_sql("postgres", OID, one) == [(site.oid,)]:
            drop(one)


def test_a_copy_is_known_and_dropped_with_its_files(site):
    assert require_copy(SERVER, site.known) > 1 << 20
    with contextlib.closing(psycopg2.connect(dbname=site.name)):  # somebody is in it
        site.drop()
    site.is_gone()


DOUBTS = [
    (f"DELETE FROM ir_config_parameter WHERE key = '{PARAMETER}'", NotMarked),
    ("DROP TABLE ir_config_parameter", NotMarked),
    (f"UPDATE ir_config_parameter SET value = '[1]' WHERE key = '{PARAMETER}'",
     NotMarked),
    ("UPDATE ir_config_parameter SET value = 'original' WHERE key = 'database.uuid'",
     IdentityChanged),
    ("DELETE FROM ir_config_parameter WHERE key = 'database.uuid'", IdentityChanged),
    ("DELETE FROM ir_config_parameter WHERE key = 'database.is_neutralized'",
     InProduction),
    ("UPDATE ir_config_parameter SET value = 'False' WHERE key ="
     " 'database.is_neutralized'", InProduction),
    (MAILS, InProduction),
    (PLANS, InProduction),
]  # fmt: skip


@pytest.mark.parametrize("statements, error", DOUBTS)
def test_what_is_no_harmless_copy_any_more_is_left_alone(site, statements, error):
    run_sql(site.name, statements)
    with pytest.raises(error):
        site.drop()
    assert site.name in databases()
    assert site.place.exists
    assert not list(site.markers.glob("*"))


def test_a_scheduled_action_of_a_module_that_was_tried_is_no_production(site):
    run_sql(site.name, CRONS)
    site.drop()
    site.is_gone()


@pytest.mark.parametrize(
    "change, error",
    [
        ({"run": "another"}, NotMarked),
        ({"owner": "another database"}, CopyOfAnother),
        ({"oid": 2}, StagingReplaced),
    ],
)
def test_what_another_has_made_is_left_alone(site, change, error):
    with pytest.raises(error):
        site.drop(**change)
    site.is_untouched()


def test_the_database_that_asks_is_never_dropped(site):
    with pytest.raises(ThisDatabase):
        site.drop(here=site.oid)
    site.is_untouched()


def test_a_database_that_was_renamed_is_left_alone(site):
    new = f"{site.name}_new"
    run_sql("postgres", f'ALTER DATABASE "{site.name}" RENAME TO "{new}"')
    with pytest.raises(StagingRenamed) as caught:
        site.drop()
    assert caught.value.message.values["name"] == new
    assert new in databases()


def test_a_database_that_was_dropped_is_told(site):
    drop(site.name)
    with pytest.raises(StagingGone):
        site.drop()
    assert site.place.exists


def test_a_copy_of_the_copy_is_left_alone(site):
    """It has the same content, also what the copy says of itself."""
    new = f"{site.name}_new"
    run_sql("postgres", f'ALTER DATABASE "{site.name}" RENAME TO "{new}"')
    run_sql("postgres", f'CREATE DATABASE "{site.name}" TEMPLATE "{new}"')
    with pytest.raises(StagingReplaced):
        site.drop()
    (oid,) = run_sql("postgres", OID, site.name)[0]
    with pytest.raises(NotMarked):
        site.drop(oid=oid)
    assert {site.name, new} <= set(databases())
    assert site.place.exists


def test_one_that_is_restored_from_a_backup_of_the_copy_is_no_copy(site):
    finish_database(Connection(site.name), FinishOptions(new_identity=False))
    with pytest.raises(NotMarked):
        site.drop()
    site.is_untouched()


def test_a_copy_does_not_list_the_copies_of_its_original(site):
    run_sql(site.name, "CREATE TABLE backup_staging (id int)")
    run_sql(site.name, "INSERT INTO backup_staging VALUES (1)")
    count = "SELECT count(*) FROM backup_staging"
    finish_database(Connection(site.name), FinishOptions(new_identity=False))
    assert run_sql(site.name, count) == [(1,)]
    finish_database(Connection(site.name), FinishOptions())
    assert run_sql(site.name, count) == [(0,)]


def test_a_kill_before_anything_was_done_opens_the_copy_again(site):
    site.killed("restore.put_back.fenced")
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(dbname=site.name)
    remove_leftovers(SERVER, site.markers)
    site.is_untouched()


@pytest.mark.parametrize("moment", ["restore.put_back.renamed", "restore.undo.dropped"])
def test_a_killed_drop_is_completed_at_the_next_look(site, moment):
    site.killed(moment)
    assert site.name not in databases()
    remove_leftovers(SERVER, site.markers)
    site.is_gone()


def test_files_of_one_that_was_renamed_after_a_kill_stay(site):
    site.killed("restore.put_back.fenced")
    new = f"{site.name}_new"
    run_sql("postgres", f'ALTER DATABASE "{site.name}" RENAME TO "{new}"')
    remove_leftovers(SERVER, site.markers)
    assert (site.place.filestore / "aa" / "one").exists()
    assert new in [n for (n,) in run_sql("postgres", "SELECT datname FROM pg_database")]


def test_what_a_disk_refuses_is_told(site, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(CopyNotDropped):
        site.drop()
    monkeypatch.undo()
    remove_leftovers(SERVER, site.markers)
    site.is_gone()


# === MADE ANEW === #


def test_what_a_copy_has_replaced_is_dropped(site):
    target = RestoreTarget(
        SERVER, site.place, site.markers, replace_existing=True, replaces=site.oid
    )
    with target:
        target.create()
        assert not drop_replaced(SERVER, site.place, site.oid, site.markers)
        published = target.publish()
    assert published.previous.database in [
        name for (name,) in run_sql("postgres", "SELECT datname FROM pg_database")
    ]
    assert drop_replaced(SERVER, site.place, site.oid, site.markers)
    assert not drop_replaced(SERVER, site.place, site.oid, site.markers)
    assert site.name in databases()
    assert not published.previous.exists


def test_what_somebody_has_opened_again_is_not_dropped(site):
    target = RestoreTarget(
        SERVER, site.place, site.markers, replace_existing=True, replaces=site.oid
    )
    with target:
        target.create()
        previous = target.publish().previous
    with server_session(SERVER, "x") as cr:
        allow_connections(cr, previous.database, True)
    assert not drop_replaced(SERVER, site.place, site.oid, site.markers)
    assert run_sql(previous.database, "SELECT count(*) FROM body") == [(5000,)]


def test_no_other_database_is_replaced(site):
    target = RestoreTarget(
        SERVER, site.place, site.markers, replace_existing=True, replaces=site.oid + 1
    )
    with target:
        target.create()
        with pytest.raises(NameTaken):
            target.publish()
    site.is_untouched()


# === SIZE === #


def test_files_are_counted_for_a_while_only(site):
    assert size_of_files(site.place.filestore, 60) == 5000
    assert size_of_files(site.place.filestore, 0) is None
    assert size_of_files(site.place.filestore / "nowhere", 60) == 0


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"run": 1}', "null"])
def test_what_is_no_mark_is_none(text):
    assert StagingMark.from_text(text) is None
    assert StagingMark.from_text(StagingMark("r", "o", 5, "u").to_text()).oid == 5
