"""Take the pictures of the documentation from a server: screenshots.py URL FOLDER
[NAME…]

The database is the one that screenshots_content.py has made. Each picture is a function
with its name; what a picture leaves behind, the next ones find.
"""

import base64
import os
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
]
WIDTH = 1400
RIM = 14  # pixels around what is cut out
PATIENCE = 120_000  # milliseconds
ADMIN = "admin"  # login and password
DATABASE = "oakfield"
# what screenshots_content.py has called them
NIGHTLY, HERE, FAR = "Every night", "This server", "Off-site (MinIO)"
FOUND, LOST = "catalogue-12.pdf", "catalogue-07.pdf"


class Camera:
    """A browser that is logged in, and a folder for what it sees."""

    def __init__(self, page, url, folder):
        self.page, self.url, self.folder = page, url, Path(folder)

    def log_in(self):
        self.page.goto(f"{self.url}/web/login")
        self.page.fill("input[name=login]", ADMIN)
        self.page.fill("input[name=password]", ADMIN)
        self.page.click("button[type=submit]")
        self.page.wait_for_selector(".o_main_navbar")

    def look(self, path, selector):
        """Open a page and wait for what it shows."""
        self.page.goto(f"{self.url}/odoo/{path}")
        self.page.wait_for_selector(selector)
        self.page.wait_for_timeout(1500)  # charts are drawn after the page is there

    def open_row(self, path, text):
        """Open the record of a list that has ``text`` in its row."""
        self.look(path, ".o_data_row")
        self.page.click(f".o_data_row:has-text('{text}') td.o_data_cell >> nth=1")
        self.page.wait_for_selector(".o_form_view .o_form_sheet")
        self.page.wait_for_timeout(800)

    def tab(self, name):
        self.page.click(f".o_notebook_headers a[name={name}]")
        self.page.wait_for_timeout(500)

    def take(self, name, selector=None, *, height=860, above=0):
        """Write the picture of the window, or of what ``selector`` names and a rim
        around it.

        ``height`` of the window and ``above``, how much more is shown over it, are in
        pixels.
        """
        path = self.folder / f"{name}.png"
        self.page.set_viewport_size({"width": WIDTH, "height": height})
        self.page.mouse.move(WIDTH - 5, 300)
        self.page.wait_for_timeout(700)
        clip = None
        if selector:
            target = self.page.locator(selector).first
            target.scroll_into_view_if_needed()
            box = target.bounding_box()
            top = max(0, box["y"] - RIM - above)
            clip = {
                "x": max(0, box["x"] - RIM),
                "y": top,
                "width": box["width"] + 2 * RIM,
            }
            clip["height"] = box["y"] + box["height"] + RIM - top
        self.page.screenshot(path=path, clip=clip)
        shrink(path)
        print(f"{path.name}: {path.stat().st_size >> 10} KiB", flush=True)

    def call(self, model, method, args, **kwargs):
        """Call a method as the user who is logged in; return its result."""
        answer = self.page.evaluate(
            """async ([model, method, args, kwargs]) => {
                const body = {jsonrpc: "2.0", params: {model, method, args, kwargs}};
                const path = `/web/dataset/call_kw/${model}/${method}`;
                const response = await fetch(path, {
                    method: "POST", headers: {"Content-Type": "application/json"},
                    body: JSON.stringify(body)});
                return await response.json();
            }""",
            [model, method, args, kwargs],
        )
        if "error" in answer:
            raise RuntimeError(answer["error"]["data"]["message"])
        return answer["result"]

    def take_dialog(self, name, button, ready):
        """Press a button, take the picture of the dialog that it opens, and close
        that."""
        self.page.click(f"button[name={button}]")
        self.confirm_identity()
        self.page.wait_for_selector(ready)
        self.take(name)
        self.page.click(".modal .btn-close")

    def far(self, **values):
        """Change the storage that is far away; return its identifier."""
        (storage,) = self.call("backup.storage", "search", [[("name", "=", FAR)]])
        if values:
            self.call("backup.storage", "write", [[storage], values])
        return storage

    def run_nightly(self):
        """Start the nightly plan and return the run's identifier; does not wait for
        its end."""
        (plan,) = self.call("backup.plan", "search", [[("name", "=", NIGHTLY)]])
        return self.call("backup.plan", "action_run_now", [[plan]])["res_id"]

    def await_run(self, run):
        for _ in range(240):
            state = self.call("backup.job", "read", [[run], ["state"]])[0]["state"]
            if state not in ("pending", "running"):
                return state
            self.page.wait_for_timeout(500)
        raise RuntimeError(f"run {run} does not end")

    def choose(self, name):
        """Choose an action of ours from the menu of a form, given its XML id."""
        known = [("module", "=", "dfr_backup"), ("name", "=", name)]
        (found,) = self.call("ir.model.data", "search_read", [known, ["res_id"]])
        args = [[found["res_id"]], ["name"]]
        (action,) = self.call("ir.actions.server", "read", args)
        self.page.click(".o_control_panel .o_cp_action_menus button:has(.fa-cog)")
        self.page.click(f".o_menu_item:text-is('{action['name']}')")

    def confirm_identity(self):
        """Give the password again where Odoo asks for it."""
        field = self.page.locator(".modal input[type=password]")
        self.page.wait_for_timeout(1500)
        if field.count():
            field.first.fill(ADMIN)
            self.page.click(".modal footer .btn-primary")


