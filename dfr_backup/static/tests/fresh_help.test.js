import {
    defineModels,
    fields,
    models,
    mountView,
    mountWithCleanup,
    onRpc,
} from "@web/../tests/web_test_helpers";
import {describe, expect, test} from "@odoo/hoot";
import {FreshHelp} from "@dfr_backup/empty/fresh_help";
import {defineMailModels} from "@mail/../tests/mail_test_helpers";
import {markup} from "@odoo/owl";

describe.current.tags("desktop");
defineMailModels(); // of whatever else is on the screen

const FORMER = markup`<p class="former">There is no plan</p>`;
const NOW = '<p class="now">There is a plan</p>';

class Plan extends models.Model {
    _name = "backup.plan";

    name = fields.Char();

    _records = [{id: 1, name: "Nightly"}];
}

defineModels([Plan]);

function answer(help) {
    onRpc("/web/action/load", async (request) => {
        const {params} = await request.json();
        expect.step(params.action_id);
        return {help};
    });
}

function mountHelp(config) {
    return mountWithCleanup(FreshHelp, {
        componentEnv: {config},
        props: {noContentHelp: FORMER},
    });
}

test("what the server says now is shown, not what it said before", async () => {
    answer(NOW);
    await mountHelp({actionId: 5});
    expect.verifySteps([5]);
    expect(".o_nocontent_help .now").toHaveCount(1);
    expect(".o_nocontent_help .former").toHaveCount(0);
});

test("an action that has no help any more shows none", async () => {
    answer(false);
    await mountHelp({actionId: 5});
    expect.verifySteps([5]);
    expect(".o_nocontent_help").toHaveText("");
});

test("a view that no action has opened keeps its help", async () => {
    answer(NOW);
    await mountHelp({});
    expect.verifySteps([]);
    expect(".o_nocontent_help .former").toHaveCount(1);
});

const ARCHS = {
    list: '<list js_class="backup_list"><field name="name" /></list>',
    kanban: `<kanban js_class="backup_kanban">
        <templates><t t-name="card"><field name="name" /></t></templates>
    </kanban>`,
};

for (const [type, arch] of Object.entries(ARCHS)) {
    test(`a ${type} asks when it is empty, and only then`, async () => {
        answer(NOW);
        const view = {
            resModel: "backup.plan",
            type,
            arch,
            noContentHelp: FORMER,
            config: {actionId: 5},
        };
        await mountView(view);
        expect.verifySteps([]);
        expect(".o_view_nocontent").toHaveCount(0);
        await mountView({...view, domain: [["name", "=", "none"]]});
        expect.verifySteps([5]);
        expect(".o_view_nocontent .now").toHaveCount(1);
    });
}
