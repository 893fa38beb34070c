import {Component, onWillRender} from "@odoo/owl";
import {registry} from "@web/core/registry";
import {standardFieldProps} from "@web/views/fields/standard_field_props";
import {TimeLeft} from "./time_left";

/** How long a run still takes, without the jumps of the measured speed. */
class TimeLeftField extends Component {
    static template = "dfr_backup.TimeLeftField";
    static props = {...standardFieldProps};

    setup() {
        this.left = new TimeLeft();
        onWillRender(() => this.left.update(this.props.record.data[this.props.name]));
    }
}

registry.category("fields").add("backup_time_left", {
    component: TimeLeftField,
    supportedTypes: ["float"],
});
