import { Component } from "@odoo/owl";
import { _t } from "@web/core/l10n/translation";

/** What a careful administrator has, with a button for what is missing. */
export class Advice extends Component {
    static template = "dfr_backup.Advice";
    static props = {
        items: Array,
        manager: Boolean,
        several: Boolean, // plans
        onOpen: Function,
        onDismiss: Function,
        onRestore: Function,
    };

    get items() {
        return this.props.items.filter((item) => item.done || item.open);
    }

    get dismissed() {
        return this.props.items.length - this.items.length;
    }

    get progress() {
        const done = this.items.filter((item) => item.done).length;
        return _t("%(done)s of %(all)s", { done, all: this.items.length });
    }
}
