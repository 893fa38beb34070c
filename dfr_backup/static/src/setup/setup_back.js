import {Component} from "@odoo/owl";
import {registry} from "@web/core/registry";
import {user} from "@web/core/user";
import {useService} from "@web/core/utils/hooks";
import {standardWidgetProps} from "@web/views/widgets/standard_widget_props";

/** Back to the guided set-up, from a form that lies over it, without saving that one. */
export class SetupBack extends Component {
    static template = "dfr_backup.SetupBack";
    static props = {...standardWidgetProps};

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
    }

    async back() {
        const id = this.props.record.context.backup_setup;
        const context = {...user.context, backup_setup: id};
        const action = await this.orm.call("backup.setup", "action_back", [id], {
            context,
        });
        await this.action.doAction(action);
    }
}

registry.category("view_widgets").add("backup_setup_back", {component: SetupBack});
