import {
    contains,
    defineModels,
    fields,
    makeMockEnv,
    makeServerError,
    mockService,
    models,
    mountView,
    mountViewInDialog,
    onRpc,
} from "@web/../tests/web_test_helpers";
import {describe, expect, test} from "@odoo/hoot";
import {animationFrame} from "@odoo/hoot-mock";
import {click} from "@odoo/hoot-dom";
import {defineMailModels} from "@mail/../tests/mail_test_helpers";

describe.current.tags("desktop");
defineMailModels(); // of whatever else is on the screen

const ASK = {type: "ir.actions.act_window", res_model: "res.users.identitycheck"};
const refusal = (code) =>
    makeServerError({message: "Refused", context: {error_code: code}});

class Storage extends models.Model {
    _name = "backup.storage";

    name = fields.Char();

    _records = [{id: 1, name: "Disk"}];
}

defineModels([Storage]);

/** Let Odoo's dialog for the password end as somebody ends it. */
function mockDialog(infos) {
    onRpc("backup.audit", "action_confirm_password", () => {
        expect.step("ask");
        return ASK;
    });
    mockService("action", {
        doAction(action, {onClose}) {
            expect(action).toEqual(ASK);
            onClose(infos);
        },
    });
}

/** Let the server refuse with a code to save, as long as nobody was asked. */
function refuseToSave(code, times = 1) {
    let left = times;
    onRpc("backup.storage", "web_save", () => {
        expect.step("save");
        if (left-- > 0) {
            throw refusal(code);
        }
    });
}

const FORM = {
    resModel: "backup.storage",
    resId: 1,
    type: "form",
    arch: '<form><field name="name" /></form>',
};

async function save() {
    await contains("[name=name] input").edit("Other");
    await click(".o_form_button_save");
    await animationFrame();
    await animationFrame();
}

test("a form goes on by itself once the password is there", async () => {
    refuseToSave("OTHER-31");
    mockDialog({confirmed: true});
    await mountView(FORM);
    await save();
    expect.verifySteps(["save", "ask", "save"]);
    expect(".o_form_button_save").not.toBeVisible();
    expect(".o_error_dialog").toHaveCount(0);
});

test("without the password, nothing is saved and nothing is lost", async () => {
    refuseToSave("OTHER-31");
    mockDialog(undefined);
    await mountView(FORM);
    await save();
    expect.verifySteps(["save", "ask"]);
    expect(".o_form_button_save").toBeVisible();
    expect("[name=name] input").toHaveValue("Other");
});

test("any other refusal is Odoo's to show", async () => {
    expect.errors(1);
    refuseToSave("OTHER-30");
    mockDialog({confirmed: true});
    await mountView(FORM);
    await save();
    expect.verifySteps(["save"]);
    expect.verifyErrors([/Refused/]);
    expect(".o_error_dialog").toHaveCount(1);
});

test("an open dialog keeps its place, and says what was refused", async () => {
    expect.errors(1);
    refuseToSave("OTHER-31");
    mockDialog({confirmed: true});
    await mountViewInDialog(FORM);
    await save();
    expect.verifySteps(["save"]);
    expect.verifyErrors([/Refused/]);
    expect(".o_dialog [name=name] input").toHaveValue("Other");
    expect(".o_error_dialog").toHaveCount(1);
});

for (const [infos, told] of [
    [{confirmed: true}, ["success"]],
    [undefined, []],
]) {
    const outcome = infos ? "entered" : "not entered";
    test(`a button was refused, and the password is ${outcome}`, async () => {
        expect.errors(1);
        mockDialog(infos);
        mockService("notification", {
            add: (_text, {type}) => expect.step(type),
        });
        await makeMockEnv();
        Promise.reject(refusal("OTHER-31"));
        await animationFrame();
        await animationFrame();
        expect.verifyErrors([/Refused/]);
        expect.verifySteps(["ask", ...told]);
        expect(".o_error_dialog").toHaveCount(0);
    });
}
