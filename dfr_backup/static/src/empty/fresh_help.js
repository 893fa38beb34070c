import {markup, onWillStart, useState} from "@odoo/owl";
import {ActionHelper} from "@web/views/action_helper";
import {kanbanView} from "@web/views/kanban/kanban_view";
import {listView} from "@web/views/list/list_view";
import {registry} from "@web/core/registry";
import {rpc} from "@web/core/network/rpc";

/** The help of an action as it is now: the web client keeps what it was at the first visit. */
export class FreshHelp extends ActionHelper {
    static template = "dfr_backup.FreshHelp";

    setup() {
        this.state = useState({help: this.props.noContentHelp});
        onWillStart(() => this.refresh());
    }

    async refresh() {
        const {actionId} = this.env.config;
        if (actionId) {
            const params = {action_id: actionId};
            const action = await rpc("/web/action/load", params, {silent: true});
            this.state.help = markup(action.help || "");
        }
    }
}

/** Let a component of Odoo's show the help as it is now. */
export function withFreshHelp(Base) {
    return class extends Base {
        static components = {...Base.components, ActionHelper: FreshHelp};
    };
}

const views = registry.category("views");
for (const [name, view] of [
    ["backup_list", listView],
    ["backup_kanban", kanbanView],
]) {
    views.add(name, {...view, Renderer: withFreshHelp(view.Renderer)});
}
