import {Component} from "@odoo/owl";
import {_t} from "@web/core/l10n/translation";
import {formatBytes} from "../fields/formatted_fields";
import {ago, ICONS} from "./looks";

/** Where backups are kept: how full, and whether it works. */
export class StorageCard extends Component {
    static template = "dfr_backup.StorageCard";
    static props = {storage: Object, onOpen: Function, onOpenPlan: Function};

    setup() {
        this.icons = ICONS;
    }

    get where() {
        const {storage} = this.props;
        return [
            storage.provider,
            storage.off_site ? _t("off-site") : _t("this server"),
        ].join(" · ");
    }

    /** "Backups: 7, 1.2 GiB · Missing: 1 · Attachments: 48.0 GiB · New in the last backup: 4.1 GiB · No longer needed: 300.0 MiB" */
    get content() {
        const {count, size, missing, packs_size, new_size, unneeded_size} =
            this.props.storage;
        const lost = missing && _t("Missing: %s", missing);
        const shared = packs_size && _t("Attachments: %s", formatBytes(packs_size));
        const added =
            new_size && _t("New in the last backup: %s", formatBytes(new_size));
        const rest =
            unneeded_size && _t("No longer needed: %s", formatBytes(unneeded_size));
        const backups = count
            ? _t("Backups: %(count)s, %(size)s", {count, size: formatBytes(size)})
            : !lost && _t("No backup yet");
        return [backups, lost, shared, added, rest].filter(Boolean).join(" · ");
    }

    get free() {
        const {free} = this.props.storage;
        return free === null ? "" : _t("%s free", formatBytes(free));
    }

    /** How much of the room that there is for backups is taken, in percent. */
    get fill() {
        const {size, packs_size, free} = this.props.storage;
        const taken = size + packs_size;
        return Math.round((100 * taken) / (taken + free || 1));
    }

    /** What it will hold, if backups go on as they do now. */
    get forecast() {
        const {size, packs_size, more} = this.props.storage;
        const then = size + packs_size + more;
        return more === null
            ? ""
            : _t("In 30 days: about %s", formatBytes(Math.max(then, 0)));
    }

    get fullText() {
        const {full_in: days} = this.props.storage;
        return days === null ? "" : _t("Full in about %s days", days);
    }

    /** How it was when it was last used, or tested since. */
    get label() {
        const {state, at} = this.props.storage;
        const label = {
            foreign: () => _t("Read-only"),
            never: () => _t("Never used"),
            tested: (when) => _t("Tested %s", when),
            test_failed: (when) => _t("Test failed %s", when),
            used: (when) => _t("Used %s", when),
            upload_failed: (when) => _t("Last upload failed %s", when),
            verify_failed: (when) => _t("Last verification failed %s", when),
        }[state];
        return label(at && ago(at));
    }
}