def shrink(path):
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(
            256, method=Image.Quantize.MEDIANCUT, dither=0
        )
    small.save(path, optimize=True)


def overview(camera):
    camera.look("backups", ".o_backup_overview canvas")
    camera.take("overview", height=1060)


def runs(camera):
    camera.look("backup-runs", ".o_data_row")
    camera.take("list")


def stored(camera):
    camera.look("stored-backups", ".o_data_row")
    camera.take("stored")


def backups(camera):
    camera.look("all-backups", ".o_data_row")
    camera.take("backups", height=620)


def incremental(camera):
    """A plan that is changed and not saved."""
    camera.open_row("backup-plans", NIGHTLY)
    camera.page.check(".o_field_widget[name=incremental] input")
    camera.page.wait_for_timeout(1000)
    camera.take("incremental")
    camera.page.click(".o_form_button_cancel")


def plan(camera):
    camera.open_row("backup-plans", NIGHTLY)
    camera.take("plan")
    for page in ("retention", "notifications", "encryption"):
        camera.tab(page)
        camera.take(page, ".o_notebook", height=2400)


def storages(camera):
    camera.open_row("backup-storages", FAR)
    camera.page.click("button[name=action_test]")
    camera.page.wait_for_timeout(4000)
    camera.page.wait_for_selector(".o_field_widget[name=last_test]")
    camera.take("storage-s3", height=980)
    camera.open_row("backup-storages", HERE)
    camera.take("storage-local", height=700)


def storage_sftp(camera):
    """A new one that is filled in and not saved."""
    page = camera.page
    camera.look("backup-storages/new", ".o_form_view")
    page.fill(
        ".o_field_widget[name=name] input, .o_field_widget[name=name] textarea",
        "Branch office",
    )
    page.click("[name=provider] .o_radio_item:has([data-value=sftp]) label")
    page.fill(".o_field_widget[name=sftp_host] input", "backup.oakfield.example")
    page.fill(".o_field_widget[name=sftp_user] input", "odoo-backup")
    page.fill(".o_field_widget[name=sftp_directory] input", "backups/odoo")
    camera.take("storage-sftp")
    page.click(".o_form_button_cancel")


def restore(camera):
    camera.open_row("stored-backups", FAR)
    camera.take("stored-backup")
    camera.page.click("button[name=action_restore]")
    camera.confirm_identity()
    camera.page.wait_for_selector(".modal .o_field_widget[name=database]")
    camera.take("restore")
    camera.page.click(".modal footer .btn-secondary")


def calendar(camera):
    """All backups of a month, and what is known of one of them."""
    camera.look("backups", ".o_backup_overview canvas")
    camera.page.click("button[name=action_choose_backup]")
    nights = f".o_calendar_view .o_event:visible:has-text('{NIGHTLY}')"
    camera.page.wait_for_selector(nights)
    camera.page.locator(nights).last.click()
    camera.page.wait_for_selector(".o_cw_popover button[name=action_restore]")
    camera.take("calendar", height=980)


def servers(camera):
    """Other servers that this one watches."""
    camera.look("backup-servers", ".o_data_row")
    camera.take("servers", height=520)


def drill(camera):
    (run,) = camera.call("backup.job", "search", [[("kind", "=", "drill")]], limit=1)
    camera.look(f"backup-runs/{run}", ".o_form_sheet")
    camera.take("drill", height=980)


SETTINGS = ".o_settings_container:has(#dfr_backup_plan_setting)"


def settings(camera):
    camera.look("settings", "#dfr_backup_plan_setting")
    camera.take("settings", SETTINGS, above=40)


def set_up(camera):
    """The guided set-up, over the overview."""
    camera.look("backups", ".o_backup_overview canvas")
    for menu in ("menu_configuration", "menu_setup"):
        camera.page.click(f"[data-menu-xmlid='dfr_backup.{menu}']")
    camera.page.wait_for_selector(".modal .o_backup_setup_pages")
    camera.page.wait_for_timeout(1000)
    camera.take("set-up")
    camera.page.click(".modal .btn-close")


def running(camera):
    """A run while it goes on: the far storage is made slow for it."""
    camera.far(bandwidth=8 * 1024)
    run = camera.run_nightly()
    camera.look(
        f"backup-runs/{run}", ".o_backup_step[data-kind=upload][data-state=running]"
    )
    camera.take("running")
    camera.look("backups", ".o_backup_running")
    camera.take("overview-running", height=1060)
    camera.await_run(run)
    camera.look(f"backup-runs/{run}", ".o_backup_step[data-kind=cleanup]")
    camera.take("run")
    camera.far(bandwidth=0)


