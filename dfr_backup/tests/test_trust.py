"""What neither a context, nor a mask, nor another manager may do."""

import shutil

from odoo.exceptions import AccessError, ValidationError
from odoo.tests import new_test_user, tagged

from .common import BackupCase

FOREIGN = "11111111-2222-3333-4444-555555555555"


@tagged("post_install", "-at_install")
class TestTrust(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = new_test_user(
            cls.env, "backup-manager", "dfr_backup.group_manager"
        )
        cls.other = new_test_user(cls.env, "backup-other", "dfr_backup.group_manager")

    def test_no_default_of_a_context_gives_a_storage_an_identity(self):
        storages = self.env["backup.storage"].with_user(self.manager)
        values = {"name": "Other", "local_path": str(self.root / "other")}
        for name, value in (
            ("former_uuids", [FOREIGN]),
            ("owner_uuid", FOREIGN),
            ("last_test_error_code", "S3-01"),
            ("sftp_host_key", "ssh-ed25519 AAAA"),
        ):
            with self.subTest(name):
                made = storages.with_context(**{f"default_{name}": value})
                values["local_path"] = str(self.root / name)
                storage = made.create({**values, "name": name})
                self.assertNotEqual(storage.sudo()[name], value)
                with self.assertRaises(AccessError):
                    storages.create({**values, name: value})

    def test_no_default_of_a_context_gives_a_plan_a_proof(self):
        plans = self.env["backup.plan"].with_user(self.manager)
        for name in ("last_proven", "kit_downloaded_at"):
            with self.subTest(name):
                made = plans.with_context(**{f"default_{name}": "2026-01-01 00:00:00"})
                self.assertFalse(made.create({"name": name}).sudo()[name])
                with self.assertRaises(AccessError):
                    plans.create({"name": "A", name: "2026-01-01 00:00:00"})

    def test_the_context_of_a_button_decides_nothing_in_a_run(self):
        plan = self.plan.with_user(self.manager).with_context(
            default_archive_name="../../etc/passwd",
            default_kept_until="2030-01-01 00:00:00",
            default_error="Fine",
            default_log="Nothing",
        )
        job = self.env["backup.job"].browse(plan.action_run_now()["res_id"])
        self.assertFalse(job.archive_name or job.kept_until or job.error)
        self.assertFalse(any(job.step_ids.mapped("log")))

    def test_facts_of_a_storage_are_not_written_by_a_manager(self):
        storage = self.storage.with_user(self.manager)
        for name in ("last_test", "last_scan", "prepared_at"):
            with self.assertRaises(AccessError):
                storage.write({name: "2026-01-01 00:00:00"})
        with self.assertRaises(AccessError):
            storage.write({"free_space": 1e15})

    def test_what_is_typed_into_a_mask_is_no_secret(self):
        plan = self.plan.with_user(self.manager)
        plan.write({"encryption": "passphrase", "age_passphrase": "a long passphrase"})
        for typed in ("********more", "*******", "****", "more********", "*" * 20):
            with self.subTest(typed), self.assertRaises(ValidationError):
                plan.write({"age_passphrase": typed})
        plan.write({"age_passphrase": "********"})
        self.assertEqual(
            plan.sudo()._read_secret("age_passphrase"), "a long passphrase"
        )

    def test_a_wizard_is_only_its_users_own(self):
        transient = {
            name
            for name, model in self.env.registry.items()
            if model._transient and model._original_module == "dfr_backup"
        }
        self.assertLessEqual({"backup.setup", "backup.browse.file"}, transient)
        for model in sorted(transient):
            rules = self.env["ir.rule"].search([("model_id.model", "=", model)])
            with self.subTest(model):
                self.assertEqual(
                    rules.mapped("domain_force"), ["[('create_uid', '=', user.id)]"]
                )
                self.assertFalse(rules.groups, "it would hold for these only")
                for right in ("read", "write", "create", "unlink"):
                    self.assertTrue(rules[f"perm_{right}"])
        wizards = self.env["backup.setup"].with_user(self.manager)
        wizard = wizards.create({"plan_id": self.plan.id})
        with self.assertRaises(AccessError):
            wizard.with_user(self.other).read(["display_name"])

    def test_a_test_does_not_make_a_directory_that_is_missing(self):
        """An unmounted share must not turn green, and let backups fill the disk below
        it."""
        folder = self.root / "disk"
        self.storage.action_test()
        self.assertFalse(self.storage.last_test_error)
        shutil.rmtree(folder)
        self.storage.action_test()
        self.assertEqual(self.storage.last_test_error_code, "LOCAL-07")
        self.assertFalse(folder.exists())
        self.storage.local_path = str(self.root / "new")
        self.assertTrue((self.root / "new").is_dir())
