from dataclasses import replace

from odoo.tests import tagged

from .. import odoo_config
from ..hooks import uninstall_hook
from .common import BackupCase


@tagged("post_install", "-at_install")
class TestUninstall(BackupCase):
    def setUp(self):
        super().setUp()
        self.job = self.run_now()
        self.log = odoo_config.log_path(self.job.uuid)
        self.work = odoo_config.work_path(self.job.uuid)
        for path in (self.log, self.work / "archive.part"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"content")
        self.env["backup.monitor"]._new_token("health")
        self.plan.activity_schedule("mail.mail_activity_data_todo")
        self.filter = self.env["ir.filters"].create(
            {"name": "Mine", "model_id": "backup.copy", "active": False}
        )
        self.env.flush_all()

    def uninstall(self):
        with self.env.cr.savepoint():
            uninstall_hook(self.env)
            self.env.flush_all()

    def test_nothing_of_this_database_stays(self):
        self.uninstall()
        params = self.env["ir.config_parameter"].search([])
        self.assertFalse([key for key in params.mapped("key") if "dfr_backup" in key])
        self.assertFalse(self.filter.exists())
        activities = self.env["mail.activity"].with_context(active_test=False)
        self.assertFalse(activities.search([("res_model", "=", "backup.plan")]))

    def test_files_go_when_there_is_no_way_back(self):
        self.uninstall()
        self.assertTrue(self.log.exists())
        self.env.cr.postcommit.run()
        self.assertFalse(self.log.exists())
        self.assertFalse(self.work.exists())

    def test_files_of_the_original_stay_when_a_copy_leaves(self):
        me = self.env["backup.job"]._current_identity()
        original = replace(me, oid=me.oid + 1, name="prod")
        theirs = self.job.copy(
            {"uuid": "theirs", "identity": original.key, "state": "success"}
        )
        log = odoo_config.log_path(theirs.uuid)
        log.write_bytes(b"content")
        odoo_config.originals().hand_over(original)
        self.uninstall()
        self.env.cr.postcommit.run()
        self.assertTrue(log.exists())
        self.assertFalse(self.log.exists())

    def test_uploads_go(self):
        wizard = self.env["backup.import.wizard"].create({})
        folder = odoo_config.upload_path(self.env.cr.dbname, wizard.id)
        folder.mkdir(parents=True)
        self.uninstall()
        self.env.cr.postcommit.run()
        self.assertFalse(folder.exists())

    def test_backups_and_what_opens_them_stay(self):
        key = odoo_config.data_root() / odoo_config.KEY_FILE
        backup = self.root / "disk" / "shop.zip"
        for path in (key, backup):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"content")
        self.uninstall()
        self.env.cr.postcommit.run()
        self.assertTrue(key.exists() and backup.exists())
