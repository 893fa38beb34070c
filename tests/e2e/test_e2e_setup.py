"""The first five minutes: from the empty overview to the first good backup."""

import subprocess
import zipfile

from pages import choose, log_in, prove_who_you_are
from test_e2e_storages import sshd  # noqa: F401

LATER = 240_000  # ms, for what takes a server its time
DIALOG = ".modal .o_backup_setup"
NEXT = ".modal button[name=action_next]"
SET_UP = ".o_backup_verdict button[name=action_set_up]"


def await_page(page, name):
    page.wait_for_selector(f"{DIALOG} [data-page={name}]:visible", timeout=LATER)


def choose_value(page, field, value):
    page.click(f"{DIALOG} [name={field}] .o_radio_item:has([data-value={value}]) label")


def follow(page, point):
    """Unfold a point of the advice, and press its button."""
    item = page.locator(f".o_backup_advice [data-key={point}]")
    if item.locator("details").get_attribute("open") is None:
        item.locator("summary").click()
    item.locator("button[name=action_follow]").click()


def test_guided_set_up_ends_on_the_first_backup(instance, page, tmp_path):
    name = "Second disk"
    with instance.serve():
        log_in(page, instance)
        page.goto(f"{instance.url}/odoo/backups")
        page.click(SET_UP, timeout=LATER)
        await_page(page, "where")
        assert page.is_visible(f"{DIALOG} [name=only_here_alert]")

        page.click(".modal [data-kind=local]")
        page.click(".modal button[name=action_back]")
        page.click(".modal [data-kind=local]")
        page.fill(".modal [name=name] input", name)
        second = instance.data / "dfr_backup/backups/second"
        page.fill(".modal [name=local_path] input", str(second))
        # pressed as by a person: what was typed shows a warning, and moves the button
        page.click(".modal button[name=action_use_in_setup]", delay=200)
        page.wait_for_selector(f"{DIALOG} input:checked + label:has-text('{name}')")
        page.click(NEXT)

        await_page(page, "when")
        page.click(".modal button[name=later]")
        page.wait_for_selector(DIALOG, state="detached")
        page.click(SET_UP)
        await_page(page, "when")
        page.fill(f"{DIALOG} [name=time] input", "03:30")
        page.click(NEXT)

        await_page(page, "who")
        alert = f"{DIALOG} .alert:has([name=alert_trouble])"
        page.wait_for_selector(f"{alert}:visible")
        place = page.locator(NEXT).bounding_box()
        page.fill(f"{DIALOG} [name=my_email] input", "admin@dfr.org")
        page.press(f"{DIALOG} [name=my_email] input", "Tab")
        page.wait_for_selector(alert, state="hidden")
        assert (
            page.locator(NEXT).bounding_box() == place
        )  # or whoever presses it misses it
        page.click(NEXT)

        await_page(page, "safety")
        choose_value(page, "encryption", "recipients")
        page.click(NEXT)
        private = page.locator(".modal .o_field_widget[name=private_key]")
        assert "AGE-SECRET-KEY-1" in private.inner_text()
        assert page.is_disabled(".modal .modal-footer .btn-primary")
        with page.expect_download() as key:
            page.click(".modal button[name=download_key]")
        page.check(".modal [name=kept_elsewhere] input")
        page.click(".modal button[name=action_use]")
        await_page(page, "safety")
        page.click(NEXT)

        await_page(page, "ready")
        said = page.inner_text(DIALOG)
        for value in ("03:30", name, "admin@dfr.org"):
            assert value in said
        with page.expect_download() as kit:
            page.click(".modal button[name=action_recovery_kit]")
        assert "age1" in kit.value.path().read_text()
        page.click(".modal button[name=action_start]")
        page.wait_for_selector(
            ".o_backup_step[data-kind=cleanup][data-state=success]", timeout=LATER
        )
        plan = "SELECT frequency, time, encryption FROM backup_plan"
        assert instance.sql(plan) == [("daily", 3.5, "recipients")]
        choose(page, "menu_overview")
        page.wait_for_selector(".o_backup_plan[data-state=good]", timeout=LATER)
        assert not page.query_selector(SET_UP)
        for point in ("recent", "setup", "kit", "verification"):
            assert page.query_selector(
                f".o_backup_advice [data-key={point}][data-done]"
            ), point
        archive, sidecar = sorted(instance.stored(second), key=lambda one: one.suffix)
        assert (archive.suffix, sidecar.suffix) == (".age", ".json")
        opened = tmp_path / "opened.zip"
        words = ["age", "-d", "-i", key.value.path(), "-o", opened, archive]
        subprocess.run(words, check=True)
        assert zipfile.is_zipfile(opened)

        follow(page, "drill")
        await_page(page, "safety")
        assert not page.is_visible(f"{DIALOG} .o_backup_setup_pages")
        page.click(".modal button[name=cancel]")
    assert page.problems == []


