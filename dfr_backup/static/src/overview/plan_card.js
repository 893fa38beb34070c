import { Component } from "@odoo/owl";
import { _t } from "@web/core/l10n/translation";
import { formatBytes } from "../fields/formatted_fields";
import { ago, ICONS, moment } from "./looks";
import { RunStrip } from "./run_strip";
import { Running } from "./running";
import { TrendChart } from "./trend_chart";

/** All that one wants to know of a plan. */
export class PlanCard extends Component {
    static template = "dfr_backup.PlanCard";
    static components = { RunStrip, Running, TrendChart };
    static props = {
        plan: Object,
        runs: Array, // that are open
        manager: Boolean,
        onRun: Function,
        onOpenRun: Function,
        onOpenPlan: Function,
        onCancel: Function,
    };

    setup() {
        this.icons = ICONS;
        this.ago = ago;
        this.moment = moment;
        this.formatBytes = formatBytes;
    }

    get goodRuns() {
        return this.props.plan.runs.filter((run) => ["success", "partial"].includes(run.state));
    }

    /** What will happen, for a plan that has never run. */
    get promise() {
        const { plan } = this.props;
        const values = { contents: plan.contents, storages: plan.storages.join(", ") };
        const what = _t(
            "%(contents)s are saved as one archive to %(storages)s, read back and compared.",
            values
        );
        const when = plan.next_run
            ? _t("%(ago)s, on %(date)s:", {
                  ago: ago(plan.next_run),
                  date: moment(plan.next_run),
              })
            : _t("When you press the button:");
        return `${when} ${what}`;
    }
}
