import {
    defineModels,
    fields,
    models,
    mountView,
    onRpc,
    patchWithCleanup,
} from "@web/../tests/web_test_helpers";
import {describe, expect, test} from "@odoo/hoot";
import {animationFrame} from "@odoo/hoot-mock";
import {click} from "@odoo/hoot-dom";
import {defineMailModels} from "@mail/../tests/mail_test_helpers";
import {downloadFile} from "@web/core/network/download";

describe.current.tags("desktop");
defineMailModels(); // of whatever else is on the screen

const PRIVATE = "AGE-SECRET-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0JQ";
const PUBLIC = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudm2c2cqwaf5ty";
const FINGERPRINT = "SHA256:1Zy0";

class KeyWizard extends models.Model {
    _name = "backup.key.wizard";

    private_key = fields.Char();
    public_key = fields.Char();
    fingerprint = fields.Char();

    _records = [
        {id: 1, private_key: PRIVATE, public_key: PUBLIC, fingerprint: FINGERPRINT},
    ];
}

defineModels([KeyWizard]);

function mountDialog() {
    return mountView({
        resModel: "backup.key.wizard",
        resId: 1,
        type: "form",
        arch: `<form>
            <field name="private_key" />
            <field name="public_key" />
            <field name="fingerprint" />
            <widget name="backup_key_save" />
        </form>`,
    });
}

test("the file is the key, and everything else in it is a comment", async () => {
    const files = [];
    patchWithCleanup(downloadFile, {_download: (...file) => files.push(file)});
    await mountDialog();
    await click("button[name=download_key]");
    expect(files).toHaveLength(1);
    const [text, name, type] = files[0];
    expect([name, type]).toEqual(["backup-key.txt", "text/plain"]);
    const lines = text.split("\n");
    expect(lines.filter((line) => !line.startsWith("#"))).toEqual([PRIVATE, ""]);
    const comments = lines.filter((line) => line.startsWith("# ")).join("\n");
    for (const value of [window.location.host, PUBLIC, FINGERPRINT]) {
        expect(comments).toInclude(value);
    }
});

test("what is printed says the same, and is nowhere afterwards", async () => {
    const frames = [];
    patchWithCleanup(document.body, {
        append(frame) {
            super.append(frame);
            frames.push(frame);
            frame.contentWindow.print = () => expect.step("print");
        },
    });
    await mountDialog();
    await click("button[name=print_key]");
    expect.verifySteps(["print"]);
    const [frame] = frames;
    const lines = frame.contentDocument.body.textContent.split("\n");
    expect(lines).toHaveLength(5);
    expect(lines[0]).toInclude(window.location.host);
    expect(lines[1]).toBe(PRIVATE);
    expect(lines[3]).toInclude(PUBLIC);
    expect(lines[4]).toInclude(FINGERPRINT);
    expect(frame.isConnected).toBe(true, {message: "it is being printed"});
    frame.contentWindow.dispatchEvent(new Event("afterprint"));
    expect(frame.isConnected).toBe(false);
});

test("neither button sends the private key anywhere", async () => {
    patchWithCleanup(downloadFile, {_download: () => expect.step("download")});
    patchWithCleanup(document.body, {
        append(frame) {
            super.append(frame);
            frame.contentWindow.print = () => frame.remove();
        },
    });
    onRpc("/*", async (request) => {
        if ((await request.text()).includes(PRIVATE)) {
            expect.step("sent");
        }
    });
    await mountDialog();
    await click("button[name=download_key]");
    await click("button[name=print_key]");
    await animationFrame();
    expect.verifySteps(["download"]);
});
