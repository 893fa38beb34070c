"""Every page, looked at as people do who cannot see it well, or who have no mouse or
no room."""

import pytest
from pages import (
    PASSWORD,
    await_fit,
    choose,
    choose_from_menu,
    log_in,
    new_page,
    prove_who_you_are,
    serious_findings,
)

LATER = 240_000  # ms, for what takes a server its time
OVERVIEW = ".o_backup_overview"
LIST = ".o_list_view .o_data_row"
TABLE = ".o_list_view .o_list_renderer"
FORM = ".o_form_view .o_form_sheet"
DIALOG = ".modal-content"
ON_THE_OVERVIEW = f"{OVERVIEW} :is(button, a[href], summary):not([disabled])"
# what tells a focused element from one that is not
LOOK = """element => {
    const style = getComputedStyle(element);
    return [style.outlineStyle, style.outlineWidth, style.boxShadow,
        style.backgroundColor].join();
}"""
PLACE = """all =>
    [...document.querySelectorAll(all)].indexOf(document.activeElement)"""
CARD = ".o_kanban_record:not(.o_kanban_ghost)"
ENCRYPTION = ".o_notebook .nav-link[name=encryption]"
NEW_KEY = ".o_notebook .tab-pane.active .btn-secondary[name]"
TICK = f"{LIST} .o_list_record_selector input"
MORE = """
env["res.partner"].create({"name": "Azure Interior"})
env["ir.attachment"].create({"name": "invoice.pdf", "raw": b"an invoice"})
env.cr.commit()
"""
# what is there only sometimes: files that are lost, databases beside this one, servers
# that are watched, packs that no backup needs, a storage of another database
CROWD = [
    """INSERT INTO backup_filestore_issue
        (attachment, name, res_model, res_id, store_fname, size, kind, state,
         first_seen, last_seen, created)
       SELECT number, 'invoice-2026-11-' || number || '-of-azure-interior.pdf',
              'res.partner', 1, '0a/' || repeat(number::text, 40), 34567 * number,
              (ARRAY['missing', 'damaged', 'unreadable'])[number], 'open',
              now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC',
              now() AT TIME ZONE 'UTC'
                  + CASE number WHEN 1 THEN -1 ELSE 1 END * interval '1 hour'
         FROM generate_series(1, 3) AS number""",
    """INSERT INTO backup_staging
        (database, state, user_id, made_at, backup_date, database_size,
         filestore_size, size, neutralized, keep_days, delete_on)
       SELECT 'azure_interior_production_' || state, state, 2,
              now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC', 4e9, 3e9, 7e9,
              'yes', 30, now() AT TIME ZONE 'UTC' + interval '30 days'
         FROM unnest(ARRAY['making', 'changed', 'failed', 'ready']) AS state""",
    """INSERT INTO backup_server
        (name, active, url, patience, state, failures, asked_at, answered_at,
         last_good, size, version, problem, problem_code)
       SELECT 'Azure Interior in ' || state, true, 'http://127.0.0.1:9', 26, state, 0,
              now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC',
              now() AT TIME ZONE 'UTC' - interval '20 hours', 7e9, '19.0.1.0.0',
              'No verified backup within the time limit of the plan “Every night”',
              'HEALTH-01'
         FROM unnest(ARRAY['good', 'warning', 'failing', 'silent', 'never']) AS state
    """,
    "UPDATE backup_storage SET pruned_at = now() AT TIME ZONE 'UTC'",
    """INSERT INTO backup_storage SELECT (jsonb_populate_record(storage,
        jsonb_build_object('id', nextval('backup_storage_id_seq'), 'pruned_at', null,
            'owner_uuid', '11111111-2222-3333-4444-555555555555'))).*
         FROM backup_storage AS storage""",
]
QUIET = [
    "DELETE FROM backup_filestore_issue",
    "DELETE FROM backup_staging",
    "DELETE FROM backup_server",
    "DELETE FROM backup_storage WHERE pruned_at IS NULL",
    "UPDATE backup_storage SET pruned_at = NULL",
]
# where a dialog is opened, and what is pressed there
DIALOGS = {
    "key": ("backup-plans/{plan}", [ENCRYPTION, NEW_KEY]),
    "delete": (
        "stored-backups",
        [TICK, ".o_control_panel button[name=action_ask_delete]"],
    ),
    "delete_staging": (
        "staging-copies",
        [TICK, ".o_control_panel button[name=action_ask_delete]"],
    ),
    "take_over": (
        "backup-storages/{foreign}",
        [".o_statusbar_buttons .btn-danger:not([name^=action_])"],
    ),
    "prune": ("backup-storages/{storage}", ["button[name=action_ask_prune]"]),
    "repair": ("filestore-health", ["button[name=action_repair_all]"]),
}
FULL = ("filestore-health", "staging-copies", "backup-servers")
WIDTHS = (1400, 800, 390)


