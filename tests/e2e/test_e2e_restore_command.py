"""Restores and drills, by the command line and by the back office."""

import hashlib
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from conftest import Instance, drop_database, message_values

GENERATE = """
from odoo.addons.dfr_backup.engine.encryption.files import generate_key
pair = generate_key()
print("PRIVATE", pair.private)
env["backup.plan"].search([]).write(
    {"encryption": "recipients", "age_recipients": pair.public})
env.cr.commit()
"""
CUSTOM = {"addons/shop_theme/__manifest__.py": "{}"}


def restore(instance, archive, copy, *options, **more):
    return instance.odoo(
        "backup", "restore", str(archive), "--to", copy, *options, **more
    )


def databases(instance):
    """Return the databases of this test; a scratch one has a marker as long as it is
    there."""
    rows = instance.sql("SELECT datname FROM pg_database", database="postgres")
    markers = {path.name for path in (instance.data / "dfr_backup/restores").glob("*")}
    return {name for (name,) in rows if name.startswith(instance.database)} | markers


@pytest.mark.release
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
    assert instance.sql(
        "SELECT count(*) FROM backup_plan WHERE active", database=copy
    ) == [(0,)]
    assert instance.sql("SELECT state FROM backup_job", database=copy) == [
        ("cancelled",)
    ]
    again = restore(instance, run.archive, copy, "--json")
    assert again.returncode == 1
    report = json.loads(again.stdout)
    assert report["error_code"] == "RESTORE-19"
    assert report["hint"]
    assert list((instance.data / "dfr_backup/restores").glob("*")) == []


@pytest.mark.parametrize("content, code", [(None, "ARCHIVE-10"), ("[]", "FETCH-11")])
def test_list_has_archives_without_a_usable_manifest(instance, content, code):
    run = instance.backup()
    beside = run.archive.with_suffix(".json")
    beside.unlink()
    if content:
        beside.write_text(content)
    done = instance.odoo("backup", "list", "--storage", str(instance.storage), "--json")
    (found,) = json.loads(done.stdout)
    assert (done.returncode, found["problem_code"]) == (1, code)
    assert found["key"] in (run.archive.name, beside.name)


def test_restored_copy_neither_stores_nor_deletes(instance, copy):
    """It takes the place of the original once that is out of use, and the operator
    has opened the location."""
    run = instance.backup()
    assert restore(instance, run.archive, copy).returncode == 0
    instance.write_conf(db_name=copy)
    instance.sql("UPDATE backup_plan SET active = true", database=copy)
    location = instance.storage
    original, instance.database = instance.database, copy
    take_over = "env['backup.storage'].search([]).action_take_over(); env.cr.commit()"
    try:
        second = instance.backup()
        assert second.state == "failure"
        assert second.by_kind["upload"]["error_code"] == "STORAGE-09"
        done = instance.odoo("shell", "-d", copy, "--no-http", text=take_over)
        assert "IDENTITY-04" in done.stderr
        instance.sql(f'ALTER DATABASE "{original}" ALLOW_CONNECTIONS false')
        instance.shell(take_over)
        opening = ("backup", "open", str(location), "-d", copy)
        assert instance.odoo(*opening).returncode == 0
        assert instance.backup().state == "success"
    finally:
        instance.database = original
        instance.sql(
            f'ALTER DATABASE "{original}" ALLOW_CONNECTIONS true', database="postgres"
        )


LOOK_AROUND = """
from odoo.addons.dfr_backup.engine.errors import EngineError
storage = env["backup.storage"].with_context(active_test=False).search([])
def told(use):
    try:
        return use()
    except EngineError as error:
        return error.code
print("READ", told(lambda: {found.key for found in storage._get_storage().list()}))
print("WRITE", told(lambda: storage._get_own_storage().admit()))
"""


@pytest.mark.release
@pytest.mark.parametrize(
    "option, refusal",
    [("--same-identity", "PLACE-01"), ("--neutralize", "STORAGE-09")],
)
def test_on_a_new_server_it_reads_where_its_backup_was(
    instance, copy, tmp_path, option, refusal
):
    """The server knows nothing of the location yet."""
    run = instance.backup()
    before = {path.name: path.read_bytes() for path in instance.storage.iterdir()}
    folder = tmp_path / "new"
    folder.mkdir()
    there = Instance(copy, folder)
    there.write_conf(dfr_backup_local_roots=str(instance.storage.parent))
    done = restore(there, run.archive, copy, option)
    assert done.returncode == 0, done.stderr
    said = there.shell(LOOK_AROUND)
    assert run.archive.name in said
    assert f"WRITE {refusal}" in said
    after = {path.name: path.read_bytes() for path in instance.storage.iterdir()}
    assert after == before


