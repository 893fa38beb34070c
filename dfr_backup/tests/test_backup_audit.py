import time

from odoo.exceptions import AccessError
from odoo.fields import Command
from odoo.tests import new_test_user, tagged

from ..engine.encryption.files import generate_key
from ..engine.errors.people import PasswordNeeded
from ..models.backup_audit import CONFIRMED_SECONDS
from ..models.mixins.backup_secret_mixin import MASK
from .audited import AuditCase


@tagged("post_install", "-at_install")
class TestBackupAudit(AuditCase):
    def test_an_api_key_is_no_password(self):
        """XML-RPC and JSON-RPC have no session in which it could be entered."""
        for method in ("action_delete", "action_unprotect"):
            with self.subTest(method):
                self.assertAsked(self.call_from_outside(self.copy, method))
        self.assertFalse(self.noted())
        self.assertTrue(self.copy.exists() and self.copy.protected)

    def test_the_refusal_leads_to_the_form_and_the_button(self):
        """A list, a wizard or a call from outside cannot ask by itself."""
        form = self.env["ir.model"]._get("backup.plan").name
        error = self.call(self.plan, "write", {"encryption": "none"})["error"]
        for told in (self.plan.name, form):
            self.assertIn(told, error["data"]["message"])
        for name in ("delete", "unprotect"):
            label = self.env.ref(f"dfr_backup.backup_copy_action_{name}").name
            name = f"action_{name}"
            error = self.call_from_outside(self.copy, name)["error"]
            for told in (label, self.copy.display_name):
                self.assertIn(told, error["data"]["message"])

    def test_taking_over_asks_and_is_written_down(self):
        mine = self.env["backup.job"]._current_database_uuid()
        self.storage.owner_uuid = "another"
        action = self.call(self.storage, "action_take_over")["result"]
        self.assertEqual(action["res_model"], "res.users.identitycheck")
        error = self.call_from_outside(self.storage, "action_take_over")["error"]
        self.assertIn(PasswordNeeded.code, error["data"]["message"])
        self.assertTrue(self.storage.is_foreign)
        self.assertFalse(self.noted())
        self.enter_password()
        self.call(self.storage, "action_take_over")
        self.assertFalse(self.storage.is_foreign)
        line = self.noted()
        self.assertEqual(
            (line.action, line.user_id, line.old_value, line.new_value),
            ("takeover", self.manager, "another", mine),
        )

    def test_another_location_is_written_down(self):
        self.enter_password()
        self.call(self.storage, "action_use_location")
        line = self.noted()
        self.assertEqual((line.action, line.res_id), ("location", self.storage.id))

    def test_another_host_key_asks_and_is_written_down(self):
        sftp = self.far()
        offered = {"sftp_offered_key": "key", "sftp_offered_fingerprint": "first"}
        sftp.write(offered)
        self.call(sftp, "action_trust_host_key")
        self.assertEqual(sftp.sftp_fingerprint, "first")
        sftp.write({**offered, "sftp_offered_fingerprint": "second"})
        action = self.call(sftp, "action_trust_host_key")["result"]
        self.assertEqual(action["res_model"], "res.users.identitycheck")
        self.assertEqual(sftp.sftp_fingerprint, "first")
        self.enter_password()
        self.call(sftp, "action_trust_host_key")
        self.assertEqual(sftp.sftp_fingerprint, "second")
        self.assertEqual(self.noted().mapped("action"), ["host_key"] * 2)
        self.assertEqual(self.noted()[-1].old_value, "first")

    def test_other_keys_take_the_password(self):
        """Who adds a key of his own can read all later backups."""
        keys = [generate_key().public for _ in range(2)]
        self.plan.age_passphrase = "a long enough passphrase"
        self.enter_password()
        recipients = {"encryption": "recipients", "age_recipients": keys[0]}
        self.call(self.plan, "write", recipients)
        self.assertEqual(self.noted().mapped("action"), ["keys"])
        self.enter_password(at=0)
        wizard = self.env["backup.key.wizard"].with_user(self.manager)
        wizard = wizard.create(
            {
                "plan_id": self.plan.id,
                "public_key": keys[1],
                "kept_elsewhere": True,
            }
        )
        action = self.call(wizard, "action_use")["result"]
        self.assertEqual(action["res_model"], "res.users.identitycheck")
        self.assertEqual(self.plan.age_recipients, keys[0])
        for values in (
            {"age_recipients": "\n".join(keys)},
            {"age_recipients": keys[1]},
            {"encryption": "passphrase"},
        ):
            self.assertIn("error", self.call(self.plan, "write", values))
        same = {"age_recipients": f"# mine\n{keys[0]}\n"}
        self.assertTrue(self.call(self.plan, "write", same)["result"])
        self.enter_password()
        self.call(self.plan, "write", {"age_recipients": "\n".join(keys)})
        line = self.noted()[-1]
        self.assertEqual(
            (line.action, line.old_value), ("keys", f"recipients, {keys[0]}")
        )
        self.assertIn(keys[1], line.new_value)

    def test_another_passphrase_takes_the_password(self):
        first = {"age_passphrase": "a long enough passphrase"}
        self.plan.write(first)
        other = {"age_passphrase": "another long passphrase"}
        self.assertIn("error", self.call(self.plan, "write", other))
        self.assertTrue(self.call(self.plan, "write", {"age_passphrase": MASK}))
        self.assertFalse(self.noted())
        self.enter_password()
        self.call(self.plan, "write", other)
        self.assertEqual(self.noted().action, "keys")

    def far(self):
        return self.env["backup.storage"].create(
            {
                "name": "Far",
                "provider": "sftp",
                "sftp_host": "far.example",
                "sftp_user": "keeper",
                "sftp_password": "secret",
            }
        )

    def test_a_storage_that_was_never_used_has_nothing_to_lose(self):
        far = self.far()
        self.assertTrue(self.call(far, "write", {"sftp_directory": "new"})["result"])
        self.assertEqual(far.sftp_directory, "new")
        far.prepared_at = "2026-01-01 00:00:00"
        self.assertIn("error", self.call(far, "write", {"sftp_directory": "other"}))

    def test_password_of_long_ago_is_asked_for_again(self):
        self.enter_password(at=time.time() - CONFIRMED_SECONDS - 1)
        self.assertIn("error", self.call(self.plan, "write", {"encryption": "none"}))

    def test_other_changes_are_free(self):
        for records, values in (
            (self.plan, {"retention": "ten_years"}),
            (self.plan, {"name": "Every night"}),
            (self.plan, {"storage_ids": [[6, 0, self.plan.storage_ids.ids]]}),
            (self.storage, {"name": "Cellar", "local_path": self.storage.local_path}),
        ):
            with self.subTest(values=values):
                self.assertTrue(self.call(records, "write", values)["result"])
        self.assertFalse(self.noted())

    def test_buttons_ask(self):
        for method in ("action_unprotect", "action_delete"):
            action = self.call(self.copy, method)["result"]
            self.assertEqual(action["res_model"], "res.users.identitycheck")
            self.assertTrue(self.copy.protected)
            self.assertNotEqual(self.copy.state, "deleted")
        self.enter_password()
        self.call(self.copy, "action_unprotect")
        self.assertFalse(self.copy.protected)
        self.assertEqual(self.noted().action, "unprotect")

    def test_opening_is_written_down(self):
        """Who has the password of a manager can read all that a backup holds."""
        self.enter_password()
        self.copy.write({"state": "verified", "signature": "ours"})
        (self.root / "disk" / "db-1.zip").write_bytes(b"zip")
        self.call(self.copy, "action_browse")
        self.call(self.copy, "action_download")
        wizard = self.env["backup.restore.wizard"].with_user(self.manager)
        wizard = wizard.create({"copy_id": self.copy.id, "database": "elsewhere"})
        self.call(wizard, "action_restore")
        lines = self.noted()
        self.assertEqual(lines.mapped("action"), ["browse", "download", "restore"])
        self.assertEqual(lines.user_id, self.manager)
        self.assertEqual(lines.mapped("record"), ["db-1.zip"] * 3)
        self.assertEqual(lines[-1].new_value, "elsewhere")

    def test_comparing_and_fetching_are_written_down(self):
        self.enter_password()
        other = self.copy.copy({"key": "db-2.zip", "date": "2026-10-12 02:00:00"})
        both = self.copy + other
        both.write({"state": "verified"})
        self.copy.date = "2026-10-11 02:00:00"
        self.call(both, "action_compare")
        lines = self.noted()
        self.assertEqual(lines.mapped("action"), ["browse"] * 2)
        self.assertEqual({*lines.mapped("record")}, {"db-1.zip", "db-2.zip"})
        browsers = self.env["backup.browse"].with_user(self.manager).sudo()
        found = {"name": "invoice.pdf", "store_fname": "aa/bb"}
        browser = browsers.create(
            {"copy_id": self.copy.id, "hit_ids": [Command.create(found)]}
        )
        self.call(browser.hit_ids, "action_download")
        line = self.noted() - lines
        self.assertEqual((line.action, line.record), ("fetch", "db-1.zip"))
        self.assertEqual(line.new_value, "aa/bb")

    def test_deleting_is_written_down(self):
        uuid = self.env["backup.job"]._current_database_uuid()
        self.copy.write({"protected": False, "database_uuid": uuid})
        (self.root / "disk" / "db-1.zip").write_bytes(b"zip")
        self.copy.with_user(self.manager).action_delete()
        line = self.noted()
        self.assertEqual((line.action, line.record), ("delete", "db-1.zip"))
        self.assertEqual(line.user_id, self.manager)

    def test_a_deleted_run_is_written_down(self):
        """The history tells of failures no longer then."""
        job = self.run_now()
        job.write({"state": "failure", "error_code": "S3-04"})
        self.assertTrue(self.call(job, "unlink")["result"])
        line = self.noted()
        self.assertEqual((line.action, line.user_id), ("removed", self.manager))
        self.assertEqual((line.res_model, line.res_id), ("backup.job", job.id))
        self.assertIn("S3-04", line.old_value)

    def test_dialog_of_the_web_client(self):
        action = self.call(self.audit, "action_confirm_password")["result"]
        self.assertEqual(action["res_model"], "res.users.identitycheck")
        self.enter_password()
        action = self.call(self.audit, "action_confirm_password")["result"]
        self.assertTrue(action["infos"]["confirmed"])

    def test_nobody_writes_the_trail(self):
        self.audit._note("delete", self.copy)
        line = self.noted()
        admin = new_test_user(
            self.env, "root", "base.group_system,dfr_backup.group_manager"
        )
        for user in (self.manager, admin):
            trail = line.with_user(user)
            self.assertEqual(trail.read(["record"])[0]["record"], "db-1.zip")
            values = {"action": "delete", "res_model": "backup.copy"}
            for attempt in (
                lambda trail=trail: trail.write({"record": "another"}),
                lambda trail=trail: trail.unlink(),
                lambda trail=trail: trail.copy(),
                lambda trail=trail, values=values: trail.create(values),
            ):
                with self.assertRaises(AccessError):
                    attempt()
        for attempt in (lambda: line.write({"record": "another"}), line.unlink):
            with self.assertRaises(AccessError):
                attempt()  # not even with sudo

    def test_who_reads_the_trail(self):
        viewer = new_test_user(self.env, "looker", "dfr_backup.group_viewer")
        with self.assertRaises(AccessError):
            self.audit.with_user(viewer).search([])
