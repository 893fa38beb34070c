import json

from odoo.tests import new_test_user, tagged

from .. import odoo_config
from ..engine.errors.identity import CodeTooOld, NotUpgraded
from .common import BackupCase

PACKAGE = "odoo.addons.dfr_backup"
OLDER = "19.0.0.1.0"
NEWER = "19.0.99.0.0"


class VersionCase(BackupCase):
    def setUp(self):
        super().setUp()
        self.version = self.env["backup.version"]

    def have(self, version):
        """Let the database be one of another version."""
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE ir_module_module SET latest_version = %s WHERE name = 'dfr_backup'",
            [version],
        )

    def supervise(self):
        with self.assertLogs(f"{PACKAGE}.models.backup_version", "ERROR"):
            self.env["backup.plan"]._cron_supervise()

    def mails(self):
        return self.env["mail.mail"].search([]) - self.old_mails


@tagged("post_install", "-at_install")
class TestVersion(VersionCase):
    def setUp(self):
        super().setUp()
        self.old_mails = self.env["mail.mail"].search([])
        self.manager = new_test_user(
            self.env, "boss", groups="dfr_backup.group_manager,base.group_user"
        )
        self.manager.email = "boss@example.com"

    def test_database_and_code_of_one_version_say_nothing(self):
        self.assertIsNone(self.version._mismatch())
        self.assertTrue(self.env["backup.overview"].get_overview()["plans"])

    def test_it_tells_which_one_is_older(self):
        for version, error in ((OLDER, NotUpgraded), (NEWER, CodeTooOld)):
            self.have(version)
            self.assertIsInstance(self.version._mismatch(), error)

    def test_the_scheduled_action_starts_nothing_and_tells_once(self):
        self.have(OLDER)
        self.plan.next_run = "2020-01-01 00:00:00"
        self.env.flush_all()
        self.supervise()
        self.assertFalse(self.plan.job_ids)
        told = [mail for mail in self.mails() if "boss@" in mail.email_to]
        self.assertEqual(len(told), 1)
        before = self.mails()
        self.supervise()
        self.assertEqual(self.mails(), before)

    def test_a_later_version_is_told_again(self):
        self.have(OLDER)
        self.supervise()
        before = self.mails()
        self.patch(odoo_config, "CODE_VERSION", NEWER)
        self.supervise()
        self.assertGreater(len(self.mails()), len(before))

    def test_the_overview_says_it_and_nothing_else(self):
        self.have(OLDER)
        overview = self.env["backup.overview"].with_user(self.manager)
        page = overview.get_overview()
        self.assertEqual(page["verdict"]["state"], "version")
        self.assertEqual([p["code"] for p in page["problems"]], [NotUpgraded.code])
        self.assertEqual(page["plans"], [])
        self.assertTrue(page["problems"][0]["action"])
        status = overview.get_status()
        self.assertEqual([p["code"] for p in status["alarms"]], [NotUpgraded.code])

    def test_what_the_apps_page_cannot_mend_it_does_not_offer(self):
        self.have(NEWER)
        overview = self.env["backup.overview"].with_user(self.manager)
        (problem,) = overview.get_overview()["problems"]
        self.assertEqual(problem["code"], CodeTooOld.code)
        self.assertFalse(problem["action"] or problem["button"])

    def test_it_does_not_hold_up_the_upgrade_that_is_missing(self):
        self.env["ir.config_parameter"].set_param(
            "dfr_backup.backup_before_upgrade", "True"
        )
        modules = self.env["ir.module.module"].with_user(self.manager)
        self.assertTrue(modules._wants_backup())
        self.have(OLDER)
        self.assertFalse(modules._wants_backup())


@tagged("post_install", "-at_install")
class TestVersionHealth(VersionCase):
    def test_health_and_metrics_say_it(self):
        self.have(OLDER)
        mismatch = self.version._mismatch()
        monitor = self.env["backup.monitor"]
        report = monitor._version_health(mismatch)
        self.assertEqual((report["ok"], report["status"]), (False, "version"))
        self.assertEqual(report["version_code"], NotUpgraded.code)
        json.dumps(report)
        (metric,) = monitor._version_metrics(mismatch)
        self.assertEqual(metric.samples, [({}, False)])
