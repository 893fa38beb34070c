"""Incremental backups of a real database: they come back, as a database and as one
zip."""

import hashlib
import json
import os
import shutil
import time
import zipfile

import pytest
from conftest import drop_database

from dfr_backup.engine.packs.names import prefix_of

MAKE_INCREMENTAL = """
env["backup.plan"].search([]).write({"incremental": True})
env.cr.commit()
"""
MORE = """
env["ir.attachment"].search([("name", "=like", "1%.bin")]).unlink()
env["ir.attachment"].create([
    {"name": f"more {n}", "raw": b"more" * n} for n in range(1, 20)
])
env.cr.commit()
"""
DELETE_FIRST = """
env["backup.copy"].search([], order="id", limit=1)._delete_stored()
env.cr.commit()
"""
NAMES = "SELECT DISTINCT store_fname FROM ir_attachment WHERE store_fname IS NOT NULL"


@pytest.fixture
def runs(instance):
    """Two incremental backups, with some attachments gone and others new."""
    instance.shell(MAKE_INCREMENTAL)
    first = instance.backup()
    instance.shell(MORE)
    second = instance.backup()
    assert [run.state for run in (first, second)] == ["success", "success"]
    assert second.manifest["packs"]
    return first, second


def files(instance, database):
    """Return the attachment files that a database refers to, with their SHA-1."""
    root = instance.data / "filestore" / database
    names = [name for (name,) in instance.sql(NAMES, database=database)]
    return {
        name: hashlib.sha1(
            (root / name).read_bytes(), usedforsecurity=False
        ).hexdigest()
        for name in names
    }


def assert_good(found, names=None):
    assert all(name[3:] == sha1 for name, sha1 in found.items())
    assert names is None or found.keys() == names


def forget(instance, database):
    drop_database(database)
    shutil.rmtree(instance.data / "filestore" / database, ignore_errors=True)


@pytest.mark.release
def test_both_come_back_where_no_database_works(instance, runs, copy):
    first, second = runs
    for run in runs:
        done = instance.odoo("backup", "verify", str(run.archive), "--json")
        assert json.loads(done.stdout)["packs"] == len(run.manifest["packs"])
    listing = ("backup", "list", "--storage", str(instance.storage), "--json")
    found = json.loads(instance.odoo(*listing).stdout)
    assert {row["path"] for row in found} == {str(run.archive) for run in runs}
    arguments = ("backup", "restore", str(first.archive), "--to", copy, "--json")
    done = instance.odoo(*arguments)
    assert done.returncode == 0, done.stderr
    restored = files(instance, copy)
    assert_good(restored)
    assert len(restored) == first.manifest["dfr_backup"]["filestore"]["files"]
    forget(instance, copy)
    arguments = ("backup", "restore", str(second.archive), "--to", copy)
    done = instance.odoo(*arguments)
    assert done.returncode == 0, done.stderr
    assert_good(files(instance, copy), files(instance, instance.database).keys())


@pytest.mark.release
def test_one_zip_of_it_is_taken_by_odoo(instance, runs, copy, tmp_path):
    _first, second = runs
    target = tmp_path / "full.zip"
    sidecar = second.archive.with_suffix(".json")
    arguments = ("backup", "export", str(sidecar), "--to", str(target), "--json")
    done = instance.odoo(*arguments)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["size"] == target.stat().st_size
    with zipfile.ZipFile(target) as zipped:
        assert zipped.testzip() is None
    again = instance.odoo(*arguments)
    assert json.loads(again.stdout)["error_code"] == "PACK-22"
    refused = instance.odoo("db", "load", copy, str(second.archive))
    assert refused.returncode != 0
    forget(instance, copy)
    assert instance.odoo("db", "load", copy, str(target)).returncode == 0
    found = files(instance, copy)
    assert_good({name: found[name] for name in files(instance, instance.database)})


@pytest.mark.release
def test_lost_pack_ends_a_restore_until_it_is_stored_anew(instance, runs, copy):
    _first, second = runs
    keys = [pack["key"] for pack in second.manifest["packs"]]
    largest = max(keys, key=lambda key: (instance.storage / key).stat().st_size)
    (instance.storage / largest).unlink()
    arguments = ("backup", "restore", str(second.archive), "--to", copy, "--json")
    refused = json.loads(instance.odoo(*arguments).stdout)
    assert refused["error_code"] == "PACK-20"
    done = instance.odoo(*arguments, "--accept", refused["accept"])
    assert done.returncode == 0, done.stdout
    root, names = instance.data / "filestore" / copy, files(instance, instance.database)
    assert {name for name in names if (root / name).is_file()} < names.keys()
    forget(instance, copy)
    assert instance.backup().state == "success"
    done = instance.odoo(*arguments)
    assert done.returncode == 0, done.stdout
    assert_good(files(instance, copy))


@pytest.mark.release
def test_drill(instance, runs):
    done = instance.odoo("backup", "drill", "-d", instance.database, "--json")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["job"]["state"] == "success"


@pytest.mark.release
def test_everything_of_a_server_comes_back(instance, runs):
    """From a folder alone, into its old name."""
    names = files(instance, instance.database).keys()
    forget(instance, instance.database)
    arguments = ("backup", "restore", "--from", str(instance.storage), "--all")
    done = instance.odoo(*arguments, "--json")
    assert done.returncode == 0, done.stdout
    assert_good(files(instance, instance.database), names)


def test_packs_that_no_backup_needs_are_deleted(instance, runs):
    """They are shown first, condemned then, and deleted days later; a backup that is
    deleted leaves them all."""
    first, second = runs
    packs = sorted(instance.storage.glob("*-files-*"))
    instance.shell(DELETE_FIRST)
    assert not first.archive.exists()
    assert not first.archive.with_suffix(".json").exists()
    assert sorted(instance.storage.glob("*-files-*")) == packs
    query = "SELECT value FROM ir_config_parameter WHERE key = 'database.uuid'"
    ((uuid,),) = instance.sql(query)
    left = instance.storage / f"{prefix_of(uuid)}-files-{7:024x}.zip"
    left.write_bytes(b"PK")  # as a killed upload leaves it
    age(left)

    def prune(*options):
        done = instance.odoo("backup", "prune", "-d", instance.database, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def shown():
        before = sorted(instance.storage.iterdir())
        (storage,) = json.loads(prune("--dry-run", "--json"))
        assert sorted(instance.storage.iterdir()) == before
        return {pack["key"]: pack for pack in storage["packs"]}[left.name]

    assert shown()["condemned"] is None
    prune()
    assert shown()["condemned"]
    assert not shown()["due"]
    age(left.with_suffix(".condemned"))
    for _night in range(2):
        assert instance.backup().state == "success"
    assert shown()["due"]
    assert left.name in prune("--dry-run")
    # nothing was lost: it prunes as without the option
    done = json.loads(prune("--json", "--give-up-lost"))
    assert [step["kind"] for step in done["steps"]] == ["prune"]
    assert not left.exists()
    assert not [*instance.storage.glob("*.condemned")]
    verified = instance.odoo("backup", "verify", str(second.archive))
    assert verified.returncode == 0, verified.stderr


def age(path):
    then = time.time() - 3 * 86400
    os.utime(path, (then, then))
