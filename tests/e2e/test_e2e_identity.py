"""A raw copy of a database, made by PostgreSQL itself, beside its original."""

import json
import shutil

import psycopg2
from conftest import Instance, _databases, drop_database
from waits import until

RULES = """
    UPDATE backup_plan SET include_filestore = false, retention = 'custom',
           keep_last = 1, keep_hourly = 0, keep_daily = 0, keep_weekly = 0,
           keep_monthly = 0, keep_yearly = 0, keep_within_days = 0, keep_minimum = 1
"""
CODES = "SELECT error_code FROM backup_step WHERE kind = 'cleanup' ORDER BY id DESC"


def when_alone(statement):
    """Copy or rename a database as soon as nobody is in it."""

    def done():
        try:
            _databases(statement)
        except psycopg2.errors.ObjectInUse:
            return False
        return True

    until(done, pause=0.5)


def moved(instance, *arguments):
    done = instance.odoo("backup", "moved", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["databases"]


def test_a_raw_copy_deletes_nothing_until_it_is_the_original(instance, tmp_path):
    instance.sql(RULES)
    archives = [instance.backup().archive]
    instance.sql("UPDATE backup_copy SET date = date - interval '1 day'")
    name = f"{instance.database}_raw"
    copied = Instance(name, tmp_path)
    copied.data, copied.is_clone = instance.data, True
    copied.write_conf(data_dir=str(instance.data))
    try:
        when_alone(f'CREATE DATABASE "{name}" TEMPLATE "{instance.database}"')
        shutil.copytree(instance.filestore, copied.filestore)
        run = copied.backup()
        assert run.status == 0, run.report
        assert archives[0].exists(), "the copy has deleted the original's backup"
        archives.append(run.archive)

        # the original goes on, and the copy's backup neither counts nor disturbs
        archives.append(instance.backup().archive)
        assert [path.exists() for path in archives] == [False, True, True]

        # of all databases, these two have to be named
        done = instance.odoo("backup", "moved", "--all", "--dry-run", "--json")
        assert done.returncode == 1
        told = json.loads(done.stdout)["problems"]
        assert {problem["error_code"] for problem in told} == {"IDENTITY-06"}
        assert any(name in problem["error"] for problem in told)

        # exchanged names change nothing
        aside = f"{name}_aside"
        for old, new in (
            (instance.database, aside),
            (name, instance.database),
            (aside, name),
        ):
            when_alone(f'ALTER DATABASE "{old}" RENAME TO "{new}"')
        archives.append(instance.backup().archive)  # this is the copy now
        assert [path.exists() for path in archives[1:]] == [True] * 3

        # until the operator says so
        told = moved(instance, "-d", instance.database, "--dry-run")
        assert [row["former_name"] for row in told] == [instance.database]
        instance.backup()
        assert archives[2].exists()
        moved(instance, "-d", instance.database)
        instance.backup()
        assert not archives[3].exists()
    finally:
        drop_database(name)
        drop_database(f"{name}_aside")