@pytest.mark.release
def test_zip_of_odoo_without_all_attachments(instance, copy, tmp_path):
    """They are counted, and what is there is restored when somebody says so."""
    without, lacking = tmp_path / "without.zip", tmp_path / "lacking.zip"
    dump = ("db", "dump", instance.database)
    assert instance.odoo(*dump, str(without), "--no-filestore").returncode == 0
    names = "SELECT store_fname, count(*) FROM ir_attachment WHERE store_fname IS NOT"
    rows = instance.sql(f"{names} NULL GROUP BY 1 ORDER BY 2 DESC")
    path = instance.filestore / rows[0][0]
    path.rename(tmp_path / "away")
    assert instance.odoo(*dump, str(lacking)).returncode == 0
    (tmp_path / "away").rename(path)
    for archive, accept in (
        (without, "no_attachments"),
        (lacking, "attachments_missing"),
    ):
        refused = json.loads(restore(instance, archive, copy, "--json").stdout)
        assert refused["accept"] == accept
        assert str(sum(count for _name, count in rows)) in refused["error"]
    said = restore(instance, lacking, copy)
    assert said.returncode == 1
    assert f"--accept {accept}" in said.stderr
    assert f" {rows[0][1]} " in said.stderr
    done = restore(instance, lacking, copy, "--accept", accept, "--json")
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout)["steps"][-1]
    assert last["kind"] == "let_read"
    assert last["log"], "a folder of nobody was opened in silence"
    count = "SELECT count(*) FROM ir_attachment"
    assert instance.sql(count, database=copy) == instance.sql(count)


def test_replace_keeps_the_old_one(instance, copy):
    run = instance.backup()
    assert restore(instance, run.archive, copy).returncode == 0
    instance.sql("CREATE TABLE only_here (id int)", database=copy)
    done = restore(instance, run.archive, copy, "--replace", "--json")
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)["steps"]
    assert [step["kind"] for step in steps[-2:]] == ["boot", "let_read"]
    assert steps[-1]["log"] == []  # it was opened
    before = [
        name for name in databases(instance) if name.startswith(f"{copy}_before_")
    ]
    try:
        assert before == [json.loads(done.stdout)["former"]["database"]]
        assert instance.sql("SELECT to_regclass('only_here')", database=copy) == [
            (None,)
        ]
    finally:
        for name in before:
            drop_database(name)


@pytest.mark.release
def test_replacement_that_does_not_boot_is_taken_back(instance, copy, tmp_path):
    run = instance.backup()
    assert restore(instance, run.archive, copy).returncode == 0
    instance.sql("CREATE TABLE only_here (id int)", database=copy)
    before = databases(instance)
    breaking = b"ALTER TABLE public.res_partner DROP COLUMN email CASCADE;"
    changed(run.archive, breaking, **CUSTOM)
    folder = tmp_path / "addons"
    done = restore(instance, run.archive, copy, "--replace", "--addons", str(folder))
    assert done.returncode == 1
    assert list(folder.iterdir()) == []
    assert "[CLI-06]" in done.stderr
    assert "res_partner.email" in done.stderr
    assert databases(instance) == before
    assert instance.sql("SELECT count(*) FROM only_here", database=copy) == [(0,)]
    assert len(list((instance.data / "filestore").iterdir())) == 2
    assert list((instance.data / "dfr_backup/restores").glob("*")) == []


@pytest.mark.release
def test_addons_that_cannot_be_unpacked_leave_the_old_one(instance, copy, tmp_path):
    run = instance.backup()
    changed(run.archive, **CUSTOM)
    assert restore(instance, run.archive, copy).returncode == 0
    instance.sql("CREATE TABLE only_here (id int)", database=copy)
    before = databases(instance)
    folder = tmp_path / "addons"
    folder.mkdir(mode=0o555)
    done = restore(instance, run.archive, copy, "--replace", "--addons", str(folder))
    assert done.returncode == 1
    assert databases(instance) == before
    assert instance.sql("SELECT count(*) FROM only_here", database=copy) == [(0,)]


