import {Component, onWillStart, useState} from "@odoo/owl";
import {browser} from "@web/core/browser/browser";
import {_t} from "@web/core/l10n/translation";
import {ConfirmationDialog} from "@web/core/confirmation_dialog/confirmation_dialog";
import {registry} from "@web/core/registry";
import {user} from "@web/core/user";
import {useService} from "@web/core/utils/hooks";
import {Layout} from "@web/search/layout";
import {standardActionServiceProps} from "@web/webclient/actions/action_service";
import {useBackupLive} from "../live/live_service";
import {Advice} from "./advice";
import {ago, ICONS, moment} from "./looks";
import {PlanCard} from "./plan_card";
import {Running} from "./running";
import {StorageCard} from "./storage_card";

const DOWNLOADED = 2000; // ms after which the server knows that a page was fetched

/** Am I safe? When was the last good backup, and where is it? What is next? What is wrong? */
export class BackupOverview extends Component {
    static template = "dfr_backup.Overview";
    static components = {Advice, Layout, PlanCard, Running, StorageCard};
    static props = {...standardActionServiceProps};

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
        this.dialog = useService("dialog");
        this.icons = ICONS;
        this.state = useState({page: null});
        this.live = useBackupLive({
            refresh: (message) => this.refresh(message),
            isBusy: () => this.state.page.running.length > 0,
        });
        onWillStart(() => this.load());
    }

    async load() {
        this.state.page = await this.orm.silent.call("backup.overview", "get_overview");
    }

    /** Take over the numbers of a message; ask for the words when the run has got further. */
    async refresh(message) {
        const run =
            message && this.state.page.running.find((run) => run.id === message.id);
        const same =
            run &&
            run.state === message.state &&
            run.step_id === message.step_id &&
            run.cancel_requested === message.cancel_requested;
        if (same) {
            Object.assign(run, message);
        } else {
            await this.load();
        }
    }

    get page() {
        return this.state.page;
    }

    /** The runs that belong to no card. */
    get others() {
        const cards = this.page.plans.map((plan) => plan.id);
        return this.page.running.filter((run) => !cards.includes(run.plan_id));
    }

    runsOf(plan) {
        return this.page.running.filter((run) => run.plan_id === plan.id);
    }

    get setUpLabel() {
        return this.page.setup === "new" ? _t("Set Up Backups") : _t("Continue Set-up");
    }

    get goodText() {
        const good = this.page.verdict.good;
        return _t("Last verified backup: %(ago)s (%(date)s), in %(storages)s.", {
            ago: ago(good.date),
            date: moment(good.date),
            storages: good.storages.join(", "),
        });
    }

    /** Of the run that its card shows, so that both say the same. */
    get firstText() {
        const run = this.page.running.find((run) => run.state === "running");
        return run
            ? _t("Done: %s", `${Math.round(run.progress)} %`)
            : _t("It will start in a moment.");
    }

    open(action) {
        return this.action.doAction(action);
    }

    /** Do what a problem's button says. */
    async mend(problem) {
        if (problem.call) {
            await this.orm.call("backup.overview", problem.call);
            await this.load();
        } else {
            await this.open(problem.action);
        }
    }

    openRun(id) {
        return this.openForm("backup.job", id);
    }

    openForm(model, id) {
        return this.open({
            type: "ir.actions.act_window",
            res_model: model,
            res_id: id,
            views: [[false, "form"]],
        });
    }

    /** The guided set-up, where it was left; or one page of it, for one plan. */
    async setUp(planId = null, page = null) {
        const context = {
            ...user.context,
            browser_tz: Intl.DateTimeFormat().resolvedOptions().timeZone,
        };
        const args = [planId, page];
        const action = await this.orm.call("backup.setup", "action_open", args, {
            context,
        });
        // nobody may wait for it: when this page is left, it does not end, and nor would the dialog
        const onClose = () => void this.load();
        return this.action.doAction(action, {onClose});
    }

    /** Do what an item of the advice recommends. */
    async follow(item) {
        if ("page" in item) {
            await this.setUp(item.plan_id, item.page || null);
        } else if (item.call) {
            await this.orm.call("backup.plan", item.call, [item.plan_id]);
            this.live.look();
        } else {
            await this.open(item.action);
            browser.setTimeout(() => this.live.look(), DOWNLOADED);
        }
    }

    async runNow(plan) {
        await this.orm.call("backup.plan", "action_run_now", [plan.id]);
        this.live.look();
    }

    /** Show all backups in a calendar, each with a button to restore it. */
    chooseBackup() {
        return this.open("dfr_backup.backup_restore_action");
    }

    /** Ask what is to become of the newest good backup. */
    async makeStagingCopy(plan) {
        this.open(await this.orm.call("backup.plan", "action_staging", [plan.id]));
    }

    cancel(run) {
        this.dialog.add(ConfirmationDialog, {
            body: _t(
                "Cancel this run? Verified copies are kept; everything else from this run is removed."
            ),
            confirmLabel: _t("Cancel Backup"),
            confirm: async () => {
                await this.orm.call("backup.job", "action_cancel", [run.id]);
                this.live.look();
            },
            cancelLabel: _t("Keep Running"),
            // without it, the dialog has one button only
            cancel: () => undefined,
        });
    }

    /** A run that did not end well was seen: it is shown no longer. */
    async dismissRun(problem) {
        await this.orm.call("backup.overview", "dismiss_run", [problem.dismiss]);
        await this.load();
    }

    async dismiss(key) {
        await this.orm.call("backup.overview", "dismiss_advice", [key]);
        await this.load();
    }

    async restoreAdvice() {
        await this.orm.call("backup.overview", "restore_advice");
        await this.load();
    }
}

registry.category("actions").add("dfr_backup.overview", BackupOverview);
