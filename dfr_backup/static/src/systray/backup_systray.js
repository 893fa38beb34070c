import {Component, useState} from "@odoo/owl";
import {_t} from "@web/core/l10n/translation";
import {registry} from "@web/core/registry";
import {useService} from "@web/core/utils/hooks";
import {session} from "@web/session";
import {useBackupLive} from "../live/live_service";

/** Says nothing while all is well: it shows what runs, and what is wrong. */
export class BackupSystray extends Component {
    static template = "dfr_backup.Systray";
    static props = {};

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
        this.status = useState({running: false, alarms: []});
        useBackupLive({
            refresh: (message) => this.refresh(message),
            isBusy: () => Boolean(this.status.running),
            atOnce: true,
        });
    }

    async refresh(message) {
        const {running} = this.status;
        if (running && message?.id === running.id && message.state === running.state) {
            Object.assign(running, message);
        } else {
            const status = await this.orm.silent.call("backup.overview", "get_status");
            Object.assign(this.status, status);
        }
    }

    get percent() {
        return Math.round(this.status.running.progress);
    }

    get tooltip() {
        const {running, alarms} = this.status;
        if (running) {
            return _t("%(name)s: %(step)s", {
                name: running.name,
                step: running.step || _t("waiting to start"),
            });
        }
        return alarms.map(({title, text}) => `${title}. ${text}`).join("\n");
    }

    open() {
        const {running, alarms} = this.status;
        if (!running) {
            const [first] = alarms;
            const one = alarms.length === 1 && !first.call; // its button is there
            return this.action.doAction(
                one && first.action ? first.action : "dfr_backup.backup_overview_action"
            );
        }
        return this.action.doAction({
            type: "ir.actions.act_window",
            res_model: "backup.job",
            res_id: running.id,
            views: [[false, "form"]],
        });
    }
}

if (session.is_backup_manager) {
    registry
        .category("systray")
        .add("dfr_backup.systray", {Component: BackupSystray}, {sequence: 30});
}
