"""What can cost backups takes the password, in the web client."""

from pages import log_in, prove_who_you_are


def test_saving_asks_for_the_password_and_goes_on(instance, page):
    rules = "SELECT own_retention FROM backup_storage WHERE id = 1"
    with instance.serve():
        log_in(page, instance)
        page.goto(f"{instance.url}/odoo/backup-storages/1")
        page.check("[name=own_retention] input", timeout=90_000)
        page.click(".o_form_button_save")
        page.wait_for_selector(".modal button[name=run_check]")
        assert instance.sql(rules) != [(True,)]
        prove_who_you_are(page)
        page.wait_for_selector(".modal", state="detached")
        page.wait_for_selector(".o_form_button_save", state="hidden")
        assert instance.sql(rules) == [(True,)]
    assert instance.sql("SELECT action, login FROM backup_audit") == [
        ("rules", "admin")
    ]
