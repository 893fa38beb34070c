import {Component} from "@odoo/owl";
import {_t} from "@web/core/l10n/translation";
import {formatBytes, formatSeconds} from "../fields/formatted_fields";
import {moment} from "./looks";

const SIGNS = {partial: "!", failure: "×", cancelled: "–", pending: "…", running: "…"};

/** The last runs side by side, the newest at the end: what stands out is what went wrong. */
export class RunStrip extends Component {
    static template = "dfr_backup.RunStrip";
    static props = {runs: Array, onOpen: Function};

    setup() {
        this.signs = SIGNS;
    }

    /** "Success · 11/24/2026 02:00 · 1 min 15 s · 30.0 MiB" */
    describe(run) {
        return [
            run.label,
            moment(run.date),
            run.duration && formatSeconds(run.duration),
            run.size && formatBytes(run.size),
        ]
            .filter(Boolean)
            .join(" · ");
    }

    /** "Last runs: 28 succeeded, 1 partially succeeded, 1 failed" */
    get summary() {
        const count = (state) =>
            this.props.runs.filter((run) => run.state === state).length;
        const parts = [
            [count("success"), (n) => _t("%s succeeded", n)],
            [count("partial"), (n) => _t("%s partially succeeded", n)],
            [count("failure"), (n) => _t("%s failed", n)],
            [count("cancelled"), (n) => _t("%s cancelled", n)],
        ];
        const words = parts.filter(([n]) => n).map(([n, say]) => say(n));
        return _t("Last runs: %s", words.join(", ") || _t("none has finished yet"));
    }
}
