"""What an administrator does in the browser when something has gone wrong."""

import contextlib
import shutil

import pytest
from conftest import drop_database
from pages import log_in, prove_who_you_are
from waits import Hold

LATER = 240_000  # ms, for what takes a server its time
BUSY = ".o_backup_running[data-state=running]"
STOPPING = ".o_backup_running[data-state=stopping]"
RUN_NOW = ".o_backup_plan button[name=action_run_now]"
VERDICT = ".o_backup_verdict"
DIALOG = ".modal-content"
ERROR = ".o_error_dialog"


def go(page, instance, path, part):
    page.goto(f"{instance.url}/odoo/{path}")
    page.wait_for_selector(part, timeout=LATER)


def await_state(page, state):
    page.wait_for_selector(
        f".o_arrow_button_current[data-value={state}]", timeout=LATER
    )


def newest(instance, table):
    return instance.sql(f"SELECT max(id) FROM {table}")[0][0]


@pytest.mark.release
def test_cancel_a_run_and_start_it_again(instance, page, tmp_path):
    hold = Hold(tmp_path, "archive.checksums.written")
    with instance.serve(env=instance.environ(hold.fault)):
        log_in(page, instance)
        go(page, instance, "backups", VERDICT)
        page.click(RUN_NOW)
        page.wait_for_selector(f"{BUSY}[data-step=compress]", timeout=LATER)

        page.click(f"{BUSY} button[name=action_cancel]")
        page.click(f"{DIALOG} .modal-footer .btn-secondary")
        page.wait_for_selector(DIALOG, state="detached")
        assert page.query_selector(BUSY), "it was let run"

        page.click(f"{BUSY} button[name=action_cancel]")
        page.click(f"{DIALOG} .modal-footer .btn-primary")
        page.wait_for_selector(STOPPING, timeout=LATER)
        hold.let_go()
        page.wait_for_selector(STOPPING, state="detached", timeout=LATER)
        page.click(".o_backup_run[data-state=cancelled]", timeout=LATER)
        await_state(page, "cancelled")
        assert instance.leftovers() == []

        page.click("button[name=action_retry]")
        await_state(page, "success")
    assert page.problems == []


@pytest.mark.release
def test_retry_the_upload_of_a_run_that_failed(instance, page):
    instance.sql("UPDATE backup_storage SET local_path = '/etc/nowhere'")
    assert instance.backup().state == "failure"
    with instance.serve():
        log_in(page, instance)
        go(
            page,
            instance,
            f"backup-runs/{newest(instance, 'backup_job')}",
            ".o_backup_step",
        )
        page.wait_for_selector(".o_form_view [name=kept_until]")
        error = page.inner_text(".o_form_view .alert-danger [name=error]")
        assert "/etc/nowhere" in error
        instance.sql("UPDATE backup_storage SET local_path = %s", str(instance.storage))
        page.click("button[name=action_retry]")
        await_state(page, "success")
        page.wait_for_selector(".o_backup_step[data-kind=upload][data-state=success]")
        assert not page.query_selector("button[name=action_retry]")
    assert page.problems == []


def test_restore_from_the_browser(instance, page):
    assert instance.backup().state == "success"
    copy = f"{instance.database}_restored"
    with instance.serve(), dropped(instance, copy):
        log_in(page, instance)
        go(
            page,
            instance,
            f"stored-backups/{newest(instance, 'backup_copy')}",
            ".o_form_sheet",
        )
        page.click("button[name=action_restore]")
        assert instance.database in page.inner_text(f"{DIALOG} [name=facts]")
        assert page.input_value(f"{DIALOG} [name=database] input") == copy
        assert page.is_checked(f"{DIALOG} [name=neutralize] input")
        page.uncheck(f"{DIALOG} [name=neutralize] input")
        page.wait_for_selector(f"{DIALOG} [name=not_neutralized]")
        page.check(f"{DIALOG} [name=neutralize] input")
        page.wait_for_selector(f"{DIALOG} [name=not_neutralized]", state="detached")

        page.fill(f"{DIALOG} [name=database] input", "no such/name")
        page.click(f"{DIALOG} button[name=action_make]")
        page.click(f"{ERROR} .modal-footer .btn-primary", timeout=LATER)
        page.fill(f"{DIALOG} [name=database] input", copy)
        page.click(f"{DIALOG} button[name=action_make]")
        prove_who_you_are(page, LATER)
        await_state(page, "success")
        attachments = "SELECT count(*) FROM ir_attachment WHERE name LIKE '%%.bin'"
        assert instance.sql(attachments, database=copy) == [(200,)]
        neutral = (
            "SELECT value FROM ir_config_parameter"
            " WHERE key = 'database.is_neutralized'"
        )
        assert instance.sql(neutral, database=copy) == [("true",)]
    assert page.problems == []


@contextlib.contextmanager
def dropped(instance, database):
    """Drop a database and its files in the end."""
    try:
        yield
    finally:
        drop_database(database)
        shutil.rmtree(instance.data / "filestore" / database, ignore_errors=True)


@pytest.mark.release
def test_an_overdue_plan_is_loud(instance, page):
    assert instance.backup().state == "success"
    for table, column in (
        ("backup_job", "date_end"),
        ("backup_plan", "promised_since"),
    ):
        instance.sql(f"UPDATE {table} SET {column} = now() - interval '5 days'")
    with instance.serve():
        log_in(page, instance)
        go(page, instance, "backups", f"{VERDICT}[data-tone=danger]")
        assert page.get_attribute(VERDICT, "data-state") == "alarm"
        page.wait_for_selector(".o_backup_plan[data-state=overdue]")
        overdue = ".o_backup_problems [data-kind=overdue]"
        page.wait_for_selector(overdue)
        page.wait_for_selector(".o_backup_systray .badge")
        page.click(f"{overdue} button[name=action_open]")
        page.wait_for_selector(".o_form_view .alert-danger[name=overdue]")
        page.go_back()
        page.click(RUN_NOW, timeout=LATER)
        page.wait_for_selector(".o_backup_plan[data-state=good]", timeout=LATER)
        page.wait_for_selector(".o_backup_systray .badge", state="detached")
    assert page.problems == []