@pytest.fixture(scope="module")
def shop(shared_instance):
    """A server with good backups, and one that failed."""
    instance = shared_instance
    assert instance.backup().state == "success"
    instance.shell(MORE)
    assert instance.backup().state == "success"
    instance.sql("UPDATE backup_storage SET local_path = '/etc/nowhere'")
    assert instance.backup().state == "failure"
    instance.sql("UPDATE backup_storage SET local_path = %s", str(instance.storage))
    instance.sql("UPDATE res_lang SET active = true WHERE code = 'he_IL'")
    with instance.serve():
        yield instance


@pytest.fixture
def crowded(shop):
    """The same, with something on each page that is mostly empty."""
    for query in CROWD:
        shop.sql(query)
    yield shop
    for query in QUIET:
        shop.sql(query)


@pytest.fixture(scope="module")
def reader(shop, browser):
    """A page of the administrator's browser."""
    with new_page(browser) as page:
        log_in(page, shop)
        yield page


@pytest.fixture
def show(shop, reader):
    """Return a function that shows a page of the web client; its console must stay
    quiet."""

    def show(path, part):
        reader.goto(f"{shop.url}/odoo/{path}")
        reader.wait_for_selector(part, timeout=LATER)
        return reader

    reader.problems.clear()
    reader.set_viewport_size({"width": 1400, "height": 900})
    yield show
    assert reader.problems == []


@pytest.mark.parametrize(
    "path, part",
    [
        ("backups", OVERVIEW),
        ("backup-runs", LIST),
        ("backup-runs?view_type=kanban", ".o_kanban_record"),
        ("backup-runs?view_type=graph", ".o_graph_renderer canvas"),
        ("backup-runs?view_type=pivot", ".o_pivot table"),
        ("all-backups", LIST),
        ("restore-backup", ".o_calendar_view .o_event"),
        ("new-backup-storage", CARD),
        ("backup-audit", TABLE),
        ("backup-servers", TABLE),
        ("stored-backups", LIST),
        ("backup-plans", LIST),
        ("backup-storages", LIST),
        ("filestore-health", TABLE),
        ("settings", "#dfr_backup_plan_setting"),
    ],
)
def test_axe_finds_nothing_serious(show, path, part):
    page = show(path, part)
    settings = f".o_settings_container:has({part})"
    assert (
        serious_findings(page, settings if path == "settings" else ".o_action_manager")
        == []
    )


@pytest.mark.release
@pytest.mark.parametrize("path", FULL)
@pytest.mark.parametrize("width, part", [(1400, LIST), (390, CARD)])
def test_axe_finds_nothing_serious_where_there_is_much(
    crowded, show, reader, path, width, part
):
    reader.set_viewport_size({"width": width, "height": 900})
    page = show(path, part)
    assert serious_findings(page, ".o_action_manager") == []


