"""What an administrator sees on the first page of the app, and beside the clock."""

import re

from pages import await_fit, log_in

LATER = 60_000  # ms, for what takes a server its time
BUSY = ".o_backup_running[data-state=running]"
GOOD = ".o_backup_plan[data-state=good]"
ALARM = ".o_backup_systray .badge"


def open_overview(page, instance, login="admin"):
    log_in(page, instance, login)
    page.goto(f"{instance.url}/odoo/backups")
    page.wait_for_selector(".o_backup_verdict", timeout=LATER)


def slow(instance, tmp_path, seconds):
    """Return an environment in which a run waits in the middle, once, to be looked
    at."""
    fault = f"pause:archive.checksums.written:{tmp_path}/marker:{seconds}"
    return instance.environ(fault)


def make_viewer(instance):
    _model, group = instance.rpc(
        "ir.model.data", "check_object_reference", "dfr_backup", "group_viewer"
    )
    values = {"name": "Vera", "login": "vera", "password": "vera"}
    instance.rpc("res.users", "create", {**values, "group_ids": [(4, group)]})


def test_first_backup_turns_green_by_itself(instance, page, tmp_path):
    with instance.serve(env=slow(instance, tmp_path, 6)):
        open_overview(page, instance)
        assert "no backup yet" in page.inner_text(".o_backup_verdict h1")
        assert "The first backup runs" in page.inner_text(".o_backup_promise")
        assert not page.query_selector(".o_backup_systray button")
        loads = []
        page.on("framenavigated", lambda frame: loads.append(frame.url))
        page.click("button:has-text('Run Backup Now')")
        page.wait_for_selector(f"{BUSY}:has-text('Compress and seal')", timeout=LATER)
        assert int(page.get_attribute(f"{BUSY} .progress", "aria-valuenow")) > 50
        assert re.search(r"\d+ %", page.inner_text(".o_backup_systray"))
        page.wait_for_selector(GOOD, timeout=LATER)
        page.wait_for_selector(BUSY, state="detached")
        page.wait_for_selector(".o_backup_systray button", state="detached")
        assert loads == [], "the page was loaded anew"
        assert "This server" in page.inner_text(".o_backup_facts")
        assert len(page.query_selector_all(".o_backup_run[data-state=success]")) == 1
        assert "on this server only" in page.inner_text(".o_backup_verdict h1")
    assert page.problems == []


def test_leaving_the_page_while_a_run_goes_on(instance, page, tmp_path):
    with instance.serve(env=slow(instance, tmp_path, 4)):
        open_overview(page, instance)
        page.click("button:has-text('Run Backup Now')")
        page.wait_for_selector(BUSY, timeout=LATER)
        page.click(".o_menu_sections >> text=Runs")
        page.wait_for_selector(".o_data_row:has-text('Running')", timeout=LATER)
        page.wait_for_selector(".o_data_row:has-text('Success')", timeout=LATER)
        page.click(".o_menu_sections >> text=Overview")
        page.wait_for_selector(GOOD)
    assert page.problems == []


def test_without_a_websocket_the_page_looks_again_and_again(instance, page):
    # several workers, and no proxy that leads /websocket to the process for it
    with instance.serve("--workers", "2"):
        open_overview(page, instance)
        page.click("button:has-text('Run Backup Now')")
        page.wait_for_selector(GOOD, timeout=LATER)
    assert page.problems == []


def test_failure_says_why_and_recovery_is_seen(instance, page):
    instance.sql("UPDATE backup_storage SET local_path = '/etc/nowhere'")
    assert instance.backup().state == "failure"
    instance.sql("UPDATE backup_storage SET local_path = %s", str(instance.storage))
    with instance.serve():
        open_overview(page, instance)
        assert page.get_attribute(".o_backup_verdict", "data-tone") == "danger"
        assert "/etc/nowhere" in page.inner_text(".o_backup_problems")
        page.wait_for_selector(ALARM)
        assert "the last run failed" in page.get_attribute(
            ".o_backup_systray button", "aria-label"
        )
        page.click(".o_backup_systray button")
        page.wait_for_selector(".o_form_view .o_backup_step[data-state=failure]")
        page.go_back()
        page.focus(".o_backup_run")
        page.keyboard.press("Enter")
        page.wait_for_selector(".o_form_view .o_backup_step[data-state=failure]")
        page.go_back()
        page.click("button:has-text('Run Backup Now')", timeout=LATER)
        page.wait_for_selector(GOOD, timeout=LATER)
        page.wait_for_selector(".o_backup_problems", state="detached")
        page.wait_for_selector(ALARM, state="detached")
    assert page.problems == []


def test_viewer_sees_and_cannot_do(instance, page):
    assert instance.backup().state == "success"
    with instance.serve():
        group = instance.rpc(
            "ir.model.data", "check_object_reference", "dfr_backup", "group_viewer"
        )
        values = {"name": "Vera", "login": "vera", "password": "vera"}
        instance.rpc("res.users", "create", {**values, "group_ids": [(4, group[1])]})
        open_overview(page, instance, "vera")
        assert page.query_selector(GOOD)
        assert not page.query_selector("button:has-text('Run Backup Now')")
        assert not page.query_selector("button:has-text('Not Needed')")
        assert not page.query_selector(".o_backup_systray")
        for width in (1400, 800, 390):
            page.set_viewport_size({"width": width, "height": 900})
            await_fit(page, ".o_backup_overview")
    assert page.problems == []
