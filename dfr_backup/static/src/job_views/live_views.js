import { onWillUnmount } from "@odoo/owl";
import { registry } from "@web/core/registry";
import { formView } from "@web/views/form/form_view";
import { kanbanView } from "@web/views/kanban/kanban_view";
import { listView } from "@web/views/list/list_view";

const FAST = 1000; // ms, while something runs
const SLOW = 10000; // ms, else: another person or the schedule may start a run
const OPEN_STATES = ["pending", "running"];

/**
 * Reload the model of a controller by itself: every second while it shows a run that is not
 * finished. A reload starts only when the one before it has ended, and not in a hidden tab.
 */
function keepFresh(controller, isBusy) {
    let timer;
    const plan = () => {
        timer = setTimeout(refresh, isBusy() ? FAST : SLOW);
    };
    const refresh = async () => {
        try {
            if (!document.hidden && controller.model.root) {
                await controller.model.root.load();
                controller.model.notify();
            }
        } catch (error) {
            console.debug("dfr_backup: the next reload may go better", error);
        }
        plan();
    };
    timer = setTimeout(refresh, FAST);
    onWillUnmount(() => clearTimeout(timer));
}

class BackupJobFormController extends formView.Controller {
    setup() {
        super.setup();
        keepFresh(this, () => OPEN_STATES.includes(this.model.root.data.state));
    }
}

function liveMultiController(Controller) {
    return class extends Controller {
        setup() {
            super.setup();
            keepFresh(this, () =>
                (this.model.root.records || []).some((record) =>
                    OPEN_STATES.includes(record.data.state)
                )
            );
        }
    };
}

const views = registry.category("views");
views.add("backup_job_form", { ...formView, Controller: BackupJobFormController });
views.add("backup_job_list", { ...listView, Controller: liveMultiController(listView.Controller) });
views.add("backup_job_kanban", {
    ...kanbanView,
    Controller: liveMultiController(kanbanView.Controller),
});
