"""A real browser for the tests, which writes down whatever its console complains
about."""

import re
import shutil
from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error as PlaywrightError
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
# a file that Debian leaves out of Odoo's mail addon, and the end of a server under an
# open page
FOREIGN = re.compile(r"selfie_segmentation|WebSocket|ERR_CONNECTION_REFUSED")
# what the web client itself draws, on all pages of all apps
WEB_CLIENT = [
    ".o_control_panel",
    ".o_notebook_headers",
    ".o-mail-Form-chatter",
    ".o-mail-Avatar",
    ".o_list_record_selector",
    ".o_optional_columns_dropdown",
    ".o_progressbar",
    ".o_field_tags",
    ".o_clipboard_button",
    ".o_select_menu_input",
    ".o-autocomplete--input",
    ".o-dropdown",
    ".o_statusbar_status",
    ".oi-panel-right",
    ".o_calendar_sidebar",
]
IN_FRONT = ".modal-content, .o_notification, .o_control_panel, .o_view_nocontent"
FITS = """selector => {
    const element = document.querySelector(selector);
    return element.scrollWidth <= element.clientWidth;
}"""
PATIENCE = 90_000  # ms, for machines that have other things to do
PASSWORD = ".modal input[type=password]"
SERIOUS = ("serious", "critical")
_open = []
# nothing fades in or out: halfway, it has a contrast that nobody will see. Spinners
# turn for ever
STILL = """() => document.getAnimations().every((animation) =>
    animation.playState !== "running" ||
    animation.effect.getComputedTiming().endTime === Infinity)"""


@contextmanager
def launched_browser():
    executable = shutil.which("chromium")
    assert executable, "chromium is missing: make setup installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM)
        yield browser
        browser.close()


@contextmanager
def new_page(browser):
    """Yield a page of somebody who has none yet; ``page.problems`` has every error and
    warning of its console."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(PATIENCE)
    page.set_default_navigation_timeout(240_000)  # it may compile style sheets first
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda message: _note(page, message))
    _open.append(page)
    try:
        yield page
    finally:
        _open.remove(page)
        page.context.close()


def describe_open_pages():
    """Return what an administrator would see first on each open page: a test that waits
    in vain says only what it has waited for."""
    return "\n".join(_describe(page) for page in _open)


def _describe(page):
    try:
        notes = [text for text in page.locator(IN_FRONT).all_inner_texts() if text]
    except PlaywrightError as error:
        notes = [f"it does not answer: {error}"]
    return "\n".join([page.url, *notes, *page.problems])


def _note(page, message):
    if message.type in ("error", "warning") and not FOREIGN.search(message.text):
        page.problems.append(message.text)


def log_in(page, instance, login="admin"):
    """Give the browser the session of a user. It has not been anywhere yet: the form
    for it is Odoo's, and takes two pages that no test is about."""
    answer = page.request.post(
        f"{instance.url}/web/session/authenticate",
        data={
            "jsonrpc": "2.0",
            "params": {"db": instance.database, "login": login, "password": login},
        },
        timeout=PATIENCE,
    )
    assert answer.json()["result"]["uid"]


def prove_who_you_are(page, timeout=PATIENCE):
    """Enter the administrator's password where it is asked for again. Its field has the
    cursor once the form is there for good: what is entered before that can be lost."""
    page.wait_for_selector(f"{PASSWORD}:focus", timeout=timeout)
    page.keyboard.type("admin")
    page.click(".modal button[name=run_check]")


def choose(page, *menus):
    """Choose a menu of our app, and each next one within it."""
    for menu in menus:
        page.click(f"[data-menu-xmlid='dfr_backup.{menu}']")


def choose_from_menu(page, instance, name):
    """Choose an action of ours from the menu of a form, given its XML id: the web
    client writes nothing of it but its name."""
    query = """SELECT s.name->>'en_US' FROM ir_act_server s JOIN ir_model_data d
        ON d.model = 'ir.actions.server' AND d.res_id = s.id
        WHERE d.module = 'dfr_backup' AND d.name = %s"""
    ((label,),) = instance.sql(query, name)
    page.wait_for_selector(".o_form_view .o_form_sheet")  # a list has a menu, too
    page.click(".o_control_panel .o_cp_action_menus button:has(.fa-cog)")
    page.click(f".o_menu_item:text-is('{label}')")


def serious_findings(page, part):
    """Return what axe-core has against what we draw in ``part`` of a page: one line
    each."""
    page.wait_for_selector(part)
    page.wait_for_function(STILL)
    ours = [
        [selector]
        for selector in (part, ".o_backup_systray")
        if page.query_selector(selector)
    ]
    theirs = [[selector] for selector in WEB_CLIENT if page.query_selector(selector)]
    answer = Axe().run(page, context={"include": ours, "exclude": theirs}).response
    assert answer["passes"], f"axe has looked at nothing in {part}"
    return [
        f"{rule['id']}: {node['html'][:200]} {node['failureSummary']}"
        for rule in answer["violations"]
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
    ]


def await_fit(page, selector):
    """Wait until nothing is cut off: a chart follows a new width a moment later."""
    page.wait_for_function(FITS, arg=selector)
