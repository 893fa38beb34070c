import {
    DEFAULT_DATE,
    FAKE_MODEL,
} from "@web/../tests/views/calendar/calendar_test_helpers";
import {describe, expect, test} from "@odoo/hoot";
import {mockService, mountWithCleanup, onRpc} from "@web/../tests/web_test_helpers";
import {animationFrame} from "@odoo/hoot-mock";
import {click} from "@odoo/hoot-dom";
import {defineMailModels} from "@mail/../tests/mail_test_helpers";
import {registry} from "@web/core/registry";

describe.current.tags("desktop");
defineMailModels(); // of whatever else is on the screen

const RECORD = {
    id: 5,
    title: "Nightly",
    isAllDay: false,
    start: DEFAULT_DATE,
    end: DEFAULT_DATE.plus({hours: 1}),
    colorIndex: 0,
    isTimeHidden: false,
    rawRecord: {name: "Nightly", description: ""},
};

async function mountPopover(isManager) {
    onRpc("has_group", ({args}) => {
        expect(args[1]).toBe("dfr_backup.group_manager");
        return isManager;
    });
    mockService("action", {
        doActionButton: ({name, resModel, resId}) =>
            expect.step([name, resModel, resId]),
    });
    const {Renderer} = registry.category("views").get("backup_calendar");
    await mountWithCleanup(Renderer.components.month.components.Popover, {
        props: {
            model: {...FAKE_MODEL, resModel: "backup.backup", canDelete: true},
            record: RECORD,
            createRecord: () => expect.step("create"),
            deleteRecord: () => expect.step("delete"),
            editRecord: (record) => expect.step(`view ${record.id}`),
            close: () => expect.step("close"),
        },
    });
}

test("a manager restores the backup of a day from there", async () => {
    await mountPopover(true);
    await click("button[name=action_restore]");
    await animationFrame();
    expect.verifySteps([["action_restore", "backup.backup", 5], "close"]);
});

test("who may only look views it, and nobody edits or deletes it", async () => {
    await mountPopover(false);
    expect("button[name=action_restore]").toHaveCount(0);
    expect(".o_cw_popover_delete").toHaveCount(0);
    await click("button.o_cw_popover_edit");
    expect.verifySteps(["view 5", "close"]);
});

test("all the days of the calendar have it, and all its scales", async () => {
    const {Renderer} = registry.category("views").get("backup_calendar");
    const {day, week, month} = Renderer.components;
    for (const renderer of [day, week, month]) {
        expect(renderer.components.Popover.subTemplates.footer).toMatch(
            /^dfr_backup\./
        );
    }
});

test("a backup is of one moment, and takes no time", async () => {
    await mountPopover(true);
    expect(".list-group:first li:last").toHaveText("08:00");
});
