import {registry} from "@web/core/registry";

// Steps find fields, buttons and classes, never words. A tour walks through the screens of
// one reader: starting a browser takes longer than most of them.
// In ms, for machines that have other things to do
const PATIENCE = 60_000;

function addTour(name, ...screens) {
    registry.category("web_tour.tours").add(`dfr_backup.${name}`, {
        steps: () =>
            screens.flat().map((step) => ({
                content: step.trigger,
                timeout: PATIENCE,
                ...step,
            })),
    });
}

const see = (trigger) => ({trigger});
const click = (trigger) => ({trigger, run: "click"});
const edit = (field, text) => ({
    trigger: `.o_field_widget[name='${field}'] input`,
    run: `edit ${text}`,
});
const isGone = (trigger) => see(`body:not(:has(${trigger}))`);
const menu = (...names) =>
    names.map((name) => click(`[data-menu-xmlid='dfr_backup.${name}']`));
const password = (text) => [
    {trigger: ".modal input[type='password']", run: `edit ${text}`},
    click(".modal button[name='run_check']"),
];
const CLOSE = [click(".modal .btn-secondary:not([name])"), isGone(".modal")];
const FORM = ".o_form_view .o_form_sheet";
const ROW = ".o_list_view .o_data_row td[name]";
const TICK = (number) =>
    click(`.o_data_row:eq(${number}) .o_list_record_selector input`);

// === A MANAGER === //

const newServer = [
    see(".o_backup_verdict[data-state='none_yet']"),
    click("button[name='action_choose_backup']"),
    see(".o_calendar_view .o_event"),
    ...menu("menu_backup"),
    isGone(".o_calendar_view"),
];

const restoreCalendar = [
    ...menu("menu_backup"),
    isGone(".o_form_view"),
    click(".o_switch_view.o_calendar"),
    click(".o_calendar_view .o_event"),
    click(".o_cw_popover button[name='action_restore']"),
    see(".modal .o_field_widget[name='database'] input"),
    ...CLOSE,
    // Nothing was stored so long ago
    click(".o_calendar_button_prev"),
    see(".o_backup_calendar_empty [data-state='hidden']"),
];

const backups = [
    click(ROW),
    see(`${FORM} .o_field_widget[name='copy_ids'] .o_data_row`),
    click("button[name='action_restore']"),
    see(".modal .o_field_widget[name='database'] input"),
    ...CLOSE,
];

const copies = [
    ...menu("menu_copy"),
    isGone(".o_form_view"),
    TICK(0),
    click(".o_control_panel button[name='action_ask_delete']"),
    see(".modal .o_field_widget[name='text']"),
    ...CLOSE,
    isGone(".o_data_row_selected"),
    TICK(0),
    TICK(1),
    click(".o_control_panel button[name='action_compare']"),
    ...password("tour-manager"),
    see(`${FORM} .o_field_widget[name='before_id']`),
    click(".o_notebook a[name='files']"),
    see(".o_field_widget[name='file_line_ids'] .o_data_row"),
];

const plan = [
    ...menu("menu_configuration", "menu_plan"),
    isGone(".o_form_view"),
    click(`${ROW}[name='name']`),
    click(".o_notebook a[name='retention']"),
    see(".o_field_widget[name='retention_preview']"),
    click(".o_notebook a[name='encryption']"),
    click(".o_notebook .tab-pane.active .btn-secondary[name]"),
    see(".modal .o_field_widget[name='private_key']"),
    see(".modal button[name='download_key']"),
    // It is shown only now: nobody goes on before it is kept elsewhere
    isGone(".modal button[name='action_use']"),
    see(".modal .modal-footer .btn-primary:disabled"),
    click(".modal .o_field_widget[name='kept_elsewhere'] input"),
    see(".modal .modal-footer button[name='action_use']:enabled"),
    isGone(".modal .modal-footer .btn-primary:disabled"),
    ...CLOSE,
    click("button[name='action_skip_next']"),
    isGone("button[name='action_skip_next']"),
];

const storage = [
    ...menu("menu_configuration", "menu_storage"),
    isGone(".o_form_view"),
    click(".o_list_view .o_control_panel .btn-primary"),
    click(".o_backup_kinds button:has([data-kind='s3'])"),
    see(".o_field_widget[name='s3_bucket'] input"),
    click(".o_form_button_cancel"),
    ...menu("menu_configuration", "menu_storage"),
    isGone(".o_form_view"),
    click(`${ROW}[name='name']`),
    see(`${FORM} .o_field_widget[name='health']`),
    // It was used since that test has failed
    isGone(`${FORM} [name='last_test_error']`),
    click("button[name='action_ask_prune']"),
    see(".modal .o_field_widget[name='storage_id']"),
    ...CLOSE,
];

