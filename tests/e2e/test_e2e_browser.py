"""A person presses the button in a browser, and watches the steps turn green."""

import pytest
from pages import log_in
from waits import Hold

MOVED = """([selector, before]) =>
    document.querySelector(selector).innerText !== before"""


def test_press_the_button_and_watch(instance, page, tmp_path):
    # it stands still, so that one can see the numbers move
    hold = Hold(tmp_path, "archive.checksums.written")
    with instance.serve(env=instance.environ(hold.fault)):
        log_in(page, instance)
        page.goto(f"{instance.url}/odoo/backup-runs")
        page.wait_for_selector(".o_view_nocontent", timeout=60_000)
        page.click("button[name=action_run_now]")
        # a busy machine needs a while to start the process of the run
        page.wait_for_selector(".o_backup_step[data-state=running]", timeout=90_000)
        page.wait_for_selector(
            ".o_backup_step[data-kind=compress][data-state=running]", timeout=90_000
        )
        page.wait_for_selector("button[name=action_cancel]")
        measures = ".o_backup_step[data-kind=compress] .o_backup_measures"
        page.wait_for_function(MOVED, arg=[measures, page.inner_text(measures)])
        hold.let_go()
        page.wait_for_selector(
            ".o_backup_step[data-kind=cleanup][data-state=success]", timeout=60_000
        )
        states = page.eval_on_selector_all(
            ".o_backup_step", "steps => steps.map(step => step.dataset.state)"
        )
        assert states == ["success"] * 7
        page.wait_for_selector(
            ".o_statusbar_status .o_arrow_button_current[data-value=success]"
        )
        page.click(".o_notebook .nav-link[name=copies]")
        page.wait_for_selector("[name=copy_ids] .o_data_row [name=state] .badge")
        assert instance.sql("SELECT state FROM backup_copy") == [("verified",)]
        page.click(".o_notebook .nav-link[name=steps]")
        page.click(".o_backup_step[data-kind=dump_database] summary")
        ((log,),) = instance.sql(
            "SELECT log FROM backup_step WHERE kind = 'dump_database'"
        )
        assert log
        assert page.inner_text(".o_backup_log >> visible=true").strip() == log.strip()
    assert page.problems == []


@pytest.mark.release
def test_a_failure_says_what_to_do(instance, page):
    instance.superuser("CREATE TABLE secret_table (id int)")
    run = instance.backup()
    assert run.state == "partial"
    with instance.serve():
        log_in(page, instance)
        page.goto(f"{instance.url}/odoo/backup-runs")
        name = run.report["job"]["name"]
        page.click(f"td[name=name]:has-text('{name}')", timeout=60_000)
        step = ".o_backup_step[data-kind=dump_database]"
        page.wait_for_selector(f"{step}[data-state=failure]")
        said = ".o_form_view .alert-danger"
        assert page.inner_text(f"{said} [name=error_code]") == "DUMP-08"
        assert "public.secret_table" in page.inner_text(f"{said} [name=error]")
        assert "GRANT" in page.inner_text(f"{said} [name=hint]")
        assert not page.query_selector(f"{step} .o_backup_error"), "it is said twice"
        assert "secret_table" in page.inner_text(f"{step} .o_backup_log")
        for view in ("kanban", "graph", "pivot"):
            page.goto(f"{instance.url}/odoo/backup-runs")
            page.click(f".o_switch_view.o_{view}", timeout=60_000)
            page.wait_for_selector(f".o_{view}_view")
        for path in ("backup-plans", "backup-storages", "stored-backups"):
            page.goto(f"{instance.url}/odoo/{path}")
            page.click(".o_data_row td.o_data_cell >> nth=1", timeout=60_000)
            page.wait_for_selector(".o_form_view")
    assert page.problems == []
