import {Component, onMounted, onWillUnmount, useState} from "@odoo/owl";
import {browser} from "@web/core/browser/browser";
import {registry} from "@web/core/registry";
import {standardFieldProps} from "@web/views/fields/standard_field_props";
import {_t} from "@web/core/l10n/translation";
import {formatBytes, formatSeconds} from "./formatted_fields";

const LOOKS = {
    pending: {icon: "fa-circle-o", tone: "muted", label: _t("Waiting")},
    running: {icon: "fa-spinner fa-spin", tone: "info", label: _t("Running")},
    success: {icon: "fa-check-circle", tone: "success", label: _t("Succeeded")},
    warning: {
        icon: "fa-exclamation-circle",
        tone: "warning",
        label: _t("Succeeded with warnings"),
    },
    failure: {icon: "fa-times-circle", tone: "danger", label: _t("Failed")},
    skipped: {icon: "fa-minus-circle", tone: "muted", label: _t("Skipped")},
};

/** The steps of a run, one below the other, each with its log to unfold. */
export class BackupStepsField extends Component {
    static template = "dfr_backup.BackupStepsField";
    static props = {...standardFieldProps};

    setup() {
        this.clock = useState({now: Date.now()});
        this.seen = {};
        let timer = null;
        onMounted(() => {
            timer = browser.setInterval(() => this.tick(), 1000);
        });
        onWillUnmount(() => browser.clearInterval(timer));
    }

    /** Let the seconds of a running step go on between two looks at the server. */
    tick() {
        if (this.steps.some((step) => step.state === "running")) {
            this.clock.now = Date.now();
        }
    }

    /** The seconds of a step now, given those that the server told the last time. */
    duration(step) {
        if (step.state !== "running") {
            return step.duration;
        }
        const {now} = this.clock; // read at every rendering, or the clock would not cause one
        const seen = this.seen[step.key];
        if (!seen || seen.duration !== step.duration) {
            this.seen[step.key] = {duration: step.duration, at: Date.now()};
            return step.duration;
        }
        return step.duration + Math.max(now - seen.at, 0) / 1000;
    }

    get steps() {
        const {records} = this.props.record.data[this.props.name];
        return records.map((record, index) => ({
            id: record.id,
            key: record.resId,
            ...record.data,
            look: LOOKS[record.data.state],
            // the backup that this step and those below it are about
            heading:
                record.data.about !== records[index - 1]?.data.about &&
                record.data.about,
        }));
    }

    /** Tell whether the log is what people come for. */
    isOpen(step) {
        return (
            ["running", "failure", "warning"].includes(step.state) ||
            step.kind === "repair"
        );
    }

    /** Tell whether the run has not said already what went wrong in this step. */
    saysMore(step) {
        return step.error && !(this.props.record.data.error || "").includes(step.error);
    }

    measures(step) {
        const parts = [];
        if (step.bytes_done) {
            const total =
                step.state === "running" && step.bytes_total > step.bytes_done;
            parts.push(
                total
                    ? _t("%(done)s of about %(total)s", {
                          done: formatBytes(step.bytes_done),
                          total: formatBytes(step.bytes_total),
                      })
                    : formatBytes(step.bytes_done)
            );
        }
        if (step.speed && step.bytes_done) {
            parts.push(`${formatBytes(step.speed)}/s`);
        }
        if (!["pending", "skipped"].includes(step.state)) {
            parts.push(formatSeconds(this.duration(step)));
        }
        return parts.join(" · ");
    }
}

registry.category("fields").add("backup_steps", {
    component: BackupStepsField,
    supportedTypes: ["one2many"],
    useSubView: true,
    relatedFields: () =>
        [
            ["display_name", "char"],
            ["about", "char"],
            ["kind", "char"],
            ["state", "char"],
            ["duration", "float"],
            ["progress", "float"],
            ["bytes_done", "float"],
            ["bytes_total", "float"],
            ["speed", "float"],
            ["error", "text"],
            ["hint", "text"],
            ["error_code", "char"],
        ].map(([name, type]) => ({name, type, readonly: true})),
});
