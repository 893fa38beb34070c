"""A person looks into a backup and fetches one attachment out of it."""

import os
import sys
import types
from pathlib import Path

import pytest
from conftest import drop_database
from pages import (
    choose,
    choose_from_menu,
    log_in,
    prove_who_you_are,
    serious_findings,
)
from waits import until

package = types.ModuleType("dfr_backup")
package.__path__ = [str(Path(__file__).resolve().parents[2] / "dfr_backup")]
sys.modules.setdefault("dfr_backup", package)

from dfr_backup.engine.encryption.files import generate_key  # noqa: E402
from dfr_backup.engine.errors.fetch import KeyNeeded  # noqa: E402

PLAN = ".o_backup_plan"
CHANGE = "INSERT INTO res_partner (name) VALUES ('Changed in the copy')"
CHANGES = "SELECT count(*) FROM res_partner WHERE name = 'Changed in the copy'"


def cell(text):
    """Select the cell of a list that holds the whole text."""
    return f"td[data-tooltip='{text}']"


def picture(page, name):
    """Take a picture for whoever wants to see what the test saw."""
    folder = os.environ.get("DFR_PICTURES")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


@pytest.mark.release
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
        page.goto(f"{instance.url}/odoo/all-backups")
        page.click(".o_data_row td.o_data_cell >> nth=1", timeout=60_000)
        choose_from_menu(page, instance, "backup_backup_action_browse")
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


@pytest.mark.release
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


def staging_states(instance):
    return [s for (s,) in instance.sql("SELECT state FROM backup_staging ORDER BY id")]


@pytest.mark.release
def test_a_staging_copy_is_listed_opened_made_anew_and_deleted(instance, page):
    instance.backup()
    instance.write_conf(db_name=None, dbfilter=f"^{instance.database}")
    finished = ".o_backup_step[data-kind=finish][data-state=success]"
    row = ".o_data_row"
    copy = ""
    try:
        # it would run the scheduled actions of all databases of the server
        with instance.serve("--max-cron-threads", "0"):
            log_in(page, instance)
            page.goto(f"{instance.url}/odoo/backups")
            page.click(f"{PLAN} button[name=action_staging]", timeout=60_000)
            copy = page.input_value(".modal [name=database] input")
            page.fill(".modal [name=keep_days] input", "14")
            page.click(".modal button[name=action_make]:visible")
            prove_who_you_are(page)
            page.wait_for_selector(finished, timeout=240_000)
            # listed
            page.goto(f"{instance.url}/odoo/backups")
            choose(page, "menu_staging")
            page.wait_for_selector(f"{row} {cell(copy)}")
            assert serious_findings(page, ".o_action_manager") == []
            picture(page, "staging_copies")
            oid = "SELECT oid FROM backup_staging"
            before = instance.sql(oid)
            asked = "SELECT oid::text FROM pg_database WHERE datname = %s"
            assert instance.sql(asked, copy) == before
            with page.expect_popup() as opened:
                page.click(f"{row} button[name=action_open]")
            address = f"{instance.url}/web?db={copy}"
            opened.value.close()
            private = page.context.browser.new_context()
            try:
                other = private.new_page()
                other.goto(address)
                other.fill("input[name=login]", "admin")
                other.fill("input[name=password]", "admin")
                other.click("button[type=submit]")
                other.wait_for_selector(".o_main_navbar", timeout=120_000)
                assert other.is_visible(".o_neutralize_banner, #oe_neutralize_banner")
            finally:
                private.close()
            log_in(page, instance)
            page.goto(f"{instance.url}/odoo/staging-copies")
            # made anew, while somebody has changed it
            instance.sql(CHANGE, database=copy)
            assert instance.sql(CHANGES, database=copy) == [(1,)]
            page.click(f"{row} button[name=action_refresh]")
            page.wait_for_selector(".modal [name=replaced_in_words]:visible")
            assert page.input_value(".modal [name=keep_days] input") == "14"
            picture(page, "staging_refresh")
            page.click(".modal button[name=action_make]:visible")
            prove_who_you_are(page)
            page.wait_for_selector(".o_form_view .o_backup_step[data-kind=fetch]")
            page.wait_for_selector(finished, timeout=240_000)
            assert staging_states(instance) == ["ready"]
            assert instance.sql(oid) != before
            assert instance.sql(asked, copy) == instance.sql(oid)
            assert instance.sql(CHANGES, database=copy) == [(0,)]
            assert databases_like(instance, copy) == [copy]  # nothing is kept of it
            # deleted
            page.goto(f"{instance.url}/odoo/staging-copies")
            page.click(f"{row} {cell(copy)}")
            page.wait_for_selector(".o_form_view [name=size]")
            picture(page, "staging_form")
            page.click(".o_form_view button[name=action_ask_delete]")
            page.wait_for_selector(".modal button[name=action_confirm]:visible")
            assert copy in page.inner_text(".modal [name=text]")
            picture(page, "staging_delete")
            page.click(".modal button[name=action_confirm]:visible")
            until(lambda: staging_states(instance) == ["deleted"])
        assert databases_like(instance, copy) == []
        assert not (instance.data / "filestore" / copy).exists()
        noted = "SELECT action FROM backup_audit WHERE res_model = 'backup.staging'"
        assert instance.sql(noted) == [("staging",)]
        assert instance.leftovers() == []
        assert page.problems == []
    finally:
        for name in databases_like(instance, copy) if copy else []:
            drop_database(name)


def databases_like(instance, name):
    like = "SELECT datname FROM pg_database WHERE datname LIKE %s ORDER BY 1"
    return [found for (found,) in instance.sql(like, f"{name}%")]


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