def damaged(archive, target):
    """Return a copy of an archive, and of its manifest, with one bit flipped."""
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    path = target / archive.name
    path.write_bytes(content)
    shutil.copy(archive.with_suffix(".json"), target)
    return path


def test_damaged_archive_is_refused_and_nothing_of_it_stays(instance, copy, tmp_path):
    run = instance.backup()
    before = databases(instance)
    done = restore(instance, damaged(run.archive, tmp_path), copy)
    assert done.returncode == 1
    assert "[FETCH-04]" in done.stderr
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


@pytest.mark.release
def test_encrypted_archive(instance, copy, tmp_path):
    said = instance.shell(GENERATE)
    (private,) = [
        line.split()[1] for line in said.splitlines() if line.startswith("PRIVATE")
    ]
    (tmp_path / "key").write_text(private + "\n")
    run = instance.backup()
    done = restore(instance, run.archive, copy)
    assert done.returncode == 1
    assert "[FETCH-05]" in done.stderr
    assert "--identity" in done.stderr
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
    assert [step["kind"] for step in report["steps"]][-3:] == [
        "compare",
        "boot",
        "drop",
    ]
    assert databases(instance) == before
    ((proven, seconds),) = instance.sql(
        "SELECT last_proven, last_proven_seconds FROM backup_plan"
    )
    assert proven
    assert seconds > 0
    assert instance.sql("SELECT proven_at IS NOT NULL FROM backup_copy") == [(True,)]
    assert instance.leftovers() == []


def test_drill_fails_loudly(instance):
    """The archive is whole, and what it holds does not restore."""
    run = instance.backup()
    changed(run.archive, b"CREATE TABLE t AS SELECT 1 / 0;")
    tell(instance, run.archive)
    before = databases(instance)
    done = instance.odoo("backup", "drill", "-d", instance.database, "--json")
    report = json.loads(done.stdout)
    assert (report["job"]["state"], done.returncode) == ("failure", 1)
    steps = {step["kind"]: step for step in report["steps"]}
    assert (steps["load"]["state"], steps["drop"]["state"]) == ("failure", "skipped")
    assert steps["load"]["error_code"] == "RESTORE-07"
    assert databases(instance) == before
    assert instance.sql("SELECT last_proven FROM backup_plan") == [(None,)]
    assert instance.leftovers() == []


def changed(archive, statement=b"", modules=(), **files):
    """Put a statement at the end of the dump of an archive, and more files; seal it
    again."""
    with zipfile.ZipFile(archive) as source:
        members = {name: source.read(name) for name in source.namelist()}
    end = b"-- PostgreSQL database dump complete"
    members["dump.sql"] = members["dump.sql"].replace(end, statement + b"\n" + end)
    members.pop("SHA256SUMS")
    manifest = json.loads(members["manifest.json"])
    manifest["dfr_backup"].pop("members")
    manifest["modules"] |= dict.fromkeys(modules, "19.0.1.0")
    members["manifest.json"] = json.dumps(manifest).encode()
    archive.unlink()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in {**members, **files}.items():
            target.writestr(name, content)
    sidecar = archive.with_suffix(".json")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    sealed = json.loads(sidecar.read_text())["archive"]
    sealed |= {"size": archive.stat().st_size, "sha256": digest}
    sidecar.write_text(json.dumps({**manifest, "archive": sealed}))


def tell(instance, archive):
    """Let the catalogue take a changed archive for the one that was stored."""
    sealed = json.loads(archive.with_suffix(".json").read_text())["archive"]
    query = "UPDATE backup_copy SET size = %s, sha256 = %s, manifest_sha256 = NULL"
    instance.sql(query, sealed["size"], sealed["sha256"])
    instance.sql("UPDATE backup_job SET archive_sha256 = %s", sealed["sha256"])


@pytest.mark.release
@pytest.mark.parametrize("instant", ["restore.load.end", "restore.filestore.begin"])
def test_killed_drill_goes_on(instance, tmp_path, instant):
    instance.backup()
    before = databases(instance)
    fault = f"kill:{instant}:{tmp_path}/marker"
    done = instance.odoo(
        "backup", "drill", "-d", instance.database, "--json", fault=fault
    )
    assert (tmp_path / "marker").exists()
    assert json.loads(done.stdout)["job"]["state"] == "success", done.stdout
    assert databases(instance) == before
    assert instance.leftovers() == []


