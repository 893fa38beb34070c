"""The commands of the documentation that no other test runs as they are written
there."""

import json

import pytest
from conftest import drop_database


def _command(instance, *words):
    done = instance.odoo("backup", *words, "-d", instance.database, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.release
def test_verify_and_drill_of_a_run(instance):
    run = instance.backup()
    name = run.report["job"]["name"]
    assert _command(instance, "verify", "--job", name)["job"]["state"] == "success"
    drilled = _command(instance, "drill", "--job", name)
    assert drilled["job"]["state"] == "success"
    assert {step["kind"] for step in drilled["steps"]} >= {"compare", "boot", "drop"}
    plan = "No such plan"
    done = instance.odoo("backup", "drill", "-d", instance.database, "--plan", plan)
    assert done.returncode == 1
    assert plan in done.stderr


def test_the_original_comes_back_with_its_identity_and_its_addons(instance, tmp_path):
    run = instance.backup()
    (uuid,) = instance.sql(
        "SELECT value FROM ir_config_parameter WHERE key = 'database.uuid'"
    )[0]
    copy = f"{instance.database}_o"
    words = [
        str(run.archive),
        "--to",
        copy,
        "--same-identity",
        "--addons",
        str(tmp_path / "addons"),
    ]
    try:
        done = instance.odoo("backup", "restore", *words, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["original"]
        asked = ("--dry-run", "--json", "-d", copy)
        told = json.loads(instance.odoo("backup", "moved", *asked).stdout)
        assert told["databases"][0]["former"] is None, "it is the original already"
        found = instance.sql(
            "SELECT value FROM ir_config_parameter WHERE key = 'database.uuid'",
            database=copy,
        )
        assert found == [(uuid,)]
        assert (tmp_path / "addons/dfr_backup/__manifest__.py").exists()
    finally:
        drop_database(copy)


def test_a_pause_for_some_hours_and_its_end(instance):
    why = "Disks are replaced"
    done = instance.odoo("backup", "pause", "--all", "--hours", "4", "--reason", why)
    assert done.returncode == 0, done.stderr
    told = _status(instance)
    assert (told["state"], told["error_code"]) == ("paused", "OTHER-90")
    assert why in told["problem"]
    done = instance.odoo("backup", "resume", "--all", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["databases"]
    assert (row["database"], row["state"]) == (instance.database, "resumed")
    assert _status(instance)["state"] == "ok"
    wrong = instance.odoo("backup", "pause", "--all", "--hours", "0")
    assert wrong.returncode == 4


def _status(instance):
    done = instance.odoo("backup", "status", "--all", "--json")
    (row,) = json.loads(done.stdout)["databases"]
    return row


def test_all_databases_at_a_glance(instance, tmp_path):
    """All are those that odoo.conf names."""
    done = instance.odoo("backup", "status", "--all", "--json")
    told = json.loads(done.stdout)
    states = {row["database"]: row["state"] for row in told["databases"]}
    assert done.returncode == told["status"]
    assert states == {instance.database: "ok"}
    one = instance.odoo("backup", "status", "-d", instance.database)
    assert one.returncode == 0, one.stderr
    assert instance.database in one.stdout
    file = tmp_path / "odoo_backup.prom"
    words = ("--all", "--prometheus", "--output", str(file))
    assert instance.odoo("backup", "status", *words).returncode == 0
    well = f'dfr_backup_version_ok{{database="{instance.database}"}} 1.0'
    assert well in file.read_text().splitlines()
    words = ("--all", "--exclude", "no such name")
    assert instance.odoo("backup", "status", *words).returncode == 3