@pytest.mark.parametrize("name", DIALOGS)
def test_axe_finds_nothing_serious_in_a_dialog(crowded, show, name):
    path, presses = DIALOGS[name]
    ((storage, foreign),) = crowded.sql("SELECT min(id), max(id) FROM backup_storage")
    plan = newest(crowded, "backup_plan")
    path = path.format(plan=plan, storage=storage, foreign=foreign)
    page = show(path, f"{FORM}, {LIST}")
    for selector in presses:
        page.locator(selector).first.click()
    page.wait_for_selector(f"{DIALOG} .o_form_view", timeout=LATER)
    assert serious_findings(page, DIALOG) == []


def test_axe_finds_nothing_serious_in_a_day_of_the_calendar(show):
    page = show("restore-backup", ".o_calendar_view .o_event")
    page.click(".o_calendar_view .o_event >> nth=0")
    page.wait_for_selector(".o_cw_popover button[name=action_restore]")
    assert serious_findings(page, ".o_cw_popover") == []


def test_axe_finds_nothing_serious_in_a_comparison(show):
    page = show("stored-backups", LIST)
    for number in (0, 1):
        page.locator(TICK).nth(number).click()
    page.click(".o_control_panel button[name=action_compare]")
    await_opened(page, f"{FORM} [name=before_id]")
    tabs = page.locator(".o_notebook .nav-link:visible")
    names = [tabs.nth(n).get_attribute("name") for n in range(tabs.count())]
    assert {"models", "files", "tables"} <= set(names)
    for name in names:
        page.click(f".o_notebook .nav-link[name={name}]")
        assert serious_findings(page, ".o_action_manager") == [], name


def test_lists_show_nothing_that_has_nothing_to_say(show):
    page = show("backup-runs", LIST)
    columns = page.eval_on_selector_all(
        ".o_list_view th[data-name]", "all => all.map(one => one.dataset.name)"
    )
    assert {"kind", "subject"} <= set(columns)
    assert not {"current_step", "progress"} & set(columns), "nothing runs"
    page = show("filestore-health", ".o_view_nocontent")
    assert not page.query_selector("button[name=action_repair_all]")


def test_a_plan_that_is_not_saved_offers_no_run(show):
    page = show("backup-plans/new", FORM)
    assert not page.query_selector("button[name=action_run_now]")
    assert not page.query_selector("button[name=action_drill]")


def test_axe_finds_nothing_serious_in_a_run_that_failed(shop, show):
    page = show(f"backup-runs/{newest(shop, 'backup_job')}", ".o_backup_step")
    assert serious_findings(page, ".o_action_manager") == []


def test_axe_finds_nothing_serious_where_a_stored_backup_is_used(shop, show):
    path = f"stored-backups/{newest(shop, 'backup_copy')}"
    for name in ("restore", "staging", "browse"):
        page = show(path, FORM)
        assert serious_findings(page, ".o_action_manager") == []
        if name == "restore":
            page.click(".o_statusbar_buttons button[name=action_restore]")
        else:
            choose_from_menu(page, shop, f"backup_copy_action_{name}")
        await_opened(page, f"{DIALOG} [name=database], .o_form_view [name=search_text]")
        part = DIALOG if page.query_selector(DIALOG) else ".o_action_manager"
        assert serious_findings(page, part) == [], name


def test_axe_finds_nothing_serious_in_any_other_form(shop, show):
    for path in (
        f"all-backups/{newest(shop, 'backup_backup')}",
        f"backup-storages/{newest(shop, 'backup_storage')}",
        "backup-servers/new",
        "backup-plans/new",
    ):
        page = show(path, FORM)
        assert serious_findings(page, ".o_action_manager") == [], path


def test_axe_finds_nothing_serious_in_an_import(show):
    page = show("stored-backups", LIST)
    page.click("button[name=action_import]")
    await_opened(page, f"{DIALOG} .o_backup_upload")
    assert serious_findings(page, DIALOG) == []


