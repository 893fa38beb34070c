import {describe, expect, test} from "@odoo/hoot";
import {mockService, mountWithCleanup, onRpc} from "@web/../tests/web_test_helpers";
import {animationFrame} from "@odoo/hoot-mock";
import {BackupSystray} from "@dfr_backup/systray/backup_systray";
import {click} from "@odoo/hoot-dom";
import {defineMailModels} from "@mail/../tests/mail_test_helpers";

describe.current.tags("desktop");
defineMailModels(); // of whatever else is on the screen

const ALARM = {key: "a", title: "Nightly", text: "It failed", action: "one.action"};

async function mountSystray(status) {
    onRpc("backup.overview", "get_status", () => status);
    mockService("backup_live", {
        follow: (follower) => {
            follower.refresh(null);
            return () => undefined;
        },
    });
    mockService("action", {
        doAction: (action) => expect.step(action.res_id || action),
    });
    await mountWithCleanup(BackupSystray);
    await animationFrame();
}

test("it says nothing while all is well", async () => {
    await mountSystray({running: false, alarms: []});
    expect(".o_backup_systray button").toHaveCount(0);
});

test("it shows a run that goes on, and leads to it", async () => {
    const running = {id: 7, name: "B7", state: "running", step: "", progress: 41.6};
    await mountSystray({running, alarms: []});
    expect(".o_backup_systray").toHaveText(/42/);
    await click(".o_backup_systray button");
    expect.verifySteps([7]);
});

test("of one alarm, it leads to what is wrong", async () => {
    await mountSystray({running: false, alarms: [ALARM]});
    expect(".o_backup_systray .badge").toHaveCount(1);
    await click(".o_backup_systray button");
    expect.verifySteps(["one.action"]);
});

test("of several alarms, it leads to the overview", async () => {
    await mountSystray({running: false, alarms: [ALARM, {...ALARM, key: "b"}]});
    await click(".o_backup_systray button");
    expect.verifySteps(["dfr_backup.backup_overview_action"]);
});
