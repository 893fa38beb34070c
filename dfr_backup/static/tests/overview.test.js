import {click, queryAll, queryAllAttributes, queryAllTexts} from "@odoo/hoot-dom";
import {describe, expect, test} from "@odoo/hoot";
import {Advice} from "@dfr_backup/overview/advice";
import {PlanCard} from "@dfr_backup/overview/plan_card";
import {RunStrip} from "@dfr_backup/overview/run_strip";
import {Running} from "@dfr_backup/overview/running";
import {StorageCard} from "@dfr_backup/overview/storage_card";
import {animationFrame} from "@odoo/hoot-mock";
import {mountWithCleanup} from "@web/../tests/web_test_helpers";
import {defineMailModels} from "@mail/../tests/mail_test_helpers";

describe.current.tags("desktop");
defineMailModels(); // of whatever else is on the screen

const MIB = 2 ** 20;
const noop = () => undefined;

function run(id, state) {
    const date = "2026-11-24 02:00:00";
    return {id, name: `B${id}`, state, label: state, date, duration: 75, size: MIB};
}

function storage(values) {
    return {
        id: 1,
        name: "Disk",
        provider: "A directory",
        off_site: false,
        count: 2,
        size: 10 * MIB,
        missing: 0,
        packs_size: 0,
        unneeded_size: 0,
        new_size: 0,
        plan: false,
        free: null,
        used: true,
        state: "used",
        tone: "success",
        at: "2026-11-24 02:00:00",
        more: null,
        full_in: null,
        ...values,
    };
}

function mountStorage(values) {
    return mountWithCleanup(StorageCard, {
        props: {
            storage: storage(values),
            onOpen: () => expect.step("open"),
            onOpenPlan: () => expect.step("plan"),
        },
    });
}

test("a storage says how many backups are missing there", async () => {
    await mountStorage({count: 70, missing: 89, state: "never", at: false});
    expect(".o_backup_storage").toHaveText(/70.*89/s);
});

test("a storage of which nobody knows more says what it holds", async () => {
    await mountStorage({});
    expect(".o_backup_storage").toHaveAttribute("data-state", "used");
    expect(".o_backup_storage").toHaveText(/10\.0 MiB/);
    expect(".progress").toHaveCount(0);
    expect(".o_backup_forecast").toHaveCount(0);
    expect(".o_backup_full").toHaveCount(0);
    await click("button");
    expect.verifySteps(["open"]);
});

test("a storage says what it will hold, and when it is full", async () => {
    await mountStorage({free: 30 * MIB, more: 20 * MIB, full_in: 45});
    expect(".progress").toHaveAttribute("aria-valuenow", "25");
    expect(".o_backup_forecast").toHaveText(/30\.0 MiB/);
    expect(".o_backup_full").toHaveAttribute("data-days", "45");
});

test("the attachments in packs count where room is told", async () => {
    const packs = {packs_size: 50 * MIB, unneeded_size: 5 * MIB};
    await mountStorage({...packs, free: 40 * MIB, more: 20 * MIB});
    expect(".o_backup_storage").toHaveText(/10\.0 MiB.*50\.0 MiB.*5\.0 MiB/);
    expect(".progress").toHaveAttribute("aria-valuenow", "60");
    expect(".o_backup_forecast").toHaveText(/80\.0 MiB/);
});

test("a storage says what the last backup has added", async () => {
    await mountStorage({packs_size: 50 * MIB, new_size: 3 * MIB, plan: 7});
    expect(".o_backup_storage").toHaveText(/50\.0 MiB.*3\.0 MiB/);
    await click("button[name='action_open_retention']");
    expect.verifySteps(["plan"]);
});

test("a storage without incremental backups has nothing to say of them", async () => {
    await mountStorage({});
    expect("button[name='action_open_retention']").toHaveCount(0);
    expect(".o_backup_storage").not.toHaveText(/0 B/);
});

test("a storage never holds less than nothing", async () => {
    await mountStorage({more: -20 * MIB});
    expect(".o_backup_forecast").toHaveText(/\b0 B/);
});

function plan(values) {
    return {
        id: 1,
        name: "Nightly",
        schedule: "Every day",
        contents: "Database",
        storages: ["Disk"],
        next_run: "2026-11-25 02:00:00",
        state: "good",
        tone: "success",
        label: "Backed up",
        only_here: false,
        good: {
            job_id: 1,
            date: "2026-11-24 02:00:00",
            size: MIB,
            verified_at: "2026-11-24 02:01:00",
            storages: ["Disk"],
            missing: [],
        },
        proof: false,
        proof_seconds: 0,
        runs: [run(1, "success")],
        change: false,
        ...values,
    };
}

function mountPlan(values, manager = true) {
    return mountWithCleanup(PlanCard, {
        props: {
            plan: plan(values),
            runs: [],
            manager,
            onRun: () => expect.step("run"),
            onStaging: noop,
            onOpenRun: (id) => expect.step(`run ${id}`),
            onOpenPlan: noop,
            onCancel: noop,
        },
    });
}

test("a plan says what its last backup has changed in size", async () => {
    await mountPlan({
        change: {
            difference: 3 * MIB,
            reasons: [
                ["Contact", 2 * MIB],
                ["Attachments", MIB],
            ],
        },
    });
    expect(".o_backup_change").toHaveText(/\+3\.0 MiB.*Contact \+2\.0 MiB, .* \+1\.0/);
});

