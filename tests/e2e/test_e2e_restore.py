"""A real database, backed up by a run, restored by the engine, booted by Odoo."""

import contextlib
import json
import sys
import types
from pathlib import Path

import pytest

package = types.ModuleType("dfr_backup")
package.__path__ = [str(Path(__file__).resolve().parents[2] / "dfr_backup")]
sys.modules.setdefault("dfr_backup", package)

from dfr_backup.engine.archive.reader import open_archive  # noqa: E402
from dfr_backup.engine.postgres.connection import Connection  # noqa: E402
from dfr_backup.engine.progress import Progress  # noqa: E402
from dfr_backup.engine.restore.files import FilestoreExtraction  # noqa: E402
from dfr_backup.engine.restore.finish import (  # noqa: E402
    FinishOptions,
    finish_database,
    installed_modules,
)
from dfr_backup.engine.restore.load.loader import load  # noqa: E402
from dfr_backup.engine.restore.preflight import Surroundings, preflight  # noqa: E402
from dfr_backup.engine.restore.target import DatabaseLocation, RestoreTarget  # noqa: E402
from dfr_backup.engine.restore.verify import verify_restored  # noqa: E402

NEUTRALIZE = """
from odoo.modules.neutralize import get_installed_modules, get_neutralization_queries
import json
installed = get_installed_modules(env.cr)
print("SQL" + json.dumps(list(get_neutralization_queries(installed))))
"""
LOOK = """
attachments = env["ir.attachment"].sudo().search([("name", "like", ".bin")])
assert len(attachments) == 200, len(attachments)
assert attachments.sorted("id")[7].raw == bytes([7]) * 5000 + b"7"
for model in env:
    if env[model]._auto and not env[model]._abstract:
        env[model].sudo().search([], limit=1).read(["display_name"])
print("BOOTED", env["res.users"].search_count([]))
"""
LISTED = "import odoo.service.db\nprint('LISTED', odoo.service.db.list_dbs(True))\n"


def server_of(instance):
    options = instance.options
    keys = ("host", "port", "user", "password")
    return Connection("postgres", {key: options[f"db_{key}"] for key in keys})


@pytest.fixture
def copy(instance):
    """Where the copy goes, which the test leaves behind."""
    place = DatabaseLocation(
        f"{instance.database}_r", instance.data / "filestore" / f"{instance.database}_r"
    )
    yield place
    quoted = f'"{place.database}"'
    with contextlib.suppress(Exception):
        instance.sql(f"ALTER DATABASE {quoted} IS_TEMPLATE false", database="postgres")
    instance.sql(f"DROP DATABASE IF EXISTS {quoted}", database="postgres")


def restore(instance, archive, place, statements=(), meanwhile=lambda target: None):
    """Do what a restore does; return the report of the comparison with the manifest."""
    surroundings = Surroundings(place, "19.0")
    with open_archive(archive) as opened:
        opened.check(Progress())
        found = preflight(opened.describe(), surroundings, server_of(instance))
        assert not [finding for finding in found if finding.blocking]
        with RestoreTarget(
            server_of(instance), place, instance.data / "restores"
        ) as target:
            target.create()
            load(opened.sql(), target.connection, Progress())
            with FilestoreExtraction(opened, target.filestore) as extraction:
                extraction.finish(Progress())
            report = verify_restored(
                target.connection, opened.manifest, target.filestore, Progress()
            )
            assert "base" in installed_modules(target.connection)
            finish_database(target.connection, FinishOptions(statements=statements))
            meanwhile(target)
            target.publish()
    return report


def shell(instance, database, code):
    done = instance.odoo("shell", "-d", database, "--no-http", text=code)
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    return done.stdout


def test_a_run_is_restored_whole_and_boots(instance, copy):
    run = instance.backup()
    report = restore(instance, run.archive, copy)
    assert report.is_complete
    assert report.counted
    assert report.tables == len(run.manifest["dfr_backup"]["rows"])
    assert (report.missing_count, report.damaged_count) == (0, 0)
    assert report.files == run.manifest["dfr_backup"]["filestore"]["files"]
    assert "BOOTED" in shell(instance, copy.database, LOOK)
    states = instance.sql(
        "SELECT state, count(*) FROM backup_job GROUP BY 1", database=copy.database
    )
    assert states == [("cancelled", 1)]  # the run that made the archive
    assert (
        instance.sql("SELECT 1 FROM backup_plan WHERE active", database=copy.database)
        == []
    )
    uuid = "SELECT value FROM ir_config_parameter WHERE key = 'database.uuid'"
    assert instance.sql(uuid) != instance.sql(uuid, database=copy.database)


@pytest.mark.release
def test_an_archive_of_odoo_is_restored_too_and_neutralized(instance, copy, tmp_path):
    archive = tmp_path / "odoo.zip"
    done = instance.odoo("db", "dump", instance.database, str(archive))
    assert done.returncode == 0, done.stderr
    output = shell(instance, instance.database, NEUTRALIZE)

    statements = json.loads(output.split("SQL", 1)[1].splitlines()[0])
    report = restore(instance, archive, copy, statements)
    assert not report.counted
    assert report.missing_count == 0
    assert "BOOTED" in shell(instance, copy.database, LOOK)
    active = "SELECT count(*) FROM ir_cron WHERE active"
    assert instance.sql(active, database=copy.database) == [(1,)]
    assert instance.sql(active)[0][0] > 1


def test_odoo_does_not_see_a_database_that_is_being_restored(instance, copy):
    archive, listed = instance.backup().archive, []

    def look(target):
        listed.append(instance.odoo("shell", "--no-http", text=LISTED).stdout)
        assert target.scratch.database not in listed[0]
        # who knows its name can look into it: a drill does
        assert "BOOTED" in shell(instance, target.scratch.database, LOOK)

    instance.write_conf(db_name=None)
    restore(instance, archive, copy, meanwhile=look)
    listed.append(instance.odoo("shell", "--no-http", text=LISTED).stdout)
    assert instance.database in listed[0]
    assert f"'{copy.database}'" not in listed[0]
    assert f"'{copy.database}'" in listed[1]
