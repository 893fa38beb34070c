"""What an administrator sees on the first page of the app, and beside the clock."""

import re

import pytest
from pages import await_fit, choose, log_in
from waits import Hold

LATER = 240_000  # ms, for what takes a server its time
BUSY = ".o_backup_running[data-state=running]"
GOOD = ".o_backup_plan[data-state=good]"
VERDICT = ".o_backup_verdict"
RUN_NOW = ".o_backup_plan button[name=action_run_now]"
ALARM = ".o_backup_systray .badge"


def open_overview(page, instance, login="admin"):
    log_in(page, instance, login)
    page.goto(f"{instance.url}/odoo/backups")
    page.wait_for_selector(VERDICT, timeout=LATER)


def make_viewer(instance):
    _model, group = instance.rpc(
        "ir.model.data", "check_object_reference", "dfr_backup", "group_viewer"
    )
    values = {"name": "Vera", "login": "vera", "password": "vera"}
    instance.rpc("res.users", "create", {**values, "group_ids": [(4, group)]})


def test_first_backup_turns_green_by_itself(instance, page, tmp_path):
    ((storage,),) = instance.sql("SELECT name FROM backup_storage")
    hold = Hold(tmp_path, "archive.checksums.written")
    with instance.serve(env=instance.environ(hold.fault)):
        open_overview(page, instance)
        assert page.get_attribute(VERDICT, "data-state") == "none_yet"
        assert page.is_visible(".o_backup_promise")
        assert not page.query_selector(".o_backup_systray button")
        loads = []
        page.on("framenavigated", lambda frame: loads.append(frame.url))
        page.click(RUN_NOW)
        page.wait_for_selector(f"{BUSY}[data-step=compress]", timeout=LATER)
        assert int(page.get_attribute(f"{BUSY} .progress", "aria-valuenow")) > 50
        assert re.search(r"\d+ %", page.inner_text(".o_backup_systray"))
        hold.let_go()
        page.wait_for_selector(GOOD, timeout=LATER)
        page.wait_for_selector(BUSY, state="detached")
        page.wait_for_selector(".o_backup_systray button", state="detached")
        assert loads == [], "the page was loaded anew"
        assert storage in page.inner_text(".o_backup_facts")
        assert len(page.query_selector_all(".o_backup_run[data-state=success]")) == 1
        assert page.get_attribute(VERDICT, "data-state") == "here_only"
    assert page.problems == []


@pytest.mark.release
def test_leaving_the_page_while_a_run_goes_on(instance, page, tmp_path):
    hold = Hold(tmp_path, "archive.checksums.written")
    with instance.serve(env=instance.environ(hold.fault)):
        open_overview(page, instance)
        page.click(RUN_NOW)
        page.wait_for_selector(BUSY, timeout=LATER)
        choose(page, "menu_job")
        state = ".o_data_row [name=state]"
        page.wait_for_selector(f"{state} .text-bg-info", timeout=LATER)
        hold.let_go()
        page.wait_for_selector(f"{state} .text-bg-success", timeout=LATER)
        choose(page, "menu_overview")
        page.wait_for_selector(GOOD)
    assert page.problems == []


@pytest.mark.release
def test_without_a_websocket_the_page_looks_again_and_again(instance, page):
    # several workers, and no proxy that leads /websocket to the process for it
    with instance.serve("--workers", "2"):
        open_overview(page, instance)
        page.click(RUN_NOW)
        page.wait_for_selector(GOOD, timeout=LATER)
    assert page.problems == []


def test_failure_says_why_and_recovery_is_seen(instance, page):
    instance.sql("UPDATE backup_storage SET local_path = '/etc/nowhere'")
    run = instance.backup()
    assert run.state == "failure"
    instance.sql("UPDATE backup_storage SET local_path = %s", str(instance.storage))
    with instance.serve():
        open_overview(page, instance)
        assert page.get_attribute(VERDICT, "data-tone") == "danger"
        problem = page.locator(".o_backup_problems [data-kind=failure]")
        assert problem.get_attribute("data-code") == run.by_kind["upload"]["error_code"]
        assert "/etc/nowhere" in problem.inner_text()
        page.wait_for_selector(ALARM)
        assert page.get_attribute(".o_backup_systray button", "aria-label")
        page.click(".o_backup_systray button")
        page.wait_for_selector(".o_form_view .o_backup_step[data-state=failure]")
        page.go_back()
        page.focus(".o_backup_run")
        page.keyboard.press("Enter")
        page.wait_for_selector(".o_form_view .o_backup_step[data-state=failure]")
        page.go_back()
        page.click(RUN_NOW, timeout=LATER)
        page.wait_for_selector(GOOD, timeout=LATER)
        page.wait_for_selector(".o_backup_problems", state="detached")
        page.wait_for_selector(ALARM, state="detached")
    assert page.problems == []


def test_viewer_sees_and_cannot_do(instance, page):
    assert instance.backup().state == "success"
    with instance.serve():
        make_viewer(instance)
        open_overview(page, instance, "vera")
        assert page.query_selector(GOOD)
        for name in ("action_run_now", "action_dismiss"):
            assert not page.query_selector(f"button[name={name}]")
        assert not page.query_selector(".o_backup_systray")
        for width in (1400, 800, 390):
            page.set_viewport_size({"width": width, "height": 900})
            await_fit(page, ".o_backup_overview")
    assert page.problems == []