const audit = [
    ...menu("menu_audit"),
    isGone(".o_form_view"),
    see(".o_list_view .o_data_row td[name='action']"),
];

addTour("manager", newServer, backups, restoreCalendar, copies, plan, storage, audit);

// === AN ADMINISTRATOR === //

const servers = [
    click(".o_list_button_add"),
    edit("name", "Lyon"),
    edit("url", "http://127.0.0.1:9"),
    click("button[name='action_check']"),
    see(`${FORM} [name='situation'] .o_field_widget[name='code']`),
    ...menu("menu_server"),
    see(".o_list_view .o_data_row td[name='state'] .badge"),
];

const settings = [
    see("#dfr_backup_plan_setting"),
    click("button[name='action_dfr_backup_monitor_on']"),
    ...password("tour-system"),
    see(".modal .o_field_widget[name='token']"),
    {...click(".modal button[name='action_done']"), expectUnloadPage: true},
    isGone(".modal"),
];

addTour("servers", servers);
addTour("settings", settings);

// === A VIEWER === //

const readersCalendar = [
    click(".o_switch_view.o_calendar"),
    click(".o_calendar_view .o_event"),
    see(".o_cw_popover:not(:has(button[name='action_restore']))"),
    click(".o_cw_popover .o_cw_popover_edit"),
    see(`${FORM} .o_field_widget[name='copy_ids']`),
    isGone(".o_statusbar_buttons button"),
];

const readersForms = [
    ...menu("menu_configuration", "menu_plan"),
    isGone(".o_form_view"),
    see(".o_list_view .o_data_row"),
    isGone(".o_handle_cell"),
    click(`${ROW}[name='name']`),
    see(`${FORM} .o_field_widget[name='frequency']`),
    isGone(`${FORM} [placeholder]`),
    isGone(".o_statusbar_buttons button"),
    ...menu("menu_configuration", "menu_storage"),
    isGone(".o_form_view"),
    see(".o_list_view .o_data_row"),
    isGone(".o_handle_cell"),
    click(`${ROW}[name='name']`),
    see(`${FORM} .o_field_widget[name='local_path']`),
    isGone(`${FORM} [placeholder]`),
    isGone(".o_statusbar_buttons button"),
];

addTour("viewer", readersCalendar, readersForms);

// === WHERE THERE IS NOTHING === //

const emptyLists = [
    see(".o_backup_verdict[data-state='no_plan'] button"),
    ...menu("menu_job"),
    see(".o_view_nocontent [data-state='no_plan']"),
    ...menu("menu_copy"),
    see(".o_view_nocontent [data-state='no_plan']"),
    ...menu("menu_backup"),
    see(".o_view_nocontent [data-state='no_plan']"),
    click(".o_switch_view.o_calendar"),
    // The next step is there
    see(".o_backup_calendar_empty [data-state='no_plan']"),
    click(".o_backup_calendar_empty a[type='action']"),
    see(".o_list_view .o_view_nocontent [data-state='archived']"),
];

// What the web client has kept of the first visit is true no longer
const freshHelp = [
    click(".o_list_button_add"),
    {trigger: `${FORM} h1 .o_field_widget[name='name'] input`, run: "edit Weekly"},
    click(".o_form_button_save"),
    isGone(".o_form_button_save:visible"),
    ...menu("menu_job"),
    ...menu("menu_configuration", "menu_plan"),
    see(".o_list_view .o_data_row"),
    {trigger: ".o_searchview_input", run: "edit zzz"},
    {trigger: ".o_searchview_input", run: "press Enter"},
    see(".o_view_nocontent [data-state='hidden']"),
];

addTour("empty", emptyLists, freshHelp);

addTour("empty_viewer", [
    see(".o_backup_verdict[data-state='no_plan']:not(:has(button))"),
    ...menu("menu_job"),
    see(".o_view_nocontent [data-state='no_plan']"),
    isGone(".o_view_nocontent a"),
    ...menu("menu_configuration", "menu_storage"),
    see(".o_view_nocontent [data-state='archived']"),
    isGone(".o_view_nocontent a"),
    isGone(".o_control_panel .btn-primary"),
]);
