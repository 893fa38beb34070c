import {Component} from "@odoo/owl";
import {localization} from "@web/core/l10n/localization";
import {_t} from "@web/core/l10n/translation";
import {registry} from "@web/core/registry";
import {formatFloat} from "@web/core/utils/numbers";
import {standardFieldProps} from "@web/views/fields/standard_field_props";

// Languages have units of their own: French counts octets
const UNITS = [
    (number) => _t("%(number)s B", {number}),
    (number) => _t("%(number)s KiB", {number}),
    (number) => _t("%(number)s MiB", {number}),
    (number) => _t("%(number)s GiB", {number}),
    (number) => _t("%(number)s TiB", {number}),
];

/** One digit behind the point of the user's language. */
function oneDigit(value) {
    return formatFloat(value, {digits: [16, 1], thousandsSep: ""});
}

/** 1536 -> "1.5 KiB" */
export function formatBytes(count) {
    let value = count || 0;
    let unit = 0;
    while (value >= 1024 && unit < UNITS.length - 1) {
        value /= 1024;
        unit += 1;
    }
    const text = UNITS[unit](unit ? oneDigit(value) : Math.round(value));
    // in a text from right to left, the unit would come before its number
    return localization.direction === "rtl" ? `\u2066${text}\u2069` : text;
}

/** 75.4 -> "1 min 15 s" */
export function formatSeconds(seconds) {
    if (seconds < 10) {
        return _t("%s s", oneDigit(seconds || 0));
    }
    const whole = Math.round(seconds);
    const [hours, minutes, rest] = [
        Math.floor(whole / 3600),
        Math.floor(whole / 60) % 60,
        whole % 60,
    ];
    if (hours) {
        return _t("%(hours)s h %(minutes)s min", {hours, minutes});
    }
    return minutes
        ? _t("%(minutes)s min %(rest)s s", {minutes, rest})
        : _t("%s s", rest);
}

class FormattedNumberField extends Component {
    static template = "dfr_backup.FormattedNumberField";
    static props = {...standardFieldProps, format: Function};

    get text() {
        const value = this.props.record.data[this.props.name];
        return value ? this.props.format(value) : "";
    }
}

for (const [name, format] of [
    ["backup_bytes", formatBytes],
    ["backup_seconds", formatSeconds],
]) {
    registry.category("fields").add(name, {
        component: FormattedNumberField,
        supportedTypes: ["float", "integer"],
        extractProps: () => ({format}),
    });
}
