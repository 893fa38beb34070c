"""A person looks into a backup and fetches one attachment out of it."""

import os
import sys
import types
from pathlib import Path

from conftest import drop_database
from pages import log_in

package = types.ModuleType("dfr_backup")
package.__path__ = [str(Path(__file__).resolve().parents[2] / "dfr_backup")]
sys.modules.setdefault("dfr_backup", package)

from dfr_backup.engine.encryption.files import generate_key  # noqa: E402
from dfr_backup.engine.errors.fetch import KeyNeeded  # noqa: E402

PLAN = ".o_backup_plan"


def cell(text):
    """Select the cell of a list that holds the whole text."""
    return f"td[data-tooltip='{text}']"


def picture(page, name):
    """Take a picture for whoever wants to see what the test saw."""
    folder = os.environ.get("DFR_PICTURES")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def prove_who_you_are(page):
    page.fill(".modal [name=password] input", "admin")
    page.click(".modal button[name=run_check]")


def test_one_attachment_out_of_an_encrypted_backup(instance, page):
    pair = generate_key()
    instance.sql(
        "UPDATE backup_plan SET encryption = 'recipients', age_recipients = %s",
        pair.public,
    )
    run = instance.backup()
    assert run.archive.name.endswith(".zip.age")
    with instance.serve():
        log_in(page, instance)
        page.goto(f"{instance.url}/odoo/stored-backups")
        page.click(".o_data_row td.o_data_cell >> nth=1", timeout=60_000)
        page.click("button[name=action_browse]")
        prove_who_you_are(page)
        page.wait_for_selector(".o_form_view [name=search_text]")
        page.click(".o_notebook .nav-link[name=addons]")
        page.wait_for_selector(f"{cell('dfr_backup')}:visible")
        page.click(".o_notebook .nav-link[name=tables]")
        page.wait_for_selector(f"{cell('backup_copy')}:visible")
        picture(page, "browse_tables")
        page.click(".o_notebook .nav-link[name=facts]")
        picture(page, "browse_facts")
        page.click(".o_notebook .nav-link[name=attachments]")
        page.fill("[name=search_text] input", "7.bin")
        with page.expect_response("**/action_search") as answer:
            page.click("button[name=action_search]")
        error = answer.value.json()["error"]["data"]
        assert error["context"]["error_code"] == KeyNeeded.code
        page.click(".modal .modal-footer .btn-primary")
        page.fill("[name=key] textarea", pair.private)
        page.click("button[name=action_search]")
        page.wait_for_selector(cell("107.bin"))
        picture(page, "browse_hits")
        with page.expect_download(timeout=60_000) as download:
            page.click(f".o_data_row:has({cell('7.bin')}) button[name=action_download]")
        assert download.value.suggested_filename == "7.bin"
        assert Path(download.value.path()).read_bytes() == bytes([7]) * 5000 + b"7"
    assert page.problems == []
    assert instance.leftovers() == []


def test_a_deleted_file_is_put_back_by_a_button(instance, page):
    good = instance.backup()
    assert good.states["archive_files"] == "success"
    (fname,) = instance.sql(
        "SELECT store_fname FROM ir_attachment WHERE name = '7.bin'"
    )[0]
    (instance.filestore / fname).unlink()
    assert instance.backup().states["archive_files"] == "warning"
    with instance.serve():
        log_in(page, instance)
        page.goto(f"{instance.url}/odoo/filestore-health")
        row = f".o_data_row:has({cell('7.bin')})"
        page.wait_for_selector(f"{row} button[name=action_repair]", timeout=60_000)
        picture(page, "health")
        page.click(f"{row} button[name=action_repair]")
        page.wait_for_selector(".modal button[name=action_repair]")
        picture(page, "health_dialog")
        page.click(".modal button[name=action_repair]")
        prove_who_you_are(page)
        page.wait_for_selector(
            ".o_backup_step[data-kind=repair][data-state=success]", timeout=120_000
        )
        assert good.archive.name in page.inner_text(
            ".o_backup_step[data-kind=repair] .o_backup_log"
        )
        picture(page, "health_run")
        page.goto(f"{instance.url}/odoo/filestore-health")
        page.wait_for_selector(".o_view_nocontent", timeout=60_000)
        picture(page, "health_empty")
    assert (instance.filestore / fname).read_bytes() == bytes([7]) * 5000 + b"7"
    assert instance.backup().states["archive_files"] == "success"
    assert page.problems == []
    assert instance.leftovers() == []


def test_a_staging_copy_in_one_click(instance, page):
    instance.backup()
    copies = []
    try:
        with instance.serve():
            log_in(page, instance)
            page.goto(f"{instance.url}/odoo/backups")
            page.click(f"{PLAN} button[name=action_staging]", timeout=60_000)
            page.wait_for_selector(".modal [name=database] input")
            copies.append(page.input_value(".modal [name=database] input"))
            assert copies[0].startswith(f"{instance.database}_staging_")
            assert not page.is_visible(".modal .alert-danger")
            picture(page, "staging_dialog")
            page.click(".modal button[name=action_make]")
            prove_who_you_are(page)
            page.wait_for_selector(
                ".o_backup_step[data-kind=finish][data-state=success]", timeout=240_000
            )
            picture(page, "staging_run")
        uuid = "SELECT value FROM ir_config_parameter WHERE key = 'database.uuid'"
        assert instance.sql(uuid) != instance.sql(uuid, database=copies[0])
        plans = "SELECT count(*) FROM backup_plan WHERE active"
        assert instance.sql(plans, database=copies[0]) == [(0,)]
        neutral = (
            "SELECT value FROM ir_config_parameter"
            " WHERE key = 'database.is_neutralized'"
        )
        assert instance.sql(neutral, database=copies[0])
        assert instance.leftovers() == []
        assert page.problems == []
    finally:
        for name in copies:
            drop_database(name)