def test_sftp_server_is_trusted_tried_and_used(instance, page, sshd):  # noqa: F811
    use = ".modal button[name=action_use_in_setup]"
    name = "Branch office"
    with instance.serve():
        log_in(page, instance)
        page.goto(f"{instance.url}/odoo/backups")
        page.wait_for_selector(".o_backup_advice", timeout=LATER)
        follow(page, "off_site")
        await_page(page, "where")
        page.click(".modal [data-kind=sftp]")
        page.fill(".modal [name=name] input", name)
        page.fill(".modal [name=sftp_host] input", "127.0.0.1")
        page.fill(".modal [name=sftp_port] input", str(sshd.port))
        page.fill(".modal [name=sftp_user] input", sshd.user)
        page.fill(".modal [name=sftp_directory] input", "/etc/passwd/nowhere")
        page.fill(".modal [name=sftp_private_key] textarea", sshd.private_key)
        page.click(use)
        page.wait_for_selector(".modal button[name=action_trust_host_key]")
        offered = page.locator(".modal .o_field_widget[name=sftp_offered_fingerprint]")
        assert "SHA256:" in offered.inner_text()
        page.click(".modal button[name=action_trust_host_key]")
        page.click(".modal:not(:has(.o_form_view)) .modal-footer .btn-primary")
        page.wait_for_selector(".modal [name=sftp_fingerprint]")
        page.click(use)
        page.wait_for_selector(
            ".modal .alert-danger [name=last_test_error]", timeout=LATER
        )
        page.fill(".modal [name=sftp_directory] input", str(sshd.data / "from-setup"))
        page.click(use)
        prove_who_you_are(page, LATER)
        page.wait_for_selector(
            f"{DIALOG} input:checked + label:has-text('{name}')", timeout=LATER
        )
        page.click(NEXT)
        page.wait_for_selector(
            # which is a point as soon as backups will leave this server
            ".o_backup_advice [data-key=encryption]",
            state="attached",
            timeout=LATER,
        )
    assert page.problems == []


def test_a_dialog_that_makes_a_key_shows_no_earlier_one(instance, page):
    """Odoo shows a new record as it was the last time, until the server has
    answered."""
    shown = "() => document.querySelector('.modal [name=private_key]')?.innerText ?? ''"
    ((action,),) = instance.sql(
        "SELECT res_id FROM ir_model_data WHERE name = 'backup_key_wizard_action'"
    )
    seen = []

    def answer_late(route):
        page.wait_for_timeout(1500)
        seen.append(page.evaluate(shown))
        route.continue_()

    with instance.serve():
        log_in(page, instance)
        keys = []
        for _ in range(2):
            page.goto(f"{instance.url}/odoo/backup-plans/1")
            page.click(".o_notebook_headers a[name=encryption]")
            page.click(f".o_notebook button[name='{action}']")
            key = page.wait_for_selector(".modal [name=private_key]")
            page.wait_for_timeout(2000)
            keys.append(key.inner_text())
            page.route("**/backup.key.wizard/onchange*", answer_late)
    assert len({*keys}) == 2
    assert seen == [""], "the earlier key"
