import {
    defineModels,
    fields,
    models,
    mountView,
    onRpc,
} from "@web/../tests/web_test_helpers";
import {describe, expect, test} from "@odoo/hoot";
import {advanceTime} from "@odoo/hoot-mock";
import {queryAllAttributes} from "@odoo/hoot-dom";
import {defineMailModels} from "@mail/../tests/mail_test_helpers";

describe.current.tags("desktop");
defineMailModels(); // of whatever else is on the screen

class Job extends models.Model {
    _name = "backup.job";

    size = fields.Float();
    left = fields.Float();
    step_ids = fields.One2many({relation: "backup.step"});

    _records = [{id: 1, size: 1536, left: 100, step_ids: [1, 2, 3, 4]}];
}

class Step extends models.Model {
    _name = "backup.step";

    about = fields.Char();
    kind = fields.Char();
    state = fields.Char();
    duration = fields.Float();
    progress = fields.Float();
    bytes_done = fields.Float();
    bytes_total = fields.Float();
    speed = fields.Float();
    error = fields.Text();
    hint = fields.Text();
    error_code = fields.Char();
    log = fields.Text();

    _records = [
        {id: 1, kind: "dump_database", state: "success", duration: 3, bytes_done: 2048},
        {
            id: 2,
            kind: "upload",
            state: "failure",
            error: "It is full.",
            hint: "Make room.",
            error_code: "S3-39",
            log: "a line",
        },
        {
            id: 3,
            kind: "verify",
            state: "running",
            duration: 5,
            progress: 40,
            bytes_done: 1024,
            bytes_total: 4096,
            log: "what it tries again",
        },
        {id: 4, kind: "cleanup", state: "pending"},
    ];
}

defineModels([Job, Step]);
onRpc("has_group", () => true);

function mountJob() {
    return mountView({
        resModel: "backup.job",
        resId: 1,
        type: "form",
        arch: `<form>
            <field name="size" widget="backup_bytes" readonly="1" />
            <field name="left" widget="backup_time_left" readonly="1" />
            <field name="step_ids" widget="backup_steps">
                <list>
                    <field name="display_name" />
                    <field name="about" />
                    <field name="kind" />
                    <field name="state" />
                    <field name="duration" />
                    <field name="progress" />
                    <field name="bytes_done" />
                    <field name="bytes_total" />
                    <field name="speed" />
                    <field name="error" />
                    <field name="hint" />
                    <field name="error_code" />
                    <field name="log" />
                </list>
            </field>
        </form>`,
    });
}

test("each step has its state, and a failed one says why", async () => {
    await mountJob();
    expect(queryAllAttributes(".o_backup_step", "data-state")).toEqual([
        "success",
        "failure",
        "running",
        "pending",
    ]);
    const failed = ".o_backup_step[data-state=failure]";
    expect(`${failed} .o_backup_error`).toHaveText("It is full.");
    expect(`${failed} .o_backup_hint`).toHaveText("Make room.");
    expect(`${failed} .o_backup_error_code`).toHaveText("S3-39");
    expect(`${failed} .o_backup_log`).toBeVisible();
    expect(".o_backup_error").toHaveCount(1);
});

test("only the step that runs has a bar, and its seconds go on", async () => {
    await mountJob();
    expect(".progress").toHaveCount(1);
    const running = ".o_backup_step[data-state=running]";
    expect(`${running} .progress`).toHaveAttribute("aria-valuenow", "40");
    expect(`${running} .o_backup_log`).toBeVisible();
    expect(`${running} .o_backup_measures`).toHaveText(/1\.0 KiB.*4\.0 KiB.*5\.0 s/);
    await advanceTime(3000);
    expect(`${running} .o_backup_measures`).toHaveText(/[789]\.\d s/);
    expect("[data-kind=cleanup] .o_backup_measures").toHaveText("");
});

test("bytes and the time left are written for people", async () => {
    await mountJob();
    expect(".o_field_widget[name=size]").toHaveText("1.5 KiB");
    expect(".o_field_widget[name=left]").toHaveText(/\b2\b/);
});
