"""Forms of their own that serve as pages of the guided set-up: the context names it."""

from odoo import models
from odoo.exceptions import UserError


class BackupStorage(models.Model):
    _inherit = "backup.storage"

    def action_use_in_setup(self):
        """Try this storage, and go on with the set-up when it works."""
        self.ensure_one()
        self.check_access("write")
        setup = self._setup()
        if self._must_answer() or self._test()[0]:
            return self._show_in_setup(self.name)
        setup.plan_id.storage_ids |= self
        setup.kind = False
        return setup._show()

    def action_fetch_host_key(self):
        return self._stay_in_setup(super().action_fetch_host_key())

    def _trust_offered_key(self):
        return self._stay_in_setup(super()._trust_offered_key())

    def _setup(self):
        setup = (
            self.env["backup.setup"]
            .browse(self.env.context.get("backup_setup"))
            .exists()
        )
        if not setup:
            raise UserError(
                self.env._("The set-up was left open for too long. Open it again.")
            )
        return setup

    def _stay_in_setup(self, result):
        inside = self.env.context.get("backup_setup")
        return self._show_in_setup(self.name) if inside else result

    def _show_in_setup(self, title, **context):
        """Show this storage, or a new one, as a page of the set-up that the context
        names."""
        form = self.env.ref("dfr_backup.backup_storage_view_form_setup")
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Set Up Backups: %s", title),
            "res_model": self._name,
            "res_id": self.id,
            "views": [(form.id, "form")],
            "target": "new",
            "context": {
                "backup_setup": self.env.context.get("backup_setup"),
                **context,
            },
        }
