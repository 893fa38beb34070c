import {
    MockServer,
    defineModels,
    fields,
    models,
    mountView,
    onRpc,
} from "@web/../tests/web_test_helpers";
import {advanceTime, animationFrame} from "@odoo/hoot-mock";
import {click, setInputFiles, waitFor} from "@odoo/hoot-dom";
import {describe, expect, test} from "@odoo/hoot";
import {defineMailModels} from "@mail/../tests/mail_test_helpers";

describe.current.tags("desktop");
defineMailModels(); // of whatever else is on the screen

const KIB = 1024;
const PIECES = "/backup_test/pieces";
const FAILED = ".o_backup_upload[data-phase=failed]";

class ImportWizard extends models.Model {
    _name = "backup.import.wizard";

    name = fields.Char();
    is_ready = fields.Boolean();

    _records = [{id: 1, is_ready: false}];
}

defineModels([ImportWizard]);

/**
 * Mount the field before a server that takes pieces of so many bytes.
 *
 * @param {Number} piece
 * @param {(offset: Number, size: Number) => [Number, Object] | undefined} refuse
 *  what it answers instead of taking a piece: a status, and the answer.
 */
async function mountUpload(piece, refuse = () => undefined) {
    let received = 0;
    onRpc("backup.import.wizard", "start_upload", ({args}) => {
        expect.step(`start ${args[1]} ${args[2]}`);
        return {url: PIECES, piece, received};
    });
    onRpc("backup.import.wizard", "finish_upload", ({args}) => {
        expect.step("finish");
        MockServer.env["backup.import.wizard"].write(args[0], {is_ready: true});
        return true;
    });
    onRpc(PIECES, async (request) => {
        const offset = Number(new URL(request.url).searchParams.get("offset"));
        const {size} = await request.blob();
        expect.step(`${offset} ${size}`);
        const [status, answer] = refuse(offset, size) || [200, null];
        if (!answer) {
            received = offset + size;
        }
        return new Response(JSON.stringify(answer || {received}), {status});
    });
    await mountView({
        resModel: "backup.import.wizard",
        resId: 1,
        type: "form",
        arch: `<form>
            <field name="is_ready" invisible="1" />
            <field name="name" widget="backup_upload" />
        </form>`,
    });
}

async function choose(size) {
    await click("button[name=choose_file]");
    await setInputFiles([new File([new Uint8Array(size)], "shop.zip")]);
    await animationFrame();
}

test("a file goes in pieces, and the server looks at it in the end", async () => {
    await mountUpload(4);
    await choose(10);
    await waitFor(".o_backup_upload[data-phase=ready]");
    expect.verifySteps(["start shop.zip 10", "0 4", "4 4", "8 2", "finish"]);
    expect(".o_backup_upload .progress").toHaveCount(0);
});

test("where a proxy takes less, the pieces become smaller", async () => {
    await mountUpload(1024 * KIB, (_offset, size) =>
        size > 512 * KIB ? [413, {}] : undefined
    );
    await choose(1200 * KIB);
    await waitFor(".o_backup_upload[data-phase=ready]");
    const [whole, half] = [1024 * KIB, 512 * KIB];
    expect.verifySteps([
        `start shop.zip ${1200 * KIB}`,
        `0 ${whole}`,
        `0 ${half}`,
        `${half} ${half}`,
        `${2 * half} ${176 * KIB}`,
        "finish",
    ]);
});

test("a server that is away is tried again, and then the file goes on", async () => {
    let isAway = true;
    await mountUpload(4, (offset) => (isAway && offset ? [503, {}] : undefined));
    await choose(6);
    expect.verifySteps(["start shop.zip 6", "0 4", "4 2"]);
    for (const pause of [1, 2, 5, 10, 30]) {
        expect(".o_backup_upload").toHaveAttribute("data-phase", "sending");
        await advanceTime(1000 * pause);
        await animationFrame();
        expect.verifySteps(["4 2"]);
    }
    await waitFor(`${FAILED} .alert-danger`);
    isAway = false;
    await click("button[name=continue_upload]");
    await waitFor(".o_backup_upload[data-phase=ready]");
    expect.verifySteps(["start shop.zip 6", "4 2", "finish"]);
});

test("what the server refuses is said, and not tried again", async () => {
    await mountUpload(4, () => [
        200,
        {error: "It is full.", hint: "Make room.\n[S3-39]"},
    ]);
    await choose(10);
    await waitFor(`${FAILED} .alert-danger`);
    expect.verifySteps(["start shop.zip 10", "0 4"]);
    expect(`${FAILED} strong`).toHaveText("It is full.");
    expect(`${FAILED} code`).toHaveText("[S3-39]");
    expect(`${FAILED} .alert-danger div`).toHaveText("Make room.");
    expect("button[name=continue_upload]").toHaveCount(0);
    expect("button[name=choose_file]").toBeEnabled();
});

test("an upload that was stopped sends nothing more", async () => {
    await mountUpload(4, () => [503, {}]);
    await choose(10);
    expect.verifySteps(["start shop.zip 10", "0 4"]);
    await click("button[name=stop_upload]");
    await advanceTime(60_000);
    await animationFrame();
    expect.verifySteps([]);
    expect(".o_backup_upload").toHaveAttribute("data-phase", "idle");
    expect(".o_backup_upload .alert-danger").toHaveCount(0);
});
