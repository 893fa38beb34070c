import {Component} from "@odoo/owl";
import {downloadFile} from "@web/core/network/download";
import {_t} from "@web/core/l10n/translation";
import {registry} from "@web/core/registry";
import {standardWidgetProps} from "@web/views/widgets/standard_widget_props";

/** Saves a private key in a file, or prints it: it exists in this browser alone, so no server can. */
export class KeySave extends Component {
    static template = "dfr_backup.KeySave";
    static props = {...standardWidgetProps};

    get lines() {
        const {private_key, public_key, fingerprint} = this.props.record.data;
        return [
            _t("Private key of the backups of %s", window.location.host),
            private_key,
            "",
            `${_t("Public key")}: ${public_key}`,
            `${_t("Fingerprint")}: ${fingerprint}`,
        ];
    }

    download() {
        // lines that begin with "#" are comments in a file of age keys
        const text = this.lines
            .map((line) => (line.startsWith("AGE-SECRET-KEY-") ? line : `# ${line}`))
            .join("\n");
        downloadFile(`${text}\n`, "backup-key.txt", "text/plain");
    }

    print() {
        const frame = document.createElement("iframe");
        frame.className = "d-none";
        document.body.append(frame);
        const text = frame.contentDocument.createElement("pre");
        text.textContent = this.lines.join("\n");
        text.style.whiteSpace = "pre-wrap";
        text.style.overflowWrap = "anywhere";
        frame.contentDocument.body.append(text);
        frame.contentWindow.addEventListener("afterprint", () => frame.remove());
        frame.contentWindow.print();
    }
}

registry.category("view_widgets").add("backup_key_save", {component: KeySave});
