import {registry} from "@web/core/registry";
import {formView} from "@web/views/form/form_view";
import {kanbanView} from "@web/views/kanban/kanban_view";
import {listView} from "@web/views/list/list_view";
import {useBackupLive} from "../live/live_service";
import {withFreshHelp} from "../empty/fresh_help";

const OPEN_STATES = ["pending", "running"];
const WHILE_RUNNING = ["current_step", "progress"];

/** Reload the model of a controller by itself when one of its runs changes. */
function keepFresh(controller, {isBusy, concerns = () => true}) {
    const refresh = async (message) => {
        if (controller.model.root && (!message || concerns(message))) {
            await controller.model.root.load();
            controller.model.notify();
        }
    };
    useBackupLive({refresh, isBusy});
}

class BackupJobFormController extends formView.Controller {
    setup() {
        super.setup();
        keepFresh(this, {
            isBusy: () => OPEN_STATES.includes(this.model.root?.data.state),
            concerns: (message) => message.id === this.model.root.resId,
        });
    }
}

function liveMultiController(Controller) {
    return class extends Controller {
        setup() {
            super.setup();
            keepFresh(this, {
                isBusy: () =>
                    (this.model.root?.records || []).some((record) =>
                        OPEN_STATES.includes(record.data.state)
                    ),
            });
        }
    };
}

/** Whether a column has anything to say depends on the rows, which Odoo's list does not ask. */
class BackupJobListRenderer extends withFreshHelp(listView.Renderer) {
    getActiveColumns() {
        const runs = this.props.list.records.some(
            (record) => record.data.state === "running"
        );
        return super
            .getActiveColumns()
            .filter((column) => runs || !WHILE_RUNNING.includes(column.name));
    }
}

const views = registry.category("views");
views.add("backup_job_form", {...formView, Controller: BackupJobFormController});
views.add("backup_job_list", {
    ...listView,
    Controller: liveMultiController(listView.Controller),
    Renderer: BackupJobListRenderer,
});
views.add("backup_job_kanban", {
    ...kanbanView,
    Controller: liveMultiController(kanbanView.Controller),
    Renderer: withFreshHelp(kanbanView.Renderer),
});