def tell_s3_server(method, path):
    address = f"{os.environ['FAR_SERVER']}/{path}"
    subprocess.run(["curl", "-sf", "-X", method, address], check=True)


def believe_nights():
    """Nothing is stored of the nights that were made up, as each run notices."""
    found = "UPDATE backup_copy SET state = 'verified' WHERE state = 'missing'"
    subprocess.run(["psql", "-qd", DATABASE, "-c", found], check=True)


def failed(camera):
    """A run whose far storage is gone: its form, the overview, the mail about it."""
    tell_s3_server("POST", "moto-api/reset")
    run = camera.run_nightly()
    camera.await_run(run)
    camera.look(f"backup-runs/{run}", ".o_backup_step[data-kind=cleanup]")
    camera.take("failed")
    believe_nights()
    camera.look("backups", ".o_backup_problems")
    camera.take("overview-failed", height=1060)
    tell_s3_server("PUT", "oakfield-backups")
    mails = camera.call(
        "mail.mail", "search_read", [[], ["body_html", "subject"]], limit=1
    )
    camera.page.goto("about:blank")
    camera.page.set_content(
        f"<div id='mail' style='width: 640px'>{mails[0]['body_html']}</div>"
    )
    camera.take("mail", "#mail")


def browse(camera):
    """One attachment out of a backup, and what lies between two nights."""
    page = camera.page
    camera.open_row("stored-backups", HERE)
    camera.choose("backup_copy_action_browse")
    camera.confirm_identity()
    page.wait_for_selector(".o_form_view [name=search_text]")
    page.fill("[name=search_text] input", "catalogue-1")
    page.click("button[name=action_search]")
    page.wait_for_selector(f".o_data_row:has-text('{FOUND}')")
    camera.take("browse", height=980)
    brought = [
        {
            "name": f"delivery-note-{number}.pdf",
            "datas": base64.b64encode(os.urandom(60_000)).decode(),
        }
        for number in range(4)
    ]
    camera.call("ir.attachment", "create", [brought])
    camera.call(
        "res.partner", "create", [[{"name": f"Customer {n}"} for n in range(3)]]
    )
    camera.await_run(camera.run_nightly())
    day = [
        ("plan_id.name", "=", NIGHTLY),
        ("storage_id.name", "=", HERE),
    ]
    copies = camera.call(
        "backup.copy", "search", [[*day, ("state", "=", "verified")]], limit=2
    )
    action = camera.call("backup.copy", "action_compare", [copies])
    camera.look(f"{action['res_model']}/{action['res_id']}", ".o_form_sheet")
    camera.take("compare", height=980)


def import_backup(camera):
    camera.look("stored-backups", ".o_data_row")
    camera.take_dialog("import", "action_import", ".o_backup_upload[data-phase=idle]")


def staging(camera):
    camera.look("backups", ".o_backup_overview canvas")
    camera.take_dialog("staging", "action_staging", ".modal [name=database] input")


def staging_copies(camera):
    """Two copies are made, and deleted again."""
    copies = []
    for days in (14, 0):
        camera.look("backups", ".o_backup_overview canvas")
        camera.page.click("button[name=action_staging]")
        camera.page.fill(".modal [name=keep_days] input", str(days))
        camera.page.click(".modal button[name=action_make]:visible")
        camera.confirm_identity()
        camera.page.wait_for_selector(".o_form_view .o_backup_step")
        copies = camera.call("backup.staging", "search", [[]])
        made = camera.call("backup.staging", "read", [copies[:1], ["job_id"]])
        camera.await_run(made[0]["job_id"][0])
    camera.look("staging-copies", ".o_data_row")
    camera.take("staging-copies", height=420)
    camera.call("backup.staging", "action_delete", [copies])


def health(camera):
    """A file is lost from the filestore; last of all, because every run after it
    says so."""
    lost = camera.call(
        "ir.attachment",
        "search_read",
        [[("name", "=", LOST)], ["store_fname"]],
        limit=1,
    )
    (Path(os.environ["FILESTORE"]) / lost[0]["store_fname"]).unlink()
    camera.await_run(camera.run_nightly())
    camera.look("filestore-health", f".o_data_row:has-text('{LOST}')")
    camera.take("health", height=560)


PICTURES = [
    overview,
    runs,
    stored,
    backups,
    plan,
    incremental,
    storages,
    storage_sftp,
    restore,
    calendar,
    servers,
    drill,
    settings,
    set_up,
]
PICTURES += [running, failed, browse, import_backup, staging]
PICTURES += [staging_copies, health]


def main(url, folder, *names):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=ARGUMENTS
        )
        page = browser.new_page(
            viewport={"width": WIDTH, "height": 860}, timezone_id="Europe/Brussels"
        )
        page.set_default_timeout(PATIENCE)
        camera = Camera(page, url, folder)
        camera.log_in()
        for picture in PICTURES:
            if not names or picture.__name__ in names:
                picture(camera)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