test("a plan says what has shrunk", async () => {
    await mountPlan({change: {difference: -MIB, reasons: [["Contact", -2 * MIB]]}});
    expect(".o_backup_change").toHaveText(/−1\.0 MiB.*Contact −2\.0 MiB/);
});

test("a plan that nothing is known of promises its first backup", async () => {
    await mountPlan({good: false, runs: [], state: "never", tone: "warning"});
    expect(".o_backup_change").toHaveCount(0);
    expect(".o_backup_strip").toHaveCount(0);
    expect(".o_backup_promise").toHaveText(/Database.*Disk/);
    expect("button[name=action_staging]").toHaveCount(0);
    await click("button[name=action_run_now]");
    expect.verifySteps(["run"]);
});

test("who may only look has no buttons on a plan", async () => {
    await mountPlan({}, false);
    expect("button[name=action_run_now]").toHaveCount(0);
    expect("button[name=action_staging]").toHaveCount(0);
});

test("each run of the strip has a sign, a name and its page", async () => {
    const states = ["success", "partial", "failure", "cancelled", "running"];
    await mountWithCleanup(RunStrip, {
        props: {
            runs: states.map((state, index) => run(index, state)),
            onOpen: (id) => expect.step(id),
        },
    });
    expect(queryAllAttributes(".o_backup_run", "data-state")).toEqual(states);
    expect(queryAllTexts(".o_backup_run")).toEqual(["", "!", "×", "–", "…"]);
    for (const label of queryAllAttributes(".o_backup_run", "aria-label")) {
        expect(label).toMatch(/1\.0 MiB/);
    }
    await click(".o_backup_run[data-state=failure]");
    expect.verifySteps([2]);
});

test("a run that is being stopped cannot be stopped again", async () => {
    const values = {
        id: 7,
        state: "running",
        label: "Backup",
        step: "Upload",
        step_kind: "upload",
        progress: 41.6,
        bytes_done: 5 * MIB,
        bytes_total: 12 * MIB,
        speed: MIB,
        seconds_left: 7,
    };
    const props = {manager: true, onOpen: noop, onCancel: () => expect.step("cancel")};
    await mountWithCleanup(Running, {props: {...props, run: values}});
    expect(".o_backup_running").toHaveAttribute("data-state", "running");
    expect(".progress").toHaveAttribute("aria-valuenow", "42");
    expect(".o_backup_running").toHaveText(/5\.0 MiB.*12\.0 MiB.*1\.0 MiB\/s/);
    await click("button[name=action_cancel]");
    expect.verifySteps(["cancel"]);

    const stopping = {...values, cancel_requested: true};
    await mountWithCleanup(Running, {props: {...props, run: stopping}});
    expect("[data-state=stopping] button[name=action_cancel]").not.toBeEnabled();
});

function point(key, values = {}) {
    return {
        key,
        done: false,
        open: true,
        dismissed: false,
        title: key,
        text: `about ${key}`,
        plans: "Nightly",
        plan_id: 1,
        button: "Do",
        ...values,
    };
}

function mountAdvice(items, values = {}) {
    return mountWithCleanup(Advice, {
        props: {
            items,
            manager: true,
            several: false,
            onFollow: (item) => expect.step(`follow ${item.key}`),
            onDismiss: (key) => expect.step(`dismiss ${key}`),
            onRestore: () => expect.step("restore"),
            ...values,
        },
    });
}

const DONE = {done: true, open: false};
const DISMISSED = {open: false, dismissed: true};

test("the next step is unfolded, what is done is folded", async () => {
    await mountAdvice([
        point("recent", DONE),
        point("off_site"),
        point("kit"),
        point("drill", DISMISSED),
    ]);
    const open = queryAll("li[data-key] details").map((one) => one.open);
    expect(open).toEqual([true, false]);
    expect("[data-done]").toHaveCount(1);
    expect("[data-key=drill]").toHaveCount(0);
    expect(".o_backup_advice").toHaveAttribute("data-score", "33");
    await click("[data-key=off_site] button[name=action_follow]");
    await click("[data-key=off_site] button[name=action_dismiss]");
    await click("button[name=action_restore_advice]");
    expect.verifySteps(["follow off_site", "dismiss off_site", "restore"]);
});

test("a recent backup is never dismissed, and without it all is red", async () => {
    await mountAdvice([point("recent"), point("kit", DONE)]);
    expect("[data-key=recent] button[name=action_dismiss]").toHaveCount(0);
    expect(".progress-bar").toHaveClass("bg-danger");
    expect("button[name=action_restore_advice]").toHaveCount(0);
});

test("of several plans, those that lack something are named", async () => {
    await mountAdvice([point("recent", DONE), point("kit")], {several: true});
    expect("[data-key=kit] details").toHaveText(/Nightly/);
    expect(".progress-bar").toHaveClass("bg-warning");
});

test("who may only look has nothing to press on the list", async () => {
    await mountAdvice([point("recent"), point("kit", DISMISSED)], {manager: false});
    await animationFrame();
    expect(".o_backup_advice button").toHaveCount(0);
});
