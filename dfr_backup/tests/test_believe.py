"""What may be restored from the back office: what this database has made or signed,
and what an administrator trusts."""

from odoo import fields
from odoo.exceptions import AccessError
from odoo.tests import new_test_user, tagged

from ..engine.errors.trust import NeverTrusted, NotTrusted
from ..models.job.restores import Restores
from ..models.plan.due import create_due_drills
from .archives import store_archive
from .common import BackupCase


@tagged("post_install", "-at_install")
class TestBelieve(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = new_test_user(cls.env, "boss", "dfr_backup.group_manager")
        cls.settings = new_test_user(cls.env, "settings", "base.group_system")
        cls.found = cls.stored("found.zip", "2026-11-20 02:00:00")

    def setUp(self):
        super().setUp()
        self.patch(Restores, "forget_leftovers", lambda _self: None)

    @classmethod
    def stored(cls, key, date, **values):
        sealed = store_archive(cls.root / "disk", key, [("a.txt", "", 0, key.encode())])
        return cls.env["backup.copy"].create(
            {
                "storage_id": cls.storage.id,
                "plan_id": cls.plan.id,
                "key": key,
                "date": date,
                "state": "verified",
                "size": sealed.size,
                "sha256": sealed.sha256,
                "contents": "database, filestore",
                **values,
            }
        )

    def perform(self, job):
        job.state = "running"
        job._perform()
        return job

    def restore(self, copy, user, **values):
        """Press the button of the form; return the run."""
        wizard = (
            self.env["backup.restore.wizard"]
            .with_user(user)
            .create({"copy_id": copy.id, "database": "restored", **values})
        )
        action = type(wizard).action_restore.__wrapped__(wizard)
        return self.env["backup.job"].browse(action["res_id"])

    def test_what_nobody_vouches_for_is_not_restored(self):
        for user in (self.manager, self.settings):
            with self.assertRefuses(NotTrusted):
                self.restore(self.found, user)
            with self.assertRefuses(NotTrusted):
                self.found.with_user(user).action_drill()

    def test_a_run_asks_again(self):
        """The right may have been lost, or never been there, when the run begins."""
        for request in (
            lambda: self.found._request_restore(restore_database="restored"),
            lambda: self.found._request_drill("manual"),
        ):
            job = self.perform(request())
            self.assertEqual((job.state, job.error_code), ("failure", "TRUST-02"))
            self.assertEqual(job._step("fetch").state, "failure")
            self.assertEqual(job._step("load").state, "skipped")
            self.assertEqual(self.found.state, "verified")

    def test_command_line_decides_itself(self):
        job = self.perform(self.found._request_drill("cli"))
        self.assertTrue(job._step("fetch")._is_good())

    def test_only_settings_trust_and_it_is_written_down(self):
        found = self.found.with_user(self.manager)
        self.assertAsksForPassword(found.action_trust)
        self.assertAsksForPassword(self.env["backup.restore.wizard"].action_restore)
        with self.assertRaises(AccessError):
            found.env["backup.trust"]._trust(found)
        with self.assertRaises(AccessError):
            self.restore(self.found, self.manager, i_trust=True)
        with self.assertRaises(AccessError):
            self.env["backup.trust"].with_user(self.settings).create(
                {"sha256": "0" * 64, "key": "x", "user_id": self.settings.id}
            )
        with self.assertLogs("odoo.addons.dfr_backup.models.copy.backup_trust") as log:
            job = self.restore(self.found, self.settings, i_trust=True)
        self.assertIn(self.found.sha256, log.output[0])
        self.assertEqual(job.kind, "restore")
        trust = self.found.trust_id
        self.assertEqual(
            (trust.sha256, trust.user_id), (self.found.sha256, self.settings)
        )
        self.assertTrue(trust.date)
        other = self.stored("other.zip", "2026-11-19 02:00:00")
        self.assertEqual((self.found + other).mapped("is_trusted"), [True, False])

    def test_no_default_of_ones_own_vouches_for_a_file(self):
        """What a run has made is trusted: whoever asks for one has not made it."""
        mine = self.env["ir.default"].with_user(self.manager)
        mine.set("backup.job", "archive_sha256", self.found.sha256, user_id=True)
        self.plan.with_user(self.manager).action_run_now()
        self.found.invalidate_recordset()
        self.assertFalse(self.found.is_trusted)

    def test_trust_can_be_withdrawn_and_both_are_written_down(self):
        found = self.found.with_user(self.settings)
        found.env["backup.trust"]._trust(found)
        waiting = found.sudo()._request_drill("manual")
        with self.assertRaises(AccessError):
            self.env["backup.trust"].with_user(self.manager)._distrust(
                self.found.with_user(self.manager)
            )
        found.env["backup.trust"]._distrust(found)
        self.assertFalse(found.is_trusted or found.trust_id)
        self.assertFalse(self.perform(waiting.sudo())._step("fetch")._is_good())
        lines = self.env["backup.audit"].search([], limit=2)
        self.assertEqual(lines.mapped("action"), ["distrust", "trust"])
        self.assertEqual(lines.user_id, self.settings)
        for line in lines:
            self.assertIn(self.found.sha256, line.old_value or line.new_value)
        with self.assertRefuses(NeverTrusted):
            found.env["backup.trust"]._distrust(found)

    def test_trust_is_in_the_checksum(self):
        self.env["backup.trust"].with_user(self.settings)._trust(
            self.found.with_user(self.settings)
        )
        self.assertTrue(self.found.is_trusted)
        self.found.sha256 = "0" * 64  # another file has its name
        self.assertFalse(self.found.is_trusted)

    def test_who_trusts_an_archive_does_not_trust_what_lies_beside_it(self):
        self.found.manifest_sha256, self.found.manifest_size = "1" * 64, 5
        self.assertFalse(self.found._catalogued_to_restore().manifest_sha256)
        self.found.signature = "ours"
        self.assertTrue(self.found._catalogued_to_restore().manifest_sha256)

    def test_what_vouches(self):
        for signature in (False, "here", "elsewhere", "unsigned", "wrong"):
            self.found.signature = signature
            self.assertFalse(self.found.is_trusted, signature)
        self.found.signature = "ours"
        self.assertTrue(self.found.is_trusted)
        self.found.signature = "unsigned"
        run = self.run_now()
        run.archive_sha256 = self.found.sha256
        self.found.invalidate_recordset()
        self.assertTrue(self.found.is_trusted)
        run.kind = "import"
        self.found.invalidate_recordset()
        self.assertFalse(self.found.is_trusted)

    def test_scheduled_drill_takes_what_is_trusted_and_says_what_is_newer(self):
        good = self.stored("good.zip", "2026-11-18 02:00:00", signature="ours")
        self.stored("older.zip", "2026-11-17 02:00:00")
        drills = [("kind", "=", "drill"), ("trigger", "=", "schedule")]
        self.plan.drill_every = "7"
        self.plan.next_drill = fields.Datetime.now()
        create_due_drills(self.env["backup.plan"])
        job = self.env["backup.job"].search(drills)
        self.assertEqual(job.step_ids.copy_id, good)
        fetch = self.perform(job)._step("fetch")
        self.assertEqual(fetch.state, "warning")
        self.assertIn("found.zip", fetch.log)
        self.assertNotIn("older.zip", fetch.log)

    def test_no_scheduled_drill_of_what_nobody_trusts(self):
        drills = [("kind", "=", "drill"), ("trigger", "=", "schedule")]
        self.plan.drill_every = "7"
        self.plan.next_drill = fields.Datetime.now()
        create_due_drills(self.env["backup.plan"])
        self.assertFalse(self.env["backup.job"].search(drills))
