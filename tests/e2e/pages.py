"""A real browser for the tests, which writes down whatever its console complains about."""

import re
import shutil
from contextlib import contextmanager

from playwright.sync_api import sync_playwright

CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# a file that Debian leaves out of Odoo's mail addon, and the end of a server under an open page
FOREIGN = re.compile(r"selfie_segmentation|WebSocket|ERR_CONNECTION_REFUSED")


@contextmanager
def browser_page():
    """Yield a page; ``page.problems`` has every error and warning of its console."""
    executable = shutil.which("chromium")
    assert executable, "chromium is missing: make setup installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda message: _note(page, message))
        yield page
        browser.close()


def _note(page, message):
    if message.type in ("error", "warning") and not FOREIGN.search(message.text):
        page.problems.append(message.text)


def log_in(page, instance, login="admin"):
    page.goto(f"{instance.url}/web/login")
    page.fill("input[name=login]", login)
    page.fill("input[name=password]", login)
    page.click("button[type=submit]")
    page.wait_for_selector(".o_main_navbar", timeout=90_000)
