"""The first five minutes: from the empty overview to the first good backup."""

from pages import log_in
from test_e2e_storages import sshd  # noqa: F401

LATER = 60_000  # ms, for what takes a server its time
DIALOG = ".modal .o_backup_setup"
NEXT = ".modal button[name=action_next]"


def heading(page, text):
    page.wait_for_selector(f"{DIALOG} h3:visible:has-text('{text}')", timeout=LATER)


def test_guided_set_up_ends_on_the_first_backup(instance, page):
    with instance.serve():
        log_in(page, instance)
        page.goto(f"{instance.url}/odoo/backups")
        page.click("button:has-text('Set Up in Two Minutes')", timeout=LATER)
        heading(page, "Where are the backups kept?")
        assert page.is_visible(f"{DIALOG} .alert:has-text('a fire, a thief')")

        page.click(f"{DIALOG} [name=kind] label:has-text('Local directory')")
        page.click(".modal button[name=action_add_storage]")
        page.click(".modal button:has-text('Back')")
        page.click(".modal button[name=action_add_storage]")
        page.fill(".modal [name=name] input", "Second disk")
        second = instance.data / "dfr_backup/backups/second"
        page.fill(".modal [name=local_path] input", str(second))
        page.click(".modal button[name=action_use_in_setup]")
        page.wait_for_selector(
            f"{DIALOG} input:checked + label:has-text('Second disk')"
        )
        page.click(NEXT)

        heading(page, "When does it run")
        page.click(".modal button:has-text('Later')")
        page.wait_for_selector(DIALOG, state="detached")
        page.click("button:has-text('Go On with the Set-up')")
        heading(page, "When does it run")
        page.fill(f"{DIALOG} [name=time] input", "03:30")
        page.click(NEXT)

        heading(page, "Who hears of a failure?")
        page.wait_for_selector(f"{DIALOG} .alert:visible:has-text('Nobody hears')")
        place = page.locator(NEXT).bounding_box()
        page.fill(f"{DIALOG} [name=my_email] input", "admin@dfr.org")
        page.press(f"{DIALOG} [name=my_email] input", "Tab")
        page.wait_for_selector(
            f"{DIALOG} .alert:has-text('Nobody hears')", state="hidden"
        )
        assert (
            page.locator(NEXT).bounding_box() == place
        )  # or whoever presses it misses it
        page.click(NEXT)

        heading(page, "Can others read the backups")
        page.click(f"{DIALOG} label:has-text('For public keys')")
        page.click(NEXT)
        page.wait_for_selector(".modal [name=private_key] :text('AGE-SECRET-KEY-1')")
        page.check(".modal [name=kept_elsewhere] input")
        page.click(".modal button[name=action_use]")
        heading(page, "Can others read the backups")
        page.click(NEXT)

        heading(page, "This is what will happen")
        said = page.inner_text(DIALOG)
        assert "Every day at 03:30" in said and "Second disk" in said
        assert "admin@dfr.org" in said and "For public keys" in said
        with page.expect_download() as kit:
            page.click(".modal button[name=action_recovery_kit]")
        assert "age1" in kit.value.path().read_text()
        page.click(".modal button[name=action_start]")
        page.wait_for_selector(
            ".o_backup_step[data-kind=cleanup][data-state=success]", timeout=LATER
        )
        page.click(".o_menu_sections >> text=Overview")
        page.wait_for_selector(".o_backup_plan[data-state=good]", timeout=LATER)
        assert not page.query_selector("button:has-text('Set Up in Two Minutes')")
        for point in ("recent", "setup", "copies", "kit", "verification"):
            assert page.query_selector(
                f".o_backup_advice [data-key={point}][data-done]"
            ), point
        stored = [path.suffix for path in second.iterdir()]
        assert sorted(stored) == [".age", ".json"]

        page.click(".o_backup_advice [data-key=drill] button:has-text('Schedule')")
        heading(page, "Can others read the backups")
        assert not page.is_visible(f"{DIALOG} .o_backup_setup_pages")
        page.click(".modal button:has-text('Cancel')")
    assert page.problems == []


def test_sftp_server_is_trusted_tried_and_used(instance, page, sshd):  # noqa: F811
    use = ".modal button[name=action_use_in_setup]"
    with instance.serve():
        log_in(page, instance)
        page.goto(f"{instance.url}/odoo/backups")
        page.click(".o_backup_advice [data-key=off_site] button", timeout=LATER)
        heading(page, "Where are the backups kept?")
        page.click(f"{DIALOG} [name=kind] label:has-text('SFTP')")
        page.click(".modal button[name=action_add_storage]")
        page.fill(".modal [name=sftp_host] input", "127.0.0.1")
        page.fill(".modal [name=sftp_port] input", str(sshd.port))
        page.fill(".modal [name=sftp_user] input", sshd.user)
        page.fill(".modal [name=sftp_directory] input", "/etc/passwd/nowhere")
        page.fill(".modal [name=sftp_private_key] textarea", sshd.private_key)
        page.click(use)
        page.wait_for_selector(
            ".modal [name=sftp_offered_fingerprint]:has-text('SHA256:')"
        )
        page.click(".modal button[name=action_trust_host_key]")
        page.click(
            ".modal:has-text('Is this the fingerprint') .modal-footer .btn-primary"
        )
        page.wait_for_selector(".modal [name=sftp_fingerprint]:has-text('SHA256:')")
        page.click(use)
        page.wait_for_selector(
            ".modal .alert-danger [name=last_test_error]", timeout=LATER
        )
        page.fill(".modal [name=sftp_directory] input", str(sshd.data / "from-setup"))
        page.click(use)
        page.wait_for_selector(
            f"{DIALOG} input:checked + label:has-text('SFTP')", timeout=LATER
        )
        page.click(".modal button:has-text('Save')")
        page.wait_for_selector(
            ".o_backup_advice [data-key=off_site][data-done]", timeout=LATER
        )
    assert page.problems == []
