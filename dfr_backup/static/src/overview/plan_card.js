import {Component} from "@odoo/owl";
import {_t} from "@web/core/l10n/translation";
import {formatBytes, formatSeconds} from "../fields/formatted_fields";
import {ago, ICONS, moment} from "./looks";
import {RunStrip} from "./run_strip";
import {Running} from "./running";
import {TrendChart} from "./trend_chart";

/** 3250586 -> "+3.1 MiB" */
function signedBytes(bytes) {
    return `${bytes < 0 ? "−" : "+"}${formatBytes(Math.abs(bytes))}`;
}

/** All that one wants to know of a plan. */
export class PlanCard extends Component {
    static template = "dfr_backup.PlanCard";
    static components = {RunStrip, Running, TrendChart};
    static props = {
        plan: Object,
        runs: Array, // that are open
        manager: Boolean,
        onRun: Function,
        onStaging: Function,
        onOpenRun: Function,
        onOpenPlan: Function,
        onCancel: Function,
    };

    setup() {
        this.icons = ICONS;
        this.ago = ago;
        this.moment = moment;
    }

    get verified() {
        const {size, verified_at: verified} = this.props.plan.good;
        return _t("%(size)s, verified %(ago)s", {
            size: formatBytes(size),
            ago: ago(verified),
        });
    }

    get missing() {
        return _t("not in %s", this.props.plan.good.missing.join(", "));
    }

    get proven() {
        const {proof, proof_seconds: seconds} = this.props.plan;
        return _t("%(date)s, in %(duration)s", {
            date: moment(proof),
            duration: formatSeconds(seconds),
        });
    }

    /** "Last backup: +3.1 MiB. Grew most, before compression: Messages +12.0 MiB" */
    get change() {
        const {difference, reasons} = this.props.plan.change;
        const total = _t("Last backup: %s", signedBytes(difference));
        const parts = reasons.map(([name, bytes]) => `${name} ${signedBytes(bytes)}`);
        if (!parts.length) {
            return total;
        }
        const most = parts.join(", ");
        return difference < 0
            ? _t("%(total)s. Shrank most, before compression: %(most)s", {total, most})
            : _t("%(total)s. Grew most, before compression: %(most)s", {total, most});
    }

    get goodRuns() {
        return this.props.plan.runs.filter((run) =>
            ["success", "partial"].includes(run.state)
        );
    }

    /** "The first backup runs in 9 hours, on Nov 25, 2:00 AM." */
    get firstRun() {
        const {next_run: next} = this.props.plan;
        return next
            ? _t("The first backup runs %(ago)s, on %(date)s.", {
                  ago: ago(next),
                  date: moment(next),
              })
            : _t("This plan runs only when started manually.");
    }

    /** What will happen then. */
    get promise() {
        const {contents, storages} = this.props.plan;
        if (!storages.length) {
            return _t("Its storages are archived: it cannot store anything.");
        }
        return _t(
            "It backs up %(contents)s to %(storages)s and verifies the backup there. Users can keep working meanwhile.",
            {contents, storages: storages.join(", ")}
        );
    }
}
