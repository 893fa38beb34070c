import {Component} from "@odoo/owl";
import {_t} from "@web/core/l10n/translation";

/** What a restore depends on, with a button for what is missing. */
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

    get items() {
        return this.props.items.filter((item) => item.done || item.open);
    }

    get dismissed() {
        return this.props.items.length - this.items.length;
    }

    get done() {
        return this.items.filter((item) => item.done);
    }

    get open() {
        return this.items.filter((item) => !item.done);
    }

    get doneText() {
        return _t("Done: %s", this.done.length);
    }

    get percent() {
        return Math.round((100 * this.done.length) / this.items.length);
    }

    get progress() {
        const numbers = {done: this.done.length, all: this.items.length};
        return _t("%(done)s of %(all)s", numbers);
    }

    /** The first point is a good backup: without it, the others are worth nothing. */
    get tone() {
        if (!this.items[0].done) {
            return "danger";
        }
        return this.done.length === this.items.length ? "success" : "warning";
    }

    get isProven() {
        return this.done.some((item) => item.key === "proven");
    }

    get answer() {
        return {
            danger: _t("No: no verified backup within the time limit."),
            warning: this.isProven
                ? _t("Likely. Complete these steps to be sure.")
                : _t("Unknown: no restore test in the last months."),
            success: _t("Yes. Everything is prepared."),
        }[this.tone];
    }
}
