from datetime import timedelta

from odoo import fields
from odoo.exceptions import UserError
from odoo.tests import new_test_user, tagged

from ..engine.errors import Deferred
from ..engine.errors.dump import GaveWay
from .common import BackupCase, patch

CORE = "odoo.addons.base.models.ir_module.IrModuleModule"


@tagged("post_install", "-at_install")
class TestBeforeUpgrade(BackupCase):
    def setUp(self):
        super().setUp()
        self.env["ir.config_parameter"].set_param(
            "dfr_backup.backup_before_upgrade", "True"
        )
        self.env["backup.job"].search([]).date_start = (
            fields.Datetime.now() - timedelta(days=9)
        )
        self.module = self.env["ir.module.module"].search([("name", "=", "web")])
        self.done = []
        for name in ("upgrade", "uninstall"):
            self.startPatcher(
                patch(
                    f"{CORE}.button_immediate_{name}",
                    lambda modules, name=name: self.done.append(
                        (name, modules.mapped("name"))
                    ),
                )
            )

    def press(self, operation="upgrade", module=None):
        """Press the button of the Apps page; return the backup that it shows, if
        any."""
        action = getattr(module or self.module, f"button_immediate_{operation}")()
        return action and self.env["backup.job"].browse(action["res_id"])

    def test_upgrade_waits_for_a_backup_and_goes_on(self):
        job = self.press()
        self.assertEqual(
            (job.trigger, job.then_operation, job.then_text),
            ("upgrade",) * 2 + ("web",),
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

    def other_module(self):
        return self.env["ir.module.module"].search([("name", "=", "base")])

    def test_second_upgrade_waits_for_the_same_backup(self):
        job = self.press()
        self.assertEqual(self.press(module=self.other_module()), job)
        self.assertEqual(job.then_text, "base, web")
        self.end(job)
        job.action_go_on()
        ((operation, names),) = self.done
        self.assertEqual((operation, sorted(names)), ("upgrade", ["base", "web"]))

    def test_another_change_is_refused_while_one_waits(self):
        job = self.press()
        with self.assertRaisesRegex(UserError, f"{job.name}.*web"):
            self.press("uninstall", self.other_module())
        self.assertEqual((job.then_operation, job.then_text), ("upgrade", "web"))

    def test_upgrade_waits_for_the_run_that_takes_the_place(self):
        job = self.press()
        job.state = "running"
        waiting = self.run_now()
        gave_way = Deferred.because(GaveWay(session="process 7"))
        job._run_context().ending.postpone(gave_way)
        self.assertFalse(job.then_operation)
        self.assertEqual(
            (waiting.then_operation, waiting.then_text), ("upgrade", "web")
        )

    def test_nothing_is_lost_when_another_change_waits_for_that_run(self):
        job = self.press()
        job.state = "running"
        waiting = self.press("uninstall", self.other_module())
        gave_way = Deferred.because(GaveWay(session="process 7"))
        job._run_context().ending.postpone(gave_way)
        self.assertEqual((job.then_operation, job.then_text), ("upgrade", "web"))
        self.assertEqual(
            (waiting.then_operation, waiting.then_text), ("uninstall", "base")
        )

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
        self.env["ir.config_parameter"].set_param(
            "dfr_backup.backup_before_upgrade", False
        )
        self.assertFalse(self.press())
        self.assertEqual(self.done, [("upgrade", ["web"])])

    def test_who_is_no_manager_is_not_stopped(self):
        user = new_test_user(self.env, "u", groups="base.group_user")
        self.assertIsNone(self.module.with_user(user)._backup_first("upgrade"))
