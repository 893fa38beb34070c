from odoo.exceptions import AccessError
from odoo.tests import new_test_user, tagged

from .common import BackupCase

MODELS = ("backup.plan", "backup.storage", "backup.job", "backup.step", "backup.copy")
HISTORY = ("backup.job", "backup.step", "backup.copy")


@tagged("post_install", "-at_install")
class TestSecurity(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.employee = new_test_user(cls.env, "backup-employee", "base.group_user")
        cls.viewer = new_test_user(cls.env, "backup-viewer", "dfr_backup.group_viewer")
        cls.manager = new_test_user(cls.env, "backup-manager", "dfr_backup.group_manager")
        cls.system = new_test_user(cls.env, "backup-system", "base.group_system")

    def allowed(self, user, model, operation):
        return self.env[model].with_user(user).has_access(operation)

    def test_nobody_else_sees_anything(self):
        for model in MODELS:
            with self.subTest(model):
                self.assertFalse(self.allowed(self.employee, model, "read"))
                with self.assertRaises(AccessError):
                    self.env[model].with_user(self.employee).search([])

    def test_viewer_reads_and_no_more(self):
        job = self.run_now()
        for model in MODELS:
            with self.subTest(model):
                self.assertTrue(self.allowed(self.viewer, model, "read"))
                for operation in ("write", "create", "unlink"):
                    self.assertFalse(self.allowed(self.viewer, model, operation))
        for button in (
            self.plan.with_user(self.viewer).action_run_now,
            job.with_user(self.viewer).action_run_now,
            job.with_user(self.viewer).action_cancel,
            job.with_user(self.viewer).action_retry,
            self.storage.with_user(self.viewer).action_test,
            job.copy_ids.with_user(self.viewer).action_delete,
        ):
            with self.assertRaises(AccessError):
                button()

    def test_history_is_read_only_for_everybody(self):
        for model in HISTORY:
            for user in (self.manager, self.system):
                with self.subTest(model=model, user=user.login):
                    self.assertFalse(self.allowed(user, model, "write"))
                    self.assertFalse(self.allowed(user, model, "create"))

    def test_manager_and_settings_administrator_can_run(self):
        for user in (self.manager, self.system):
            job = self.env["backup.job"].browse(
                self.plan.with_user(user).action_run_now()["res_id"]
            )
            self.assertEqual(job.user_id, user)
            job.with_user(user).action_cancel()
            self.assertEqual(job.state, "cancelled")
            self.assertTrue(job.with_user(user).read(["state", "step_ids"]))
