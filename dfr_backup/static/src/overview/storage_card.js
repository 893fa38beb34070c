import {Component} from "@odoo/owl";
import {_t} from "@web/core/l10n/translation";
import {formatBytes} from "../fields/formatted_fields";
import {ago, ICONS} from "./looks";

/** Where backups are kept: how full, and whether it works. */
export class StorageCard extends Component {
    static template = "dfr_backup.StorageCard";
    static props = {storage: Object, onOpen: Function};

    setup() {
        this.icons = ICONS;
    }

    get where() {
        const {storage} = this.props;
        return [
            storage.provider,
            storage.off_site ? _t("another place") : _t("this server"),
        ].join(" · ");
    }

    /** "Backups: 7, 210.0 MiB" */
    get content() {
        const {count, size} = this.props.storage;
        return count
            ? _t("Backups: %(count)s, %(size)s", {count, size: formatBytes(size)})
            : _t("No backup yet");
    }

    get free() {
        const {free} = this.props.storage;
        return free ? _t("%s free", formatBytes(free)) : "";
    }

    /** How much of the room that there is for backups is taken, in percent. */
    get fill() {
        const {size, free} = this.props.storage;
        return Math.round((100 * size) / (size + free));
    }

    get tested() {
        const {tested, count} = this.props.storage;
        if (tested) {
            return _t("Tested %s", ago(tested));
        }
        return count ? _t("Never tested") : ""; // without backups, that is its state
    }
}
