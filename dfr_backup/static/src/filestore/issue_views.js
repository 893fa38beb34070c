import {evaluateBooleanExpr} from "@web/core/py_js/py";
import {registry} from "@web/core/registry";
import {kanbanView} from "@web/views/kanban/kanban_view";
import {listView} from "@web/views/list/list_view";
import {withFreshHelp} from "../empty/fresh_help";

/** Let a button above the rows be there only when one of them can be repaired: Odoo asks no row. */
function repairingController(Controller) {
    return class extends Controller {
        evalViewModifier(modifier) {
            const {evalContext, records} = this.model.root;
            const repairable = records.find((record) => record.data.good_copy_id);
            return evaluateBooleanExpr(modifier, {
                ...evalContext,
                good_copy_id: repairable?.data.good_copy_id.id || false,
            });
        }
    };
}

const views = registry.category("views");
for (const [name, view] of [
    ["backup_issue_list", listView],
    ["backup_issue_kanban", kanbanView],
]) {
    views.add(name, {
        ...view,
        Controller: repairingController(view.Controller),
        Renderer: withFreshHelp(view.Renderer),
    });
}
