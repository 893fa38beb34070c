"""What waits for a backup: an upgrade or an uninstallation from the Apps page."""

from odoo import api, fields, models
from odoo.exceptions import UserError


class BackupJob(models.Model):
    _inherit = "backup.job"

    then_operation = fields.Selection(
        [("upgrade", "Upgrade"), ("uninstall", "Uninstall")]
    )
    then_modules = fields.Json()
    then_text = fields.Char(compute="_compute_then_text")

    @api.depends("then_operation", "then_modules")
    def _compute_then_text(self):
        for job in self:
            job.then_text = ", ".join(job.then_modules or ())

    @api.model
    def _fresh_backup(self, age):
        """Return a good backup with the database that is not older than ``age``, if
        any."""
        since = fields.Datetime.now() - age
        good = [
            ("kind", "=", "backup"),
            ("state", "=", "success"),
            ("date_start", ">=", since),
        ]
        return self.search([*good, ("include_database", "=", True)], limit=1)

    def _let_wait(self, operation, names):
        """Let an operation on modules wait for this backup, beside what waits already.

        Raise UserError when that is another operation: only one can be gone on with.
        """
        self.ensure_one()
        if self.then_operation and self.then_operation != operation:
            raise UserError(
                self.env._(
                    "%(run)s has not begun, and another change waits for it already: "
                    "the module %(names)s. Open that backup, go on with its change "
                    "when it is done, and then ask for this one again.",
                    run=self.name,
                    names=self.then_text,
                )
            )
        names = sorted({*(self.then_modules or ()), *names})
        self._persist(self, {"then_operation": operation, "then_modules": names})

    def _hand_over(self, other):
        """Let what waits for this backup wait for ``other``, which takes its place."""
        if self.then_operation and other.then_operation in (False, self.then_operation):
            other._let_wait(self.then_operation, self.then_modules)
            self._persist(self, {"then_operation": False})

    def action_go_on(self):
        """Do what waits for this backup, whatever became of it: the form has asked."""
        self.ensure_one()
        self._check_manager()
        modules = self.env["ir.module.module"].search(
            [("name", "in", self.then_modules or [])]
        )
        operation = self.then_operation
        self.sudo().then_operation = False
        modules = modules.with_context(dfr_backup_no_backup=True)
        if operation == "uninstall":
            return modules.button_immediate_uninstall()
        return modules.button_immediate_upgrade()
