"""Restores and drills, by the command line and by the back office."""

import contextlib
import json
import os
import shutil
import subprocess

import pytest

GENERATE = """
from odoo.addons.dfr_backup.engine.encryption.files import generate_key
pair = generate_key()
print("PRIVATE", pair.private)
env["backup.plan"].search([]).write(
    {"encryption": "recipients", "age_recipients": pair.public})
env.cr.commit()
"""


@pytest.fixture
def copy(instance):
    """The name of the database that a test restores; it is dropped at the end."""
    name = f"{instance.database}_r"
    yield name
    with contextlib.suppress(Exception):
        instance.sql(f'ALTER DATABASE "{name}" IS_TEMPLATE false', database="postgres")
    instance.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', database="postgres")
    shutil.rmtree(instance.data / "filestore" / name, ignore_errors=True)


def restore(instance, archive, copy, *options, **more):
    return instance.odoo("backup", "restore", str(archive), "--to", copy, *options, **more)


def databases(instance):
    """Return the databases of this test; a scratch one has a marker as long as it is there."""
    rows = instance.sql("SELECT datname FROM pg_database", database="postgres")
    markers = {path.name for path in (instance.data / "dfr_backup/restores").glob("*")}
    return {name for (name,) in rows if name.startswith(instance.database)} | markers