def test_doctor_tells_what_is_wrong(instance):
    instance.backup()
    status, checks = doctor(instance)
    assert status == 0, checks
    assert all(check["ok"] for check in checks)
    shutil.rmtree(instance.storage)
    instance.sql("UPDATE backup_plan SET active = false")
    status, checks = doctor(instance)
    assert status == 1
    failed = [check["error_code"] for check in checks if not check["ok"]]
    assert failed == [None, "LOCAL-07"]  # no plan is in use; no directory
    shown = instance.odoo("backup", "doctor", "-d", instance.database)
    assert shown.returncode == 1
    assert "[LOCAL-07]" in shown.stdout


def doctor(instance):
    done = instance.odoo("backup", "doctor", "-d", instance.database, "--json")
    return done.returncode, json.loads(done.stdout)


REQUEST = """
import json
wizard = env["backup.restore.wizard"].create(
    {{"copy_id": env["backup.copy"].search([]).id, "database": {name!r}}})
print("SAID", json.dumps([wizard.facts, wizard.trouble]))
job = wizard.copy_id._request_restore(
    restore_database=wizard.database, restore_neutralize=True,
    restore_new_identity=True, restore_addons={addons!r}, restore_accepted={accepted!r})
env.cr.commit()
"""


def request(instance, copy, addons=False, accepted=(), fault=None):
    """Ask for a restore as the form does; return the number of its run, and what the
    form said about the archive: what it holds, and what is wrong with it."""
    code = REQUEST.format(name=copy, addons=addons, accepted=list(accepted))
    output = instance.shell(code, fault)
    ((job,),) = instance.sql("SELECT id FROM backup_job WHERE kind = 'restore'")
    (said,) = [line for line in output.splitlines() if line.startswith("SAID")]
    return job, *json.loads(said.removeprefix("SAID"))


def test_restore_from_the_back_office(instance, copy):
    instance.backup()
    job, facts, trouble = request(instance, copy)
    assert instance.database in facts
    assert not trouble
    with instance.serve():
        assert instance.await_job(job, timeout=300) == "success"
    assert copy in databases(instance)
    assert instance.sql(
        "SELECT DISTINCT state FROM backup_step WHERE job_id = %s", job
    ) == [("success",)]
    known = "SELECT count(*) > 50 FROM pg_stats WHERE schemaname = 'public'"
    assert instance.sql(known, database=copy) == [(True,)]
    assert instance.leftovers() == []


def test_restore_from_the_back_office_compares(instance, copy):
    """Rows are gone, and the checksums in the archive were made to fit."""
    run = instance.backup()
    with zipfile.ZipFile(run.archive) as archive:
        rows = archive.read("dump.sql").splitlines(keepends=True)
    fewer = b"".join(row for row in rows if b".bin\t" not in row)
    changed(run.archive, **{"dump.sql": fewer})
    tell(instance, run.archive)
    job, _facts, _trouble = request(instance, copy)
    with instance.serve():
        assert instance.await_job(job, timeout=300) == "failure"
    states = "SELECT kind, state FROM backup_step WHERE job_id = %s"
    found = dict(instance.sql(states, job))
    assert (found["load"], found["compare"]) == ("success", "failure")
    assert found["finish"] == "skipped"
    code = "SELECT error_code FROM backup_job WHERE id = %s"
    assert instance.sql(code, job) == [("RESTORE-17",)]
    assert copy not in databases(instance)
    assert instance.leftovers() == []


@pytest.mark.release
def test_run_that_is_killed_when_its_database_has_its_name_ends_well(
    instance, copy, tmp_path
):
    instance.backup()
    fault = f"kill:restore.publish.after:{tmp_path}/marker"
    job, *_said = request(instance, copy, fault=fault)
    with instance.serve():
        assert instance.await_job(job, timeout=400) == "success"
    assert (tmp_path / "marker").exists()
    steps = (
        "SELECT kind, state FROM backup_step WHERE job_id = %s AND state != 'success'"
    )
    assert instance.sql(steps, job) == []
    ((log,),) = instance.sql(
        "SELECT log_values FROM backup_step WHERE job_id = %s AND kind = 'finish'", job
    )
    assert log
    # it was not done again: nothing but the two interruptions is told
    assert all(set(line.get("values", {})) <= {"attempt"} for line in log)
    assert databases(instance) == {instance.database, copy}
    assert instance.leftovers() == []


