from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.tests import HttpCase, new_test_user, tagged
from odoo.tests.common import ChromeBrowser
from odoo.tools import config

from .archives import store_archive
from .common import BackupCase

FILES = [("invoice.pdf", "account.move", 7, b"an invoice")]
MORE = [*FILES, ("photo.jpg", "res.partner", 3, b"a photo")]
# a file that Debian leaves out of Odoo's mail addon
FOREIGN = "selfie_segmentation"


def _without_foreign():
    """Return what reads the console of the browser, without what is not ours."""
    handle = ChromeBrowser._handle_console

    def without_foreign(browser, type, args=None, **more):
        if FOREIGN not in str(args):
            handle(browser, type, args=args, **more)

    return without_foreign


@tagged("post_install", "-at_install")
class TestTours(BackupCase, HttpCase):
    """A person opens each screen in a browser and uses it: what other tests show of it
    is only what is behind it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for login, group in (
            ("tour-viewer", "dfr_backup.group_viewer"),
            ("tour-manager", "dfr_backup.group_manager"),
            ("tour-system", "base.group_system"),
        ):
            new_test_user(cls.env, login, group, tz="UTC")
        others = cls.env["backup.storage"].search([("id", "!=", cls.storage.id)])
        others.active = False
        watched = {"dfr_backup_watch_hosts": "127.0.0.1:9"}
        cls.startClassPatcher(patch.dict(config._file_options, watched))
        cls.startClassPatcher(
            patch.object(ChromeBrowser, "_handle_console", _without_foreign())
        )

    def store_two(self, **values):
        """Two backups of this month: real archives that differ in one attachment."""
        now = fields.Datetime.now().replace(microsecond=0)
        copies = self.env["backup.copy"]
        for number, files in enumerate((FILES, MORE)):
            key = f"db-{number}.zip"
            sealed = store_archive(self.root / "disk", key, files)
            copies += copies.create(
                {
                    "storage_id": self.storage.id,
                    "plan_id": self.plan.id,
                    "key": key,
                    "date": now,
                    "state": "verified",
                    "size": sealed.size,
                    "sha256": sealed.sha256,
                    "database": "shop",
                    "contents": "database, filestore",
                    **values,
                }
            )
        return copies

    def work_again(self, copies):
        """The storage has failed a test, and was used since."""
        now = fields.Datetime.now()
        hour_ago = now - timedelta(hours=1)
        self.storage.sudo().write({"last_test": hour_ago, "last_test_error": "Wrong."})
        job = self.env["backup.job"].browse(copies.action_verify()["res_id"])
        job.step_ids.write({"state": "success", "date_start": now, "date_end": now})
        job.state = "success"

    def tour(self, name, path, role="manager"):
        self.start_tour(
            f"/odoo/{path}", f"dfr_backup.{name}", login=f"tour-{role}", timeout=300
        )

    def test_manager(self):
        # as a scan finds them on a new server
        self.work_again(self.store_two(plan_id=False))
        self.storage.sudo().pruned_at = fields.Datetime.now()
        self.plan.write({"keep_minimum": 3, "retention": "custom"})
        self.tour("manager", "backups")
        self.assertTrue(self.plan.paused_until)

    def test_administrator(self):
        self.tour("servers", "backup-servers", "system")
        self.assertEqual(self.env["backup.server"].search([]).name, "Lyon")
        self.tour("settings", "settings", "system")

    def test_viewer(self):
        self.store_two()
        self.tour("viewer", "all-backups", "viewer")

    def test_where_there_is_nothing(self):
        self.plan.active = False
        self.tour("empty", "backups")
        self.env["backup.plan"].search([]).active = False
        self.storage.active = False
        self.tour("empty_viewer", "backups", "viewer")
