import {Component, onWillUnmount, useRef, useState} from "@odoo/owl";
import {_t} from "@web/core/l10n/translation";
import {browser} from "@web/core/browser/browser";
import {registry} from "@web/core/registry";
import {useService} from "@web/core/utils/hooks";
import {standardFieldProps} from "@web/views/fields/standard_field_props";
import {formatBytes, formatSeconds} from "../fields/formatted_fields";
import {sendPiece, TooLarge, Unreachable} from "./pieces";

const PAUSES = [1, 2, 5, 10, 30]; // seconds, after which a lost connection is tried again
const SMALLEST_PIECE = 256 * 1024;
const CODE = /^\[[A-Z0-9]+-\d+\]$/;

/** What an error of ours says: its message, what to do, and its code as the last line. */
export function toldBy(text) {
    const [error, ...lines] = text.split("\n");
    const code = CODE.test(lines.at(-1)) ? lines.pop() : "";
    return {error, code, hint: lines.join("\n")};
}

/** A file on its way to the server: chosen, sent in pieces, looked at. */
export class BackupUploadField extends Component {
    static template = "dfr_backup.BackupUploadField";
    static props = {...standardFieldProps};

    setup() {
        this.orm = useService("orm");
        this.input = useRef("input");
        this.state = useState({phase: "idle", done: 0, size: 0, speed: 0, over: false});
        this.abort = null;
        onWillUnmount(() => this.abort?.abort());
    }

    get record() {
        return this.props.record;
    }

    get isReady() {
        return this.state.phase === "idle" && this.record.data.is_ready;
    }

    get percent() {
        return this.state.size
            ? Math.floor((100 * this.state.done) / this.state.size)
            : 0;
    }

    get measures() {
        const {done, size, speed} = this.state;
        const parts = [
            _t("%(done)s of %(total)s", {
                done: formatBytes(done),
                total: formatBytes(size),
            }),
        ];
        if (speed) {
            parts.push(`${formatBytes(speed)}/s`);
            parts.push(_t("%s left", formatSeconds((size - done) / speed)));
        }
        return parts.join(" · ");
    }

    choose() {
        this.input.el.value = "";
        this.input.el.click();
    }

    onChosen(event) {
        this.begin(event.target.files[0]);
    }

    onDrop(event) {
        this.state.over = false;
        this.begin(event.dataTransfer.files[0]);
    }

    stop() {
        this.abort?.abort();
    }

    async begin(file) {
        if (!file || this.state.phase === "sending" || this.state.phase === "looking") {
            return;
        }
        this.file = file;
        this.abort = new AbortController();
        const {signal} = this.abort;
        Object.assign(this.state, {phase: "sending", name: file.name, size: file.size});
        Object.assign(this.state, {done: 0, speed: 0, error: "", code: "", hint: ""});
        try {
            await this.send(file, signal);
            this.state.phase = "looking";
            await this.orm.call(this.record.resModel, "finish_upload", [
                [this.record.resId],
            ]);
            await this.record.save({reload: false});
            await this.record.load();
            this.state.phase = "idle";
        } catch (error) {
            this.fail(error, signal);
        }
    }

    async send(file, signal) {
        const args = [[this.record.resId], file.name, file.size, file.lastModified];
        const start = await this.orm.call(this.record.resModel, "start_upload", args);
        const began = {at: Date.now(), from: start.received};
        let {piece, received} = start;
        let failures = 0;
        while (received < file.size) {
            signal.throwIfAborted();
            try {
                const part = file.slice(received, received + piece);
                const from = received;
                received = await sendPiece(start.url, from, part, signal, (sent) =>
                    this.show(from + sent, began)
                );
                failures = 0;
            } catch (error) {
                if (error instanceof TooLarge && piece > SMALLEST_PIECE) {
                    piece /= 2; // a proxy allows less in one request
                } else if (error instanceof Unreachable && failures < PAUSES.length) {
                    await this.pause(PAUSES[failures++], signal);
                } else {
                    throw error;
                }
            }
            this.show(received, began);
        }
    }

    async pause(seconds, signal) {
        await new Promise((resolve) => browser.setTimeout(resolve, 1000 * seconds));
        signal.throwIfAborted();
    }

    show(done, began) {
        const seconds = (Date.now() - began.at) / 1000;
        this.state.done = done;
        this.state.speed = seconds > 1 ? (done - began.from) / seconds : 0;
    }

    fail(error, signal) {
        if (signal.aborted) {
            this.state.phase = "idle";
            return;
        }
        const text = error.data?.message || error.message || String(error);
        Object.assign(this.state, {phase: "failed", ...toldBy(text)});
        this.state.canGoOn = error instanceof Unreachable;
    }
}

registry.category("fields").add("backup_upload", {
    component: BackupUploadField,
    supportedTypes: ["char"],
    fieldDependencies: [{name: "is_ready", type: "boolean"}],
});