def test_axe_finds_nothing_serious_on_any_tab_of_a_plan(shop, show):
    page = show(f"backup-plans/{newest(shop, 'backup_plan')}", FORM)
    for tab in ("retention", "encryption", "verification", "notifications", "advanced"):
        page.click(f".nav-link[name={tab}]")
        assert serious_findings(page, ".o_action_manager") == [], tab


def test_axe_finds_nothing_serious_with_any_kind_of_storage(show):
    page = show("backup-storages/new", FORM)
    for kind in ("local", "s3", "sftp", "rclone"):
        page.click(f".o_field_radio .o_radio_item:has([data-value={kind}]) label")
        # the groups of fields change places
        page.wait_for_selector(f".o_field_widget[name^={kind}_]:visible")
        assert serious_findings(page, ".o_action_manager") == [], kind


@pytest.mark.release
@pytest.mark.parametrize("kind", ["aws", "sftp", "nextcloud", "local"])
def test_axe_finds_nothing_serious_in_a_new_storage(show, kind):
    page = show("new-backup-storage", CARD)
    page.click(f".o_backup_kinds button:has([data-kind='{kind}'])")
    page.wait_for_selector(f"{FORM} [name=name] input", timeout=LATER)
    assert serious_findings(page, ".o_action_manager") == []


def test_the_guided_set_up_at_every_width(show):
    """It goes on where somebody has left it, so it is gone through once."""
    page = show("backup-plans", LIST)
    choose(page, "menu_configuration", "menu_setup")
    for name in ("where", "when", "who", "safety", "ready"):
        page.wait_for_selector(f"{DIALOG} [data-page={name}]:visible", timeout=LATER)
        await_widths(page, f"{DIALOG} .modal-body")
        assert serious_findings(page, DIALOG) == [], name
        if name != "ready":
            page.click(f"{DIALOG} button[name=action_next]")


def test_the_keyboard_reaches_everything_on_the_overview_and_shows_where_it_is(show):
    page = show("backups", f"{OVERVIEW} .o_backup_plan")
    page.wait_for_selector(".o_backup_trend canvas")
    unfold = "all => all.forEach(one => { one.open = true })"
    page.eval_on_selector_all(f"{OVERVIEW} details", unfold)
    wanted = page.locator(ON_THE_OVERVIEW)
    plain = [wanted.nth(n).evaluate(LOOK) for n in range(wanted.count())]
    wanted.nth(0).focus()
    page.keyboard.press("Shift+Tab")
    reached = []
    for _ in range(len(plain) + 2):
        page.keyboard.press("Tab")
        place = page.evaluate(PLACE, ON_THE_OVERVIEW)
        if place >= 0:
            focused = wanted.nth(place)
            assert focused.evaluate(LOOK) != plain[place], focused.inner_text()
            reached.append(place)
    assert reached == list(range(len(plain))), "not in the order in which they are read"


def test_colour_is_never_the_only_sign(show):
    page = show("backups", f"{OVERVIEW} .o_backup_plan")
    signs = page.eval_on_selector_all(
        ".o_backup_run",
        "runs => runs.map(run => [run.dataset.state, run.innerText, run.ariaLabel])",
    )
    states, marks, labels = zip(*signs, strict=True)
    assert states == ("success", "success", "failure")
    assert marks[0] == marks[1] != marks[2]
    assert all(labels)
    for tone in ("danger", "warning", "success"):
        for badge in page.query_selector_all(
            f".text-bg-{tone}, .alert-{tone}, .text-{tone}"
        ):
            words = badge.inner_text() or badge.get_attribute("aria-label")
            hidden = badge.get_attribute("aria-hidden")
            assert words or hidden, badge.evaluate("element => element.outerHTML")


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_off(shop, show, width):
    page = show("backups", OVERVIEW)
    page.set_viewport_size({"width": width, "height": 900})
    await_fit(page, OVERVIEW)
    page = show(f"backup-runs/{newest(shop, 'backup_job')}", ".o_backup_step")
    await_fit(page, ".o_form_sheet")