def test_restore_where_no_database_works(instance, copy):
    """The database is gone, and with it the addon and the catalogue."""
    run = instance.backup()
    done = instance.odoo("backup", "list", "--storage", str(instance.storage), "--json")
    (found,) = json.loads(done.stdout)
    assert found["path"] == str(run.archive)
    assert found["sha256"] == run.manifest["archive"]["sha256"]
    assert instance.odoo("backup", "verify", found["path"]).returncode == 0
    done = restore(instance, run.archive, copy, "--neutralize", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["missing_modules"] == []
    assert instance.sql("SELECT count(*) FROM backup_plan WHERE active", database=copy) == [(0,)]
    assert instance.sql("SELECT state FROM backup_job", database=copy) == [("cancelled",)]
    again = restore(instance, run.archive, copy)
    assert again.returncode == 1
    assert "is a database" in again.stderr and "->" in again.stderr
    assert list((instance.data / "dfr_backup/restores").glob("*")) == []


def test_restored_copy_neither_stores_nor_deletes(instance, copy):
    run = instance.backup()
    assert restore(instance, run.archive, copy).returncode == 0
    instance.write_conf(db_name=copy)
    instance.sql("UPDATE backup_plan SET active = true", database=copy)
    original, instance.database = instance.database, copy
    try:
        second = instance.backup()
        assert second.state == "failure"
        assert "read-only here" in second.by_kind["upload"]["error"]
        assert "Take Over" in second.by_kind["upload"]["hint"]
        instance.shell("env['backup.storage'].search([]).action_take_over(); env.cr.commit()")
        assert instance.backup().state == "success"
    finally:
        instance.database = original


def test_replace_keeps_the_old_one(instance, copy):
    run = instance.backup()
    assert restore(instance, run.archive, copy).returncode == 0
    instance.sql("CREATE TABLE only_here (id int)", database=copy)
    assert restore(instance, run.archive, copy, "--replace").returncode == 0
    before = [name for name in databases(instance) if name.startswith(f"{copy}_before_")]
    try:
        assert len(before) == 1
        assert instance.sql("SELECT to_regclass('only_here')", database=copy) == [(None,)]
    finally:
        for name in before:
            instance.sql(f'DROP DATABASE "{name}" WITH (FORCE)', database="postgres")


def damaged(archive, target):
    """Return a copy of an archive, and of its manifest, with one bit flipped."""
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    path = target / archive.name
    path.write_bytes(content)
    shutil.copy(archive.with_suffix(".json"), target)
    return path


def test_damaged_archive_is_refused_before_anything_is_made(instance, copy, tmp_path):
    run = instance.backup()
    before = databases(instance)
    done = restore(instance, damaged(run.archive, tmp_path), copy)
    assert done.returncode == 1
    assert "checksum" in done.stderr
    assert databases(instance) == before


def test_killed_restore_leaves_nothing_for_the_next(instance, copy, tmp_path):
    run = instance.backup()
    before = databases(instance)
    fault = f"kill:restore.filestore.begin:{tmp_path}/marker"
    done = restore(instance, run.archive, copy, fault=fault)
    assert done.returncode == -9
    assert (tmp_path / "marker").exists()
    assert copy not in databases(instance)
    assert restore(instance, run.archive, copy).returncode == 0
    assert databases(instance) == before | {copy}
    assert not list((instance.data / "filestore").glob("dfr*restore*"))


def test_encrypted_archive(instance, copy, tmp_path):
    said = instance.shell(GENERATE)
    (private,) = [line.split()[1] for line in said.splitlines() if line.startswith("PRIVATE")]
    (tmp_path / "key").write_text(private + "\n")
    run = instance.backup()
    done = restore(instance, run.archive, copy)
    assert done.returncode == 1
    assert "encrypted" in done.stderr and "--identity" in done.stderr
    done = restore(instance, run.archive, copy, "--identity", str(tmp_path / "key"))
    assert done.returncode == 0, done.stderr
    assert private not in done.stderr + done.stdout
    assert list((instance.data / "dfr_backup/fetched").glob("*")) == []


def test_drill_proves_and_leaves_nothing(instance):
    instance.backup()
    before = databases(instance)
    done = instance.odoo("backup", "drill", "-d", instance.database, "--json")
    report = json.loads(done.stdout)
    assert (report["job"]["state"], done.returncode) == ("success", 0), report
    assert [step["kind"] for step in report["steps"]][-3:] == ["compare", "boot", "drop"]
    assert databases(instance) == before
    ((proven, seconds),) = instance.sql("SELECT last_proven, last_proven_seconds FROM backup_plan")
    assert proven and seconds > 0
    assert instance.sql("SELECT proven_at IS NOT NULL FROM backup_copy") == [(True,)]
    assert instance.leftovers() == []


def test_drill_fails_loudly(instance):
    """The archive is whole, and what it holds does not restore."""
    run = instance.backup()
    sidecar = run.archive.with_suffix(".json")
    broken(run.archive, sidecar)
    instance.sql(
        "UPDATE backup_copy SET size = %s, sha256 = %s",
        run.archive.stat().st_size,
        json.loads(sidecar.read_text())["archive"]["sha256"],
    )
    before = databases(instance)
    done = instance.odoo("backup", "drill", "-d", instance.database, "--json")
    report = json.loads(done.stdout)
    assert (report["job"]["state"], done.returncode) == ("failure", 1)
    states = {step["kind"]: step["state"] for step in report["steps"]}
    assert states["load"] == "failure" and states["drop"] == "skipped"
    assert databases(instance) == before
    assert instance.sql("SELECT last_proven FROM backup_plan") == [(None,)]
    assert instance.leftovers() == []


def broken(archive, sidecar):
    """Put a statement that fails into the dump of an archive, and seal it again."""
    import hashlib
    import zipfile

    with zipfile.ZipFile(archive) as source:
        members = {name: source.read(name) for name in source.namelist()}
    members["dump.sql"] = members["dump.sql"].replace(
        b"-- PostgreSQL database dump complete",
        b"SELECT 1 / 0;\n-- PostgreSQL database dump complete",
    )
    members.pop("SHA256SUMS")
    manifest = json.loads(members["manifest.json"])
    manifest["dfr_backup"].pop("members")
    members["manifest.json"] = json.dumps(manifest).encode()
    archive.unlink()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members.items():
            target.writestr(name, content)
    content = json.loads(sidecar.read_text())
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    content["archive"] |= {"size": archive.stat().st_size, "sha256": digest}
    sidecar.write_text(json.dumps(content))


@pytest.mark.parametrize("instant", ["restore.load.end", "restore.filestore.begin"])
def test_killed_drill_goes_on(instance, tmp_path, instant):
    instance.backup()
    before = databases(instance)
    fault = f"kill:{instant}:{tmp_path}/marker"
    done = instance.odoo("backup", "drill", "-d", instance.database, "--json", fault=fault)
    assert (tmp_path / "marker").exists()
    assert json.loads(done.stdout)["job"]["state"] == "success", done.stdout
    assert databases(instance) == before
    assert instance.leftovers() == []


def test_doctor_tells_what_is_wrong(instance):
    instance.backup()
    done = instance.odoo("backup", "doctor", "-d", instance.database)
    assert done.returncode == 0, done.stdout
    assert "FAILED" not in done.stdout
    shutil.rmtree(instance.storage)
    instance.sql("UPDATE backup_plan SET active = false")
    done = instance.odoo("backup", "doctor", "-d", instance.database)
    assert done.returncode == 1
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 2 and "mounted" in failed[1]


def test_restore_from_the_back_office(instance, copy):
    instance.backup()
    wizard = f"""
wizard = env["backup.restore.wizard"].create(
    {{"copy_id": env["backup.copy"].search([]).id, "database": {copy!r}}})
print("FACTS", wizard.facts)
job = wizard.copy_id._request_restore(restore_database=wizard.database, restore_neutralize=True,
                                      restore_new_identity=True)
env.cr.commit()
"""
    assert "FACTS Database" in instance.shell(wizard)
    ((job,),) = instance.sql("SELECT id FROM backup_job WHERE kind = 'restore'")
    with instance.serve():
        assert instance.await_job(job) == "success"
    assert copy in databases(instance)
    assert instance.sql("SELECT DISTINCT state FROM backup_step WHERE job_id = %s", job) == [
        ("success",)
    ]
    assert instance.leftovers() == []


def test_readme_restore_by_hand(instance, copy, tmp_path):
    """The commands of the README, without this addon and without Odoo."""
    run = instance.backup()
    env = {**os.environ, "PGDATABASE": "postgres"}
    script = f"""
set -e
createdb -T template0 -E UTF8 {copy}
unzip -p {run.archive} dump.sql | psql -X -q -1 -v ON_ERROR_STOP=1 -d {copy} >/dev/null
unzip -q {run.archive} 'filestore/*' -d {tmp_path}/unpacked
"""
    subprocess.run(["bash", "-c", script], env=env, check=True)
    for name, rows in run.manifest["dfr_backup"]["rows"].items():
        assert instance.sql(f"SELECT count(*) FROM ONLY {name}", database=copy) == [(rows,)]
    files = run.manifest["dfr_backup"]["attachments"]["files"]
    assert len(list((tmp_path / "unpacked/filestore").glob("??/*"))) == files
