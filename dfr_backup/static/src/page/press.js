import {registry} from "@web/core/registry";

const BUTTON = ".o_dialog:has(.o_backup_page) footer button";
const TYPED = `.o_field_char, .o_field_text, .o_field_integer, .o_field_float,
    .o_field_float_time`;

/* Pressing a button takes the focus from the field that was typed in. When that changes what
   the dialog shows, the button moves away from under the pointer, and nothing is pressed. The
   focus stays, therefore: a button of a form saves by itself what was typed into these. */
function keepFocus(ev) {
    if (ev.target.closest(BUTTON) && document.activeElement?.closest(TYPED)) {
        ev.preventDefault();
    }
}

registry.category("services").add("dfr_backup.press", {
    start() {
        document.addEventListener("mousedown", keepFocus);
    },
});
