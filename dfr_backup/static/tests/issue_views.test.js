import {
    contains,
    defineModels,
    fields,
    models,
    mountView,
    onRpc,
} from "@web/../tests/web_test_helpers";
import {describe, expect, test} from "@odoo/hoot";
import {defineMailModels} from "@mail/../tests/mail_test_helpers";

describe.current.tags("desktop");
defineMailModels(); // of whatever else is on the screen

const REPAIR_ALL = "button[name=action_repair_all]";

class Copy extends models.Model {
    _name = "backup.copy";

    name = fields.Char();

    _records = [{id: 1, name: "Sunday"}];
}

class Issue extends models.Model {
    _name = "backup.filestore.issue";

    name = fields.Char();
    good_copy_id = fields.Many2one({relation: "backup.copy"});

    _records = [
        {id: 1, name: "lost"},
        {id: 2, name: "found", good_copy_id: 1},
    ];
}

defineModels([Copy, Issue]);

const HEADER = `<header>
    <button name="action_repair_all" type="object" string="All" display="always"
        invisible="not good_copy_id" />
    <button name="never" type="object" string="Never" display="always"
        invisible="context.get('no')" />
</header>`;
const ARCHS = {
    list: `<list js_class="backup_issue_list">${HEADER}
        <field name="name" /><field name="good_copy_id" column_invisible="1" />
    </list>`,
    kanban: `<kanban js_class="backup_issue_kanban">${HEADER}
        <field name="good_copy_id" />
        <templates><t t-name="card"><field name="name" /></t></templates>
    </kanban>`,
};

for (const [type, arch] of Object.entries(ARCHS)) {
    const mountIssues = (name) =>
        mountView({
            resModel: "backup.filestore.issue",
            type,
            arch,
            domain: name ? [["name", "=", name]] : [],
            context: {no: true},
        });

    test(`a ${type} where one file can be repaired offers it`, async () => {
        onRpc("backup.filestore.issue", "action_repair_all", () => {
            expect.step("repair");
            return false;
        });
        await mountIssues();
        expect("button[name=never]").toHaveCount(0);
        await contains(REPAIR_ALL).click();
        expect.verifySteps(["repair"]);
    });

    test(`a ${type} where none can be repaired does not offer it`, async () => {
        await mountIssues("lost");
        expect(REPAIR_ALL).toHaveCount(0);
    });

    test(`a ${type} without problems does not offer it`, async () => {
        await mountIssues("none");
        expect(REPAIR_ALL).toHaveCount(0);
    });
}
