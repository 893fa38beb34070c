import {Component, onWillRender} from "@odoo/owl";
import {_t} from "@web/core/l10n/translation";
import {formatBytes} from "../fields/formatted_fields";
import {TimeLeft} from "../live/time_left";

/** A run that goes on, or waits for its turn. */
export class Running extends Component {
    static template = "dfr_backup.Running";
    static props = {
        run: Object,
        manager: Boolean,
        onOpen: Function,
        onCancel: Function,
    };

    setup() {
        this.left = new TimeLeft();
        onWillRender(() => this.left.update(this.props.run.seconds_left));
    }

    get title() {
        const {run} = this.props;
        if (run.cancel_requested) {
            return _t("Stopping");
        }
        return run.state === "pending"
            ? _t("Waiting to start")
            : run.step || _t("Running");
    }

    /** "12.0 MiB of about 30.0 MiB · 5.1 MiB/s · about 2 min left" */
    get measures() {
        const {bytes_done: done, bytes_total: total, speed} = this.props.run;
        const parts = [];
        if (done) {
            const sizes = {done: formatBytes(done), total: formatBytes(total)};
            parts.push(
                total > done ? _t("%(done)s of about %(total)s", sizes) : sizes.done
            );
        }
        if (done && speed) {
            parts.push(`${formatBytes(speed)}/s`);
        }
        return [...parts, this.left.text].filter(Boolean).join(" · ");
    }
}
