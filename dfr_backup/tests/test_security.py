import contextlib

from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user, tagged

from .common import BackupCase

MODELS = (
    "backup.plan",
    "backup.storage",
    "backup.job",
    "backup.step",
    "backup.backup",
    "backup.copy",
)
HISTORY = ("backup.job", "backup.step", "backup.backup", "backup.copy")


@tagged("post_install", "-at_install")
class TestSecurity(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.employee = new_test_user(cls.env, "backup-employee", "base.group_user")
        cls.viewer = new_test_user(cls.env, "backup-viewer", "dfr_backup.group_viewer")
        cls.manager = new_test_user(
            cls.env, "backup-manager", "dfr_backup.group_manager"
        )
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

    def test_viewer_reads_no_content_of_the_database(self):
        """Logs have lists of files and what PostgreSQL says of a row; problems of the
        filestore have names of attachments."""
        job = self.run_now()
        issue = self.env["backup.filestore.issue"].create(
            {
                "name": "offer for Zulu Ltd.pdf",
                "store_fname": "ab/abcd",
                "res_model": "res.partner",
                "res_id": 7,
                "attachment": 9,
                "kind": "missing",
            }
        )
        step = job.step_ids[0]
        step._note("Key (email)=(zulu@example.com) already exists.")
        self.env.flush_all()
        self.env.invalidate_all()
        hidden = {
            step: ("log", "log_values"),
            issue: ("name", "res_model", "res_id", "attachment"),
        }
        for record, names in hidden.items():
            for name in names:
                with self.assertRaises(AccessError):
                    record.with_user(self.viewer).read([name])
                with self.assertRaises(AccessError):
                    record.with_user(self.viewer).search([(name, "!=", False)])
                self.assertTrue(record.with_user(self.manager).read([name])[0][name])
            seen = record.with_user(self.viewer).read()
            self.assertNotIn("zulu", str(seen).lower())

    def test_no_relation_leads_to_what_is_hidden(self):
        """A path through another model is asked the same as the field itself."""
        job = self.run_now()
        job.step_ids[0]._note("Key (email)=(zulu@example.com) already exists.")
        self.plan.age_passphrase = "long zulu passphrase"
        self.storage.external_name = "ZULU"
        copy = {"storage_id": self.storage.id, "key": "a.zip", "job_id": job.id}
        self.env["backup.copy"].create(copy)
        exporting = self.env.ref("base.group_allow_export")
        for user in self.viewer + self.manager:
            user.group_ids += exporting
        self.env.flush_all()
        self.env.invalidate_all()
        hidden = (
            (self.viewer, "backup.job", "step_ids.log"),
            (self.viewer, "backup.copy", "job_id.step_ids.log"),
            (self.manager, "backup.job", "plan_id.sealed_secrets"),
            (self.manager, "backup.copy", "storage_id.sealed_secrets"),
            (self.manager, "backup.copy", "storage_id.external_name"),
            (self.manager, "backup.setup", "plan_id.sealed_secrets"),
        )
        for user, model, path in hidden:
            records = self.env[model].with_user(user)
            with self.subTest(model, path=path):
                for operator in ("ilike", "=", "!="):
                    with self.assertRaises(AccessError):
                        records.search([(path, operator, "zulu")])
                grouped = ([], [path], ["__count"])
                self.assertHides(records.formatted_read_group, *grouped)
                exported = [path.replace(".", "/")]
                self.assertHides(records.search([]).export_data, exported)

    def assertHides(self, method, *args):
        """What is asked for is refused, or tells nothing: not every path can be."""
        with contextlib.suppress(AccessError, ValueError):
            self.assertNotIn("zulu", str(method(*args)).lower())

    def test_pages_open_for_a_viewer(self):
        """No view asks for what he may not read."""
        models = (*MODELS, "backup.filestore.issue", "backup.trust")
        for model in models:
            views = (
                self.env[model]
                .with_user(self.viewer)
                .get_views([(False, "list"), (False, "form"), (False, "search")])
            )
            for found in views["models"].values():
                self.assertFalse({"log", "log_values"} & set(found["fields"]))

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

    def test_what_a_plan_has_shown_is_written_by_nobody(self):
        plan = self.plan.with_user(self.manager)
        for name in (
            "next_run",
            "next_verification",
            "next_drill",
            "last_proven",
            "next_digest",
        ):
            with (
                self.subTest(name),
                self.assertRaises(AccessError),
            ):
                plan[name] = "2030-01-01 00:00:00"
        with self.assertRaises(AccessError):
            plan.copy({"last_proven_seconds": 1})
        before = plan.next_run
        plan.write(
            {"time": 3.5, "drill_every": "7", "verify_every": "1", "alert_digest": True}
        )
        self.assertNotEqual(plan.next_run, before)
        self.assertTrue(plan.next_drill and plan.next_verification and plan.next_digest)
        self.assertFalse(plan.copy().last_proven)

    def test_what_has_a_history_cannot_be_deleted_and_says_what_can_be_done(self):
        plan = self.plan.copy({"name": "Other"}).with_user(self.manager)
        storage = self.storage.copy(
            {"name": "Other", "local_path": str(self.root / "other")}
        )
        storage = storage.with_user(self.manager)
        with self.assertRaises(UserError):
            self.storage.with_user(self.manager).unlink()
        copy = self.env["backup.copy"].create(
            {
                "storage_id": storage.id,
                "plan_id": plan.id,
                "key": "a.zip",
                "state": "missing",
            }
        )
        for record in (plan, storage):
            with self.assertRaises(UserError):
                record.unlink()
        copy.unlink()
        (plan + plan).unlink()
        storage.unlink()