@pytest.mark.release
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", FULL)
def test_nothing_is_cut_off_where_there_is_much(crowded, show, reader, path, width):
    reader.set_viewport_size({"width": width, "height": 900})
    page = show(path, CARD if width < 768 else LIST)
    await_fit(page, ".o_content")


def test_nothing_is_cut_off_where_a_backup_is_restored(shop, show):
    page = show(f"stored-backups/{newest(shop, 'backup_copy')}", FORM)
    page.click(".o_statusbar_buttons button[name=action_restore]")
    page.wait_for_selector(f"{DIALOG} [name=database]", timeout=LATER)
    await_widths(page, f"{DIALOG} .modal-body")


def test_a_telephone_shows_cards(show, reader):
    reader.set_viewport_size({"width": 390, "height": 900})
    for path in (
        "all-backups",
        "backup-runs",
        "stored-backups",
        "backup-plans",
        "backup-storages",
    ):
        page = show(path, ".o_kanban_record")
        await_fit(page, ".o_content")


def test_viewer_finds_no_button_that_changes_anything(shop, browser):
    make_user(shop, "vera", "dfr_backup.group_viewer")
    with new_page(browser) as page:
        log_in(page, shop, "vera")
        for path in (
            "backup-runs",
            f"backup-runs/{newest(shop, 'backup_job')}",
            f"stored-backups/{newest(shop, 'backup_copy')}",
            f"backup-plans/{newest(shop, 'backup_plan')}",
            f"backup-storages/{newest(shop, 'backup_storage')}",
        ):
            page.goto(f"{shop.url}/odoo/{path}")
            page.wait_for_selector(f"{FORM}, {LIST}", timeout=LATER)
            buttons = page.eval_on_selector_all(
                ".o_action_manager button[name^=action_]",
                "buttons => buttons.map(button => button.getAttribute('name'))",
            )
            harmless = ("action_view_", "action_open_")
            assert [n for n in buttons if not n.startswith(harmless)] == [], path
        assert page.problems == []


def test_from_right_to_left(shop, browser):
    make_user(shop, "hadas", "dfr_backup.group_manager", lang="he_IL")
    with new_page(browser) as page:
        log_in(page, shop, "hadas")
        page.goto(f"{shop.url}/odoo/backups")
        page.wait_for_selector(f"{OVERVIEW} .o_backup_trend canvas", timeout=LATER)
        assert page.query_selector("body.o_rtl")
        # what rtlcss makes of Odoo's CSS, where it is installed
        page.add_style_tag(content=".o_action_manager * { direction: rtl !important; }")
        for width in (1400, 800, 390):
            page.set_viewport_size({"width": width, "height": 900})
            await_fit(page, OVERVIEW)
        page.set_viewport_size({"width": 1400, "height": 900})
        edges = page.eval_on_selector_all(
            ".o_backup_run",
            "runs => runs.map(run => run.getBoundingClientRect().right)",
        )
        assert edges == sorted(edges, reverse=True), "the newest run is not at the end"
        assert page.problems == []


def await_opened(page, part):
    """Wait for what a button opens; enter the password where one is asked for."""
    page.wait_for_selector(f"{PASSWORD}, {part}", timeout=LATER)
    if page.query_selector(PASSWORD):
        prove_who_you_are(page)
        page.wait_for_selector(part, timeout=LATER)


def await_widths(page, selector):
    """Wait at each width until nothing is cut off; leave the widest."""
    for width in sorted(WIDTHS):
        page.set_viewport_size({"width": width, "height": 900})
        await_fit(page, selector)


def make_user(instance, name, group, **values):
    _model, group_id = instance.rpc(
        "ir.model.data", "check_object_reference", *group.split("."), True
    )
    values |= {
        "name": name,
        "login": name,
        "password": name,
        "group_ids": [(4, group_id)],
    }
    instance.rpc("res.users", "create", values)


def newest(instance, table):
    return instance.sql(f"SELECT max(id) FROM {table}")[0][0]
