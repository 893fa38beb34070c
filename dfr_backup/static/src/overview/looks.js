import {deserializeDateTime, toLocaleDateTimeString} from "@web/core/l10n/dates";

/** Beside each colour stands a sign and a word. */
export const ICONS = {
    success: "fa-check-circle",
    info: "fa-info-circle",
    warning: "fa-exclamation-triangle",
    danger: "fa-times-circle",
    secondary: "fa-info-circle",
};

/** "2026-11-24 02:00:00", in UTC -> "3 hours ago" */
export function ago(text) {
    return deserializeDateTime(text).toRelative();
}

/** "2026-11-24 02:00:00", in UTC -> "Nov 24, 3:00 AM", as it is written where the user lives */
export function moment(text) {
    return toLocaleDateTimeString(deserializeDateTime(text));
}
