import {Component} from "@odoo/owl";
import {_t} from "@web/core/l10n/translation";

/** What has to be there on the bad day, with a button for what is missing. */
export class Advice extends Component {
    static template = "dfr_backup.Advice";
    static props = {
        items: Array,
        manager: Boolean,
        several: Boolean, // plans
        onFollow: Function,
        onDismiss: Function,
        onRestore: Function,
    };

    get words() {
        return {done: _t("Done"), open: _t("Missing")};
    }

    get items() {
        return this.props.items.filter((item) => item.done || item.open);
    }

    get dismissed() {
        return this.props.items.length - this.items.length;
    }

    get done() {
        return this.items.filter((item) => item.done).length;
    }

    get percent() {
        return Math.round((100 * this.done) / this.items.length);
    }

    get progress() {
        return _t("%(done)s of %(all)s", {done: this.done, all: this.items.length});
    }

    /** The first point is a good backup: without it, the others are worth nothing. */
    get tone() {
        if (!this.items[0].done) {
            return "danger";
        }
        return this.done === this.items.length ? "success" : "warning";
    }

    get answer() {
        return {
            danger: _t(
                "Not now: there is no good backup of the time that is promised."
            ),
            warning: _t("Probably. Each point below makes it more certain."),
            success: _t("Yes. All that can be prepared is prepared."),
        }[this.tone];
    }
}
