import { deserializeDateTime, formatDateTime } from "@web/core/l10n/dates";

/** Beside each colour stands a sign and a word. */
export const ICONS = {
    success: "fa-check-circle",
    warning: "fa-exclamation-triangle",
    danger: "fa-times-circle",
};

/** "2026-11-24 02:00:00", in UTC -> "3 hours ago" */
export function ago(text) {
    return deserializeDateTime(text).toRelative();
}

/** "2026-11-24 02:00:00", in UTC -> the same moment as the user writes it */
export function moment(text) {
    return formatDateTime(deserializeDateTime(text), { showSeconds: false });
}
