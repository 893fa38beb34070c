from datetime import timedelta

from odoo import fields
from odoo.tests import new_test_user, tagged

from .common import BackupCase, patch

CORE = "odoo.addons.base.models.ir_module.IrModuleModule"


@tagged("post_install", "-at_install")
class TestBeforeUpgrade(BackupCase):
    def setUp(self):
        super().setUp()
        self.env["ir.config_parameter"].set_param("dfr_backup.backup_before_upgrade", "True")
        self.env["backup.job"].search([]).date_start = fields.Datetime.now() - timedelta(days=9)
        self.module = self.env["ir.module.module"].search([("name", "=", "web")])
        self.done = []
        for name in ("upgrade", "uninstall"):
            self.startPatcher(
                patch(
                    f"{CORE}.button_immediate_{name}",
                    lambda modules, name=name: self.done.append((name, modules.mapped("name"))),
                )
            )

    def press(self, operation="upgrade"):
        """Press the button of the Apps page; return the backup that it shows, if any."""
        action = getattr(self.module, f"button_immediate_{operation}")()
        return action and self.env["backup.job"].browse(action["res_id"])

    def test_upgrade_waits_for_a_backup_and_goes_on(self):
        job = self.press()
        self.assertEqual(
            (job.trigger, job.then_operation, job.then_text), ("upgrade",) * 2 + ("web",)
        )
        self.assertEqual(self.done, [])
        self.end(job)
        job.action_go_on()
        self.assertEqual(self.done, [("upgrade", ["web"])])
        self.assertFalse(job.then_operation)

    def test_uninstall_waits_too(self):
        job = self.press("uninstall")
        self.end(job)
        job.action_go_on()
        self.assertEqual(self.done, [("uninstall", ["web"])])

    def test_fresh_backup_is_enough(self):
        job = self.run_now()
        job.date_start = fields.Datetime.now() - timedelta(minutes=5)
        self.end(job)
        self.assertFalse(self.press())
        self.assertEqual(self.done, [("upgrade", ["web"])])

    def test_old_or_failed_backup_is_not(self):
        job = self.run_now()
        job.date_start = fields.Datetime.now() - timedelta(hours=2)
        self.end(job)
        self.assertTrue(self.press())
        self.assertEqual(self.done, [])

    def test_off_by_default(self):
        self.env["ir.config_parameter"].set_param("dfr_backup.backup_before_upgrade", False)
        self.assertFalse(self.press())
        self.assertEqual(self.done, [("upgrade", ["web"])])

    def test_who_is_no_manager_is_not_stopped(self):
        user = new_test_user(self.env, "u", groups="base.group_user")
        self.assertIsNone(self.module.with_user(user)._backup_first("upgrade"))