@pytest.mark.release
def test_custom_addons_are_unpacked_where_no_odoo_loads_them(instance, copy, tmp_path):
    """Also when the run is killed once they are there, and begins again."""
    run = instance.backup()
    files = {
        "addons/shop_theme/__manifest__.py": "{}",
        "addons/base/__manifest__.py": "{}",
    }
    changed(run.archive, modules=["shop_theme", "shop_gone"], **files)
    tell(instance, run.archive)
    fault = f"kill:step.addons.end:{tmp_path}/marker"
    accepted = ["modules_missing"]
    job, _facts, trouble = request(
        instance, copy, addons=True, accepted=accepted, fault=fault
    )
    names = "shop_gone, shop_theme"
    assert names in trouble
    with instance.serve():
        assert instance.await_job(job, timeout=400) == "success"
    assert (tmp_path / "marker").exists()
    (folder,) = (instance.data / "dfr_backup/addons").iterdir()
    assert {"base", "shop_theme"} < {path.name for path in folder.iterdir()}
    ((state, log),) = instance.sql(
        "SELECT state, log_values FROM backup_step"
        " WHERE job_id = %s AND kind = 'addons'",
        job,
    )
    assert state == "warning"
    noted = [values for line in log for values in message_values(line)]
    assert {"names": names} in noted  # the database needs them
    assert {"names": "shop_gone"} in noted  # and the archive does not have it
    said = [values.get("line") for values in noted]
    # told once by each of the two attempts, with the same words
    (line,) = {line for line in said if isinstance(line, str)}
    assert line.startswith("addons_path = ")
    assert line.endswith(f",{folder}")


EACH_FILE = "Then each file in it can be checked"


def commands(after):
    """Return the lines of the first block of the page that follows some words."""
    page = Path(__file__).parents[2].joinpath("docs/restore-by-hand.rst").read_text()
    block = page.partition(after)[2].partition("::\n\n")[2].partition("\n\n")[0]
    lines = [line.strip() for line in block.splitlines()]
    assert lines, after
    assert all(lines), after
    return lines


def do(lines, instance, folder, **names):
    """Run commands of the page as they stand, with the names that a reader puts
    in."""
    script = "\n".join(["set -e", *lines])
    for name, value in names.items():
        script = script.replace(name, str(value))
    script = script.replace("<data_dir>", str(instance.data)).replace(
        "ARCHIVE.zip", "archive.zip"
    )
    env = {**os.environ, "PGDATABASE": "postgres", "ODOO_RC": str(instance.conf)}
    done = subprocess.run(
        ["bash", "-c", script],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, script + done.stdout + done.stderr


def test_restore_by_hand(instance, copy, tmp_path):
    """The commands of docs/restore-by-hand.rst, as they stand, without this addon."""
    run = instance.backup()
    shutil.copy(run.archive, tmp_path / "archive.zip")
    do(commands(EACH_FILE), instance, tmp_path)
    *steps, neutralize = commands("With psql\n=")
    do(steps, instance, tmp_path, NEWDB=copy)
    for name, rows in run.manifest["dfr_backup"]["rows"].items():
        assert instance.sql(f"SELECT count(*) FROM ONLY {name}", database=copy) == [
            (rows,)
        ]
    files = run.manifest["dfr_backup"]["attachments"]["files"]
    assert len(list((instance.data / "filestore" / copy).glob("??/*"))) == files
    do([neutralize], instance, tmp_path, NEWDB=copy)
    assert instance.sql("SELECT count(*) FROM ir_cron WHERE active", database=copy) == [
        (1,)
    ]


def test_decrypt_by_hand(instance, tmp_path):
    said = instance.shell(GENERATE)
    (private,) = [
        line.split()[1] for line in said.splitlines() if line.startswith("PRIVATE")
    ]
    (tmp_path / "key").write_text(private + "\n")
    run = instance.backup()
    shutil.copy(run.archive, tmp_path / "archive.zip.age")
    names = {"PRIVATE-KEY-FILE": "key"}
    do(commands("Decrypt it\n="), instance, tmp_path, **names)
    (tmp_path / "backup.zip").rename(tmp_path / "archive.zip")
    do(commands(EACH_FILE), instance, tmp_path)
