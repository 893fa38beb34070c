from datetime import timedelta
from unittest.mock import patch

from lxml import etree

from odoo import fields
from odoo.tests import Form, tagged

from ..engine.fileio import mounts
from ..models.plan import warnings
from ..models.storage import backup_location_mixin
from .common import BackupCase

# of those without a button
ON_THE_FORM = "it is mended by a field of this form"
REASONS = {
    "contents": ON_THE_FORM,
    "incremental": "what is in the way says what to do about it",
    "schedule": ON_THE_FORM,
    "retention": ON_THE_FORM,
    "restore_test": ON_THE_FORM,
}


@tagged("post_install", "-at_install")
class TestPlanWarnings(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.away = cls.env["backup.storage"].create(
            {
                "name": "Away",
                "provider": "s3",
                "s3_bucket": "b",
                "s3_region": "eu-west-1",
            }
        )

    def warnings(self, **values):
        """Return what the form says while these values are typed."""
        form = Form(self.plan)
        for name, value in {"storage_ids": None, **values}.items():
            if name == "storage_ids":
                form.storage_ids.add(self.away)
            else:
                form[name] = value
        return form.warnings or ""

    def test_careful_plan_gets_none(self):
        self.assertEqual(self.warnings(), "")

    def test_what_is_dangerous_says_why(self):
        said = set()
        for values in (
            {"include_database": False},
            {"include_filestore": False},
            {"frequency": "manual"},
            {"promise_hours": 0},
            {"promise_hours": 24},
            {"retention": "none"},
            {"verify_every": "0"},
        ):
            with self.subTest(values):
                (said_now,) = self.warnings(**values).splitlines()
                self.assertNotIn(said_now, said)
                said.add(said_now)

    def test_promise_that_cannot_be_kept_names_both_times(self):
        said = self.warnings(frequency="monthly", promise_hours=700)
        for hours in ("700", "744"):
            self.assertIn(hours, said)

    def test_one_copy_is_few(self):
        rules = (
            "last",
            "hourly",
            "daily",
            "weekly",
            "monthly",
            "yearly",
            "within_days",
        )
        none = {f"keep_{name}": 0 for name in rules}
        self.plan.write(
            {"retention": "custom", **none, "keep_last": 1, "keep_minimum": 1}
        )
        self.assertTrue(warnings.retention_warning(self.plan))
        self.assertIn(warnings.retention_warning(self.plan), self.plan.warnings)
        self.plan.keep_daily = 2
        self.assertFalse(warnings.retention_warning(self.plan))

    def test_all_here(self):
        self.assertEqual(self.plan.warnings, warnings.off_site_warning(self.plan))
        self.plan.storage_ids += self.away
        self.assertFalse(warnings.off_site_warning(self.plan))

    def test_key_that_may_be_lost(self):
        passphrase = {
            "encryption": "passphrase",
            "age_passphrase": "a long enough passphrase",
        }
        self.plan.write({**passphrase, "storage_ids": [(4, self.away.id)]})
        self.assertEqual(self.plan.warnings, warnings.encryption_warning(self.plan))
        self.plan._note_kit()
        self.assertFalse(self.plan.warnings)
        self.plan.sudo().sealed_secrets = {"age_passphrase": "v1:nonsense"}
        self.plan.invalidate_recordset()
        self.assertTrue(self.plan.warnings, "a stored passphrase that cannot be opened")

    def test_drill_without_a_key(self):
        recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
        self.plan.write({"encryption": "recipients", "age_recipients": recipient})
        self.plan.drill_every = "7"
        self.assertTrue(warnings.restore_test_warning(self.plan))
        self.assertIn(warnings.restore_test_warning(self.plan), self.plan.warnings)
        self.plan.age_identity = "AGE-SECRET-KEY-1"
        self.assertFalse(warnings.restore_test_warning(self.plan))

    def test_each_kind_has_a_button_or_a_reason(self):
        found = self.plan.get_view(view_type="form")["arch"]
        buttons = etree.fromstring(found).xpath(
            "//div[.//field[@name='warning_kinds']]//button/@invisible"
        )
        for kind in warnings.WARNINGS:
            has_button = any(f"'{kind}'" in condition for condition in buttons)
            self.assertEqual(has_button, kind not in REASONS, kind)

    def test_a_pause_and_a_snooze_end_at_a_press(self):
        tomorrow = fields.Datetime.now() + timedelta(days=1)
        for kind, name, button in (
            ("pause", "paused_until", self.plan.action_resume),
            ("snooze", "snoozed_until", self.plan.action_end_snooze),
        ):
            self.plan[name] = tomorrow
            self.assertIn(kind, self.plan.warning_kinds)
            button()
            self.assertFalse(self.plan[name])
            self.assertNotIn(kind, self.plan.warning_kinds or "")

    def test_the_storages_of_the_plan_are_one_press_away(self):
        action = self.plan.with_context(own_storages=True).action_view_storages()
        self.assertEqual(action["res_id"], self.storage.id)
        self.plan.storage_ids |= self.away
        action = self.plan.with_context(own_storages=True).action_view_storages()
        found = self.env["backup.storage"].search(action["domain"])
        self.assertEqual(found, self.storage | self.away)

    # === STORAGES === #

    def test_mounted_share_is_another_place(self):
        self.assertFalse(self.storage._is_off_site())
        self.assertFalse(self.away.warnings)
        lines = (
            "1 0 8:1 / / rw - ext4 /dev/sda rw",
            f"2 1 {{}} / {self.root}/disk rw - {{}} x rw",
        )
        said = []
        for device, kind, off_site, beside in (
            ("0:9", "nfs4", True, False),
            ("8:17", "xfs", False, False),
            ("8:1", "ext4", False, True),
        ):
            found = mounts.parse_mounts("\n".join(lines).format(device, kind))
            with patch.object(
                backup_location_mixin, "current_mounts", lambda found=found: found
            ):
                self.storage.invalidate_recordset()
                self.assertEqual(self.storage._is_off_site(), off_site)
                self.assertEqual(self.storage._is_beside_the_data(), beside)
                said.append(self.storage.warnings)
        share, other_disk, same_disk = said
        self.assertFalse(share)
        self.assertTrue(other_disk and same_disk)
        self.assertNotEqual(other_disk, same_disk)

    def test_a_lifecycle_rule_that_deletes_what_the_plan_keeps(self):
        self.plan.storage_ids |= self.away
        self.away.sudo().expires_days = 30
        (said,) = warnings.lifecycle_warning(self.plan).splitlines()
        self.assertIn("30", said)
        self.away.sudo().expires_days = 400
        self.assertFalse(warnings.lifecycle_warning(self.plan))
        self.away.write({"own_retention": True, "retention": "none"})
        self.assertTrue(warnings.lifecycle_warning(self.plan))

    def test_the_latest_stay_as_long_as_their_schedule_says(self):
        """Of both warnings: what only counts backups is days, too."""
        nothing = dict.fromkeys(("hourly", "daily", "weekly", "monthly", "yearly"), 0)
        self.plan.storage_ids |= self.away
        self.plan.write(
            {
                "retention": "custom",
                **{f"keep_{name}": number for name, number in nothing.items()},
                "keep_last": 60,
                "keep_within_days": 0,
                "keep_minimum": 1,
            }
        )
        self.away.write({"s3_lock_mode": "GOVERNANCE", "s3_lock_days": 7})
        self.away.sudo().expires_days = 7
        self.assertTrue(warnings.lifecycle_warning(self.plan))
        self.assertFalse(warnings.lock_warning(self.plan))
        self.plan.frequency = "hourly"
        self.assertFalse(warnings.lifecycle_warning(self.plan))
        self.assertIn(" 3 ", warnings.lock_warning(self.plan))

    def test_a_lock_that_is_longer_than_the_plan_keeps(self):
        self.plan.storage_ids |= self.away
        self.away.write({"s3_lock_mode": "GOVERNANCE", "s3_lock_days": 400})
        (said,) = warnings.lock_warning(self.plan).splitlines()
        self.assertIn("400", said)
        self.away.s3_lock_days = 5
        self.assertFalse(warnings.lock_warning(self.plan))

    def test_the_policy_has_the_bucket_and_the_folder(self):
        self.assertIn("arn:aws:s3:::b", self.away.s3_policy)
        self.away.s3_prefix = "odoo"
        self.assertIn("arn:aws:s3:::b/odoo/*", self.away.s3_policy)
        self.assertFalse(self.storage.s3_policy)
