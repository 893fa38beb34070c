import {
    contains,
    defineModels,
    fields,
    mockService,
    models,
    mountView,
    onRpc,
} from "@web/../tests/web_test_helpers";
import {describe, expect, test} from "@odoo/hoot";
import {animationFrame} from "@odoo/hoot-mock";
import {click} from "@odoo/hoot-dom";
import {defineMailModels} from "@mail/../tests/mail_test_helpers";

describe.current.tags("desktop");
defineMailModels(); // of whatever else is on the screen

const PAGE = {type: "ir.actions.act_window", res_model: "backup.setup", res_id: 7};

class Storage extends models.Model {
    _name = "backup.storage";

    name = fields.Char({required: true});

    _records = [{id: 1, name: "Disk"}];
}

defineModels([Storage]);

function mountStorage(values = {}) {
    onRpc("backup.setup", "action_back", ({args, kwargs}) => {
        expect.step([args, kwargs.context.backup_setup]);
        return PAGE;
    });
    onRpc("backup.storage", "web_save", () => expect.step("saved"));
    mockService("action", {
        doAction: (action) => expect.step(action),
    });
    return mountView({
        resModel: "backup.storage",
        type: "form",
        context: {backup_setup: 7},
        arch: `<form>
            <field name="name" />
            <widget name="backup_setup_back" />
        </form>`,
        ...values,
    });
}

test("back leads to the set-up that has opened the form", async () => {
    await mountStorage({resId: 1});
    await click("button[name=action_back]");
    await animationFrame();
    expect.verifySteps([[[7], 7], PAGE]);
});

test("what was typed is not saved, be it complete or not", async () => {
    await mountStorage({resId: 1});
    await contains("[name=name] input").edit("Other disk");
    await click("button[name=action_back]");
    await animationFrame();
    expect.verifySteps([[[7], 7], PAGE]);
});

test("a new form may be left while it lacks what it needs", async () => {
    await mountStorage();
    await click("button[name=action_back]");
    await animationFrame();
    expect.verifySteps([[[7], 7], PAGE]);
    expect(".o_field_invalid").toHaveCount(0);
});
