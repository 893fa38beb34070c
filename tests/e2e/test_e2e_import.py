"""Archives from elsewhere: uploaded in a browser, or found beside our own."""

import shutil
import zipfile

import pytest
from pages import log_in, prove_who_you_are

FOUND = """
copy = env["backup.copy"].search([("origin", "=", "odoo")])
wizard = env["backup.restore.wizard"].create(
    {{"copy_id": copy.id, "database": {name!r}}})
print("WARNED", bool(wizard.trouble))
print("TRUSTED", copy.is_trusted)
env["backup.trust"]._trust(copy)
copy._request_restore(restore_database={name!r}, restore_neutralize=True,
                      restore_new_identity=True)
env.cr.commit()
"""
# a shell has no session in which somebody has entered his password
UPLOAD = """
session = {{}}
__import__("odoo.addons.dfr_backup.models.grants", fromlist=["_"])._session = (
    lambda: session)
content = open({path!r}, "rb").read()
wizards = env["backup.import.wizard"]
wizard = wizards.browse(wizards._open()["res_id"])
wizard.start_upload("from elsewhere.zip", len(content), 0)
wizard._receive(0, content)
wizard.finish_upload()
wizard.action_import()
env.cr.commit()
"""


def ours(instance, folder):
    """Return an archive of this addon, of which the storage knows nothing any more."""
    archive = instance.backup().archive
    path = shutil.move(archive, folder / archive.name)
    archive.with_suffix(".json").unlink()
    return path


def odoos(instance, folder):
    path = folder / f"{instance.database}_2026-11-20_02-00-00.zip"
    done = instance.odoo("db", "dump", instance.database, str(path))
    assert done.returncode == 0, done.stderr
    return path


def no_backup(folder):
    path = folder / "pictures.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one.png", "x")
    return path


def step(kind, state):
    return f".o_backup_step[data-kind={kind}][data-state={state}]"


@pytest.mark.release
@pytest.mark.parametrize("make, warned", [(ours, False), (odoos, True)])
def test_upload_and_restore_in_the_browser(
    instance, page, copy, tmp_path, make, warned
):
    path = make(instance, tmp_path)
    with instance.serve():
        log_in(page, instance)
        page.goto(f"{instance.url}/odoo/stored-backups")
        page.click("button[name=action_import]", timeout=60_000)
        prove_who_you_are(page)
        page.wait_for_selector(".o_backup_upload[data-phase=idle]", timeout=60_000)
        page.set_input_files(".o_backup_upload input[type=file]", no_backup(tmp_path))
        page.wait_for_selector(".o_backup_upload[data-phase=failed]", timeout=60_000)
        assert page.inner_text(".o_backup_upload code") == "[OTHER-13]"
        page.set_input_files(".o_backup_upload input[type=file]", path)
        page.wait_for_selector(".o_backup_upload[data-phase=ready]", timeout=60_000)
        facts = page.inner_text(".modal [name=facts]")
        assert instance.database in facts
        assert "19.0" in facts
        assert page.is_visible(".modal [name=trouble]") is warned
        page.click(".modal button[name=action_import]")
        page.wait_for_selector(step("cleanup", "success"), timeout=240_000)
        page.click(".o_form_statusbar button[name=action_restore_imported]")
        page.fill(".modal [name=database] input", copy)
        if warned:  # this database has not made it
            page.check(".modal [name=i_trust] input")
        page.click(".modal button[name=action_make]")
        page.wait_for_selector(step("finish", "success"), timeout=300_000)
    assert page.problems == []
    assert instance.sql("SELECT count(*) FROM ir_cron WHERE active", database=copy) == [
        (1,)
    ]
    rows = "SELECT count(*) FROM ir_attachment WHERE name LIKE '%%.bin'"
    assert instance.sql(rows, database=copy) == [(200,)]
    facts = "SELECT origin, state, plan_id FROM backup_copy WHERE origin != 'run'"
    assert instance.sql(facts) == [("import", "verified", None)]
    assert instance.leftovers() == []


@pytest.mark.release
def test_zip_of_odoo_is_found_beside_our_archives(instance, copy):
    path = odoos(instance, instance.storage)
    opening = ("backup", "open", str(instance.storage), "-d", instance.database)
    assert instance.odoo(*opening).returncode == 0
    with instance.serve():
        scan = instance.rpc("backup.storage", "action_scan", [1])["res_id"]
        assert instance.await_job(scan, timeout=240) == "success"
        ((number, date),) = instance.sql("SELECT id, date::text FROM backup_copy")
        assert date == "2026-11-20 02:00:00"
        verify = instance.rpc("backup.copy", "action_verify", [number])["res_id"]
        assert instance.await_job(verify, timeout=240) == "success"
        assert "WARNED True" in instance.shell(FOUND.format(name=copy))
        ((job,),) = instance.sql("SELECT id FROM backup_job WHERE kind = 'restore'")
        assert instance.await_job(job, timeout=240) == "success"
        scan = instance.rpc("backup.storage", "action_scan", [1])["res_id"]
        assert instance.await_job(scan, timeout=240) == "success"
    assert instance.sql("SELECT state, sha256 IS NOT NULL FROM backup_copy") == [
        ("verified", True)
    ]
    rows = "SELECT count(*) FROM ir_attachment WHERE name LIKE '%%.bin'"
    assert instance.sql(rows, database=copy) == [(200,)]
    assert path.exists()


@pytest.mark.release
@pytest.mark.parametrize("instant", ["import.recorded", "storage.put.written"])
def test_import_that_is_killed_goes_on(instance, tmp_path, instant):
    path = odoos(instance, tmp_path)
    fault = f"kill:{instant}:{tmp_path}/marker"
    code = UPLOAD.format(path=str(path))
    instance.shell(code, fault)
    ((job,),) = instance.sql("SELECT id FROM backup_job WHERE kind = 'import'")
    with instance.serve():
        assert instance.await_job(job, timeout=400) == "success"
    assert (tmp_path / "marker").exists()
    assert instance.sql("SELECT key, state FROM backup_copy") == [
        ("from_elsewhere.zip", "verified")
    ]
    assert (instance.storage / "from_elsewhere.zip").read_bytes() == path.read_bytes()
    assert instance.leftovers() == []
