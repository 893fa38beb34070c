import {FormController} from "@web/views/form/form_controller";
import {RPCError} from "@web/core/network/rpc";
import {_t} from "@web/core/l10n/translation";
import {patch} from "@web/core/utils/patch";
import {registry} from "@web/core/registry";

const PASSWORD_NEEDED = "OTHER-31";

function wantsPassword(error) {
    return error?.data?.context?.error_code === PASSWORD_NEEDED;
}

/** Open Odoo's own dialog; tell whether the password was entered. */
async function askForPassword({orm, action}) {
    const asked = await orm.call("backup.audit", "action_confirm_password", [[]]);
    return new Promise((resolve) => {
        action.doAction(asked, {
            onClose: (infos) => resolve(Boolean(infos?.confirmed)),
        });
    });
}

/* A dialog of the action service takes the place of the one that is open, with what was
   typed there: then the error says where the change can be made. */
function isDialogOpen() {
    return Boolean(document.querySelector(".o_dialog"));
}

/* A form that is saved goes on by itself once the password is there. */
patch(FormController.prototype, {
    async onSaveError(error, options, leaving) {
        if (leaving || !wantsPassword(error) || isDialogOpen()) {
            return super.onSaveError(...arguments);
        }
        const confirmed = await askForPassword(this.env.services);
        return confirmed ? options.retry() : false;
    },
});

/* Whatever else was refused can be done again then. */
function passwordHandler(env, error, originalError) {
    if (!(originalError instanceof RPCError) || !wantsPassword(originalError)) {
        return false;
    }
    if (isDialogOpen()) {
        return false;
    }
    askForPassword(env.services).then((confirmed) => {
        if (confirmed) {
            env.services.notification.add(
                _t(
                    "Your password is valid for ten minutes. Please make the change again."
                ),
                {
                    type: "success",
                }
            );
        }
    });
    return true;
}

registry
    .category("error_handlers")
    .add("dfr_backup.password", passwordHandler, {sequence: 50});
