"""Commands for all databases of a server."""

import json
import shutil

import pytest
from conftest import _databases, drop_database
from test_e2e_running import start
from waits import Hold, until

from dfr_backup.engine.errors.identity import AddonMissing
from dfr_backup.engine.errors.restore import NameTaken
from dfr_backup.engine.errors.server import NothingPlanned, NothingWhole, OtherRelease


@pytest.fixture
def without_addon(instance, plain_template):
    """A database of the same server that has no addon; odoo.conf names both."""
    name = f"{instance.database}_n"
    drop_database(name)
    _databases(f'CREATE DATABASE "{name}" TEMPLATE "{plain_template.database}"')
    instance.write_conf(db_name=f"{instance.database},{name}")
    yield name
    drop_database(name)


def asked(instance, *words, status):
    done = instance.odoo("backup", *words, "--json")
    assert done.returncode == status, done.stdout + done.stderr
    told = json.loads(done.stdout)
    return told, {row["database"]: row for row in told["databases"]}


def test_run_list_and_doctor_of_all(instance, without_addon):
    """A database without the addon is named, and keeps nobody from its backup."""
    told, rows = asked(instance, "run", "--all", status=2)
    assert told["status"] == 2
    assert rows[instance.database]["state"] == "success"
    assert rows[instance.database]["size"]
    assert rows[without_addon]["state"] == "not_backed_up"
    assert rows[without_addon]["error_code"] == AddonMissing.code
    _told, rows = asked(instance, "list", "--all", status=2)
    (copy,) = rows[instance.database]["copies"]
    assert (instance.storage / copy["key"]).stat().st_size == copy["size"]
    told, rows = asked(instance, "doctor", "--all", status=1)
    assert {row["check"]: row["ok"] for row in told["checks"]}["pg_dump"]
    assert rows[instance.database]["state"] == "ok"
    _told, rows = asked(
        instance, "doctor", "--all", "--exclude", without_addon, status=0
    )
    assert list(rows) == [instance.database]


@pytest.mark.release
def test_who_does_not_wait_is_told_and_the_run_begins_by_itself(instance, tmp_path):
    instance.write_conf(dfr_backup_max_running="1")
    hold = Hold(tmp_path, "step.compress.begin")
    words = ("backup", "run", "-d", instance.database, "--json")
    first = start(instance, *words, fault=hold.fault)
    with hold:
        hold.await_it()
        done = instance.odoo(*words, "--no-wait")
        assert done.returncode == 5, done.stdout + done.stderr
        assert json.loads(done.stdout)["job"]["state"] == "pending"
        _told, rows = asked(instance, "run", "--all", "--no-wait", status=5)
        assert rows[instance.database]["state"] == "waiting"
        hold.let_go()
    first.communicate(timeout=300)
    assert first.returncode == 0
    instance.shell("env['backup.plan']._cron_supervise(); env.cr.commit()")
    is_open = "SELECT 1 FROM backup_job WHERE state IN ('pending', 'running')"
    until(lambda: not instance.sql(is_open))
    states = instance.sql("SELECT state FROM backup_job")
    assert states == [("success",)] * 2, "there is one that waits, however often asked"
    assert instance.leftovers() == []


@pytest.mark.release
def test_enable_installs_the_addon_once(instance, without_addon):
    share = instance.folder / "share"
    share.mkdir()
    profile = instance.folder / "backups.ini"
    place = f"{share}/{{database}}"
    profile.write_text(f"[storage nas]\nkind = local\npath = {place}\n")
    profile.chmod(0o600)
    instance.write_conf(
        dfr_backup_profile=str(profile), dfr_backup_local_roots=str(share)
    )
    _told, rows = asked(instance, "enable", "--all", status=0)
    assert rows[without_addon]["state"] == "enabled"
    assert rows[instance.database]["state"] == "was_enabled"
    query = "SELECT external_name FROM backup_storage WHERE external_name IS NOT NULL"
    for database in rows:
        assert instance.sql(query, database=database) == [("NAS",)]
    assert len(instance.sql("SELECT 1 FROM backup_plan", database=without_addon)) == 1
    _told, rows = asked(instance, "enable", "--all", status=0)
    assert {row["state"] for row in rows.values()} == {"was_enabled"}
    assert instance.sql(query, database=without_addon) == [("NAS",)]
    instance.sql("UPDATE backup_plan SET active = false")
    _told, rows = asked(instance, "enable", "--all", status=2)
    assert rows[instance.database]["error_code"] == NothingPlanned.code
    instance.sql("UPDATE backup_plan SET active = true")
    change = (
        "UPDATE ir_module_module SET latest_version = '18.0.1.3' WHERE name = 'base'"
    )
    instance.sql(change, database=without_addon)
    _told, rows = asked(instance, "enable", "--all", status=2)
    assert rows[without_addon]["error_code"] == OtherRelease.code


@pytest.mark.release
def test_all_databases_come_back_and_a_second_call_goes_on(instance, tmp_path):
    """The host is lost: neither database nor attachments, but the backups."""
    run = instance.backup()
    name, folder = instance.database, str(instance.storage.parent)
    words = ("restore", "--from", folder, "--all", "--same-identity")
    instance.write_conf(dfr_backup_profile="/lost/with/the/host.ini")
    uuid = "SELECT value FROM ir_config_parameter WHERE key = 'database.uuid'"
    before = instance.sql(uuid)
    drop_database(name)
    shutil.rmtree(instance.filestore)
    for number, instant in enumerate(("filestore.begin", "publish.after")):
        fault = f"kill:restore.{instant}:{tmp_path}/marker-{number}"
        assert instance.odoo("backup", *words, fault=fault).returncode < 0
    _told, rows = asked(instance, *words, status=0)
    assert rows[name]["state"] == "was_restored", "the second kill came too late"
    assert rows[name]["archive"] == str(run.archive)
    assert instance.sql(uuid) == before
    asked_for = ("--dry-run", "--json", "-d", name)
    told = json.loads(instance.odoo("backup", "moved", *asked_for).stdout)
    assert told["databases"][0]["former"] is None, "it is the original already"
    drop_database(name)
    shutil.rmtree(instance.filestore)
    _told, rows = asked(instance, "restore", "--from", folder, "--all", status=0)
    assert rows[name]["state"] == "restored"
    assert instance.sql(uuid) != before
    _told, rows = asked(instance, "restore", "--from", folder, "--all", status=0)
    assert rows[name]["state"] == "was_restored"
    run.archive.unlink()
    drop_database(name)
    instance.sql(f'CREATE DATABASE "{name}"', database="postgres")
    _told, rows = asked(instance, "restore", "--from", folder, "--all", status=1)
    assert rows[name]["error_code"] == NameTaken.code
    drop_database(name)
    _told, rows = asked(instance, "restore", "--from", folder, "--all", status=1)
    assert rows[name]["error_code"] == NothingWhole.code
    assert rows[name]["notes"]
