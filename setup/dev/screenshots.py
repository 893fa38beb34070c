"""Take the pictures of the README from a running demo: screenshots.py URL FOLDER"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


def log_in(page, url):
    page.goto(f"{url}/web/login")
    page.fill("input[name=login]", "admin")
    page.fill("input[name=password]", "admin")
    page.click("button[type=submit]")
    page.wait_for_selector(".o_main_navbar", timeout=90_000)


def take(page, address, selector, path):
    page.goto(address)
    page.wait_for_selector(selector, timeout=60_000)
    page.wait_for_timeout(2000)  # charts are drawn after the page is there
    page.screenshot(path=path)


def main(url, folder):
    folder = Path(folder)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=ARGUMENTS
        )
        page = browser.new_page(viewport={"width": 1400, "height": 860})
        log_in(page, url)
        page.goto(f"{url}/odoo/backup-runs")
        page.wait_for_selector(".o_data_row", timeout=60_000)
        page.click("button:has-text('Run Backup Now')")
        page.wait_for_selector(
            ".o_backup_step[data-kind=cleanup][data-state=success]", timeout=90_000
        )
        page.mouse.move(700, 500)
        page.wait_for_timeout(1500)
        page.screenshot(path=folder / "run.png")
        page.goto(f"{url}/odoo/backup-runs")
        page.wait_for_selector(".o_data_row", timeout=60_000)
        page.wait_for_timeout(1000)
        page.screenshot(path=folder / "list.png")
        take(page, f"{url}/odoo/backups", ".o_backup_overview", folder / "overview.png")
        take(page, f"{url}/odoo/stored-backups", ".o_data_row", folder / "stored.png")
        page.goto(f"{url}/odoo/backup-plans")
        page.click(".o_data_row td.o_data_cell >> nth=1", timeout=60_000)
        page.wait_for_selector(".o_form_view .oe_title")
        page.wait_for_timeout(1000)
        page.screenshot(path=folder / "plan.png")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
