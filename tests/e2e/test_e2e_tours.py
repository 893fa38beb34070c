"""What an administrator does in the browser when something has gone wrong."""

import contextlib
import shutil

from conftest import drop_database
from pages import log_in

LATER = 240_000  # ms, for what takes a server its time
BUSY = ".o_backup_running[data-state=running]"
VERDICT = ".o_backup_verdict"
DIALOG = ".modal-content"


def go(page, instance, path, part):
    page.goto(f"{instance.url}/odoo/{path}")
    page.wait_for_selector(part, timeout=LATER)


def await_state(page, state):
    page.wait_for_selector(
        f".o_arrow_button_current:has-text('{state}')", timeout=LATER
    )


def newest(instance, table):
    return instance.sql(f"SELECT max(id) FROM {table}")[0][0]


def test_cancel_a_run_and_start_it_again(instance, page, tmp_path):
    go_on = tmp_path / "go-on"
    fault = f"hold:archive.checksums.written:{tmp_path}/marker:{go_on}"
    with instance.serve(env=instance.environ(fault)):
        log_in(page, instance)
        go(page, instance, "backups", VERDICT)
        page.click("button:has-text('Run Backup Now')")
        page.wait_for_selector(f"{BUSY}:has-text('Compress and seal')", timeout=LATER)

        page.click(f"{BUSY} button:has-text('Cancel')")
        page.wait_for_selector(f"{DIALOG}:has-text('Stop this run?')")
        page.click(f"{DIALOG} button:has-text('Let It Run')")
        page.wait_for_selector(DIALOG, state="detached")
        assert page.query_selector(BUSY), "it was let run"

        page.click(f"{BUSY} button:has-text('Cancel')")
        page.click(f"{DIALOG} button:has-text('Cancel Backup')")
        page.wait_for_selector(f"{BUSY}:has-text('Stopping')", timeout=LATER)
        go_on.touch()
        page.wait_for_selector(BUSY, state="detached", timeout=LATER)
        page.click(".o_backup_run[data-state=cancelled]", timeout=LATER)
        await_state(page, "Cancelled")
        assert instance.leftovers() == []

        page.click("button:has-text('Run Again')")
        await_state(page, "Success")
    assert page.problems == []


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
        page.wait_for_selector("text=The archive is kept on the server until")
        page.wait_for_selector(".o_form_view .alert-danger:has-text('/etc/nowhere')")
        instance.sql("UPDATE backup_storage SET local_path = %s", str(instance.storage))
        page.click("button:has-text('Retry Upload')")
        await_state(page, "Success")
        page.wait_for_selector(".o_backup_step[data-kind=upload][data-state=success]")
        assert not page.query_selector("button:has-text('Retry Upload'):visible")
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
        page.wait_for_selector(f"{DIALOG}:has-text('Database “{instance.database}”')")
        assert page.input_value(f"{DIALOG} [name=database] input") == copy
        assert page.is_checked(f"{DIALOG} [name=neutralize] input")
        page.uncheck(f"{DIALOG} [name=neutralize] input")
        page.wait_for_selector(f"{DIALOG}:has-text('will send its mails')")
        page.check(f"{DIALOG} [name=neutralize] input")
        page.wait_for_selector(
            f"{DIALOG} >> text=will send its mails", state="detached"
        )

        page.fill(f"{DIALOG} [name=database] input", "no such/name")
        page.click(f"{DIALOG} button:has-text('Restore')")
        page.click(
            ".modal:has-text('Validation Error') .modal-footer button", timeout=LATER
        )
        page.fill(f"{DIALOG} [name=database] input", copy)
        page.click(f"{DIALOG} button:has-text('Restore')")
        page.fill(".modal input[type=password]", "admin", timeout=LATER)
        page.click(".modal button:has-text('Confirm Password')")
        await_state(page, "Success")
        attachments = "SELECT count(*) FROM ir_attachment WHERE name LIKE '%%.bin'"
        assert instance.sql(attachments, database=copy) == [(200,)]
        neutral = "SELECT value FROM ir_config_parameter WHERE key = 'database.is_neutralized'"
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
        assert "something is wrong" in page.inner_text(f"{VERDICT} h1")
        page.wait_for_selector(
            ".o_backup_plan[data-state=overdue] .o_backup_state:has-text('Overdue')"
        )
        page.wait_for_selector(".o_backup_problems >> text=overdue")
        page.wait_for_selector(".o_backup_systray .badge")
        page.click(".o_backup_problems button:has-text('Open Plan')")
        page.wait_for_selector(".o_form_view .alert-danger:has-text('Overdue since')")
        page.go_back()
        page.click("button:has-text('Run Backup Now')", timeout=LATER)
        page.wait_for_selector(".o_backup_plan[data-state=good]", timeout=LATER)
        page.wait_for_selector(".o_backup_systray .badge", state="detached")
    assert page.problems == []
