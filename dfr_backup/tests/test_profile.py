"""The profile of the server: followed, read-only, its secrets in no database."""

from unittest.mock import patch

from odoo.exceptions import AccessError, UserError
from odoo.tests import Form, new_test_user, tagged

from .. import odoo_config
from ..engine.errors.local import DirectoryMissing
from ..engine.errors.profile import (
    ProfileBadValue,
    SectionGone,
    SectionOfOtherKind,
    SectionOfOthers,
    SetByProfile,
)
from ..engine.storages.s3.address import config_of
from ..hooks import pre_init_hook
from ..models.mixins.backup_secret_mixin import MASK
from ..models.overview.cards import storage_healths
from ..models.overview.problems import all_problems
from ..models.plan.beginning import create_default
from ..models.server_profile import follow, provision
from ..models.storage.backup_storage import RecordSettings, limits_of
from .common import BackupCase

SECRET = "correct horse battery staple"
SECTION = f"""
[storage offsite]
kind = s3
name = Bucket
bucket = backups
prefix = odoo/{{database}}-{{uuid8}}
access_key = odoo
secret_key = {SECRET}
"""
KEY = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"


@tagged("post_install", "-at_install")
class TestProfile(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = new_test_user(
            cls.env, "profile-manager", "dfr_backup.group_manager,base.group_system"
        )
        cls.file = cls.root / "profile.ini"
        named = {"DFR_BACKUP_PROFILE": str(cls.file)}
        cls.startClassPatcher(patch.dict("os.environ", named))
        cls.write_file(SECTION)

    @classmethod
    def write_file(cls, text):
        cls.file.write_text(text)
        cls.file.chmod(0o600)

    def setUp(self):
        super().setUp()
        self.write_file(SECTION)

    def offsite(self):
        provision(self.env)
        return self.env["backup.storage"].search([("in_profile", "=", True)])

    def disk(self):
        (self.root / "base").mkdir(exist_ok=True)
        return (
            f"[storage shelf]\nkind = local\npath = {self.root}/base/{{database}}-x\n"
        )

    def codes(self):
        return {
            problem["kind"]: problem
            for problem in all_problems(self.env, {}, storage_healths(self.env))
        }

    def test_a_database_gets_the_storages_once(self):
        storage = self.offsite()
        self.assertEqual((storage.name, storage.provider), ("Bucket", "s3"))
        uuid = self.env["backup.job"]._current_database_uuid()
        folder = f"odoo/{self.env.cr.dbname}-{uuid[:8]}"
        self.assertEqual(storage.s3_prefix, folder)
        self.assertEqual(self.offsite(), storage)
        storage.active = False
        provision(self.env)
        self.assertFalse(self.env["backup.storage"].search([("in_profile", "=", True)]))

    def test_a_new_database_has_a_plan_of_the_profile(self):
        (self.root / "base").mkdir(exist_ok=True)
        self.write_file(
            self.disk() + SECTION + "[schedule]\nfrequency = weekly\nweekday = friday\n"
            "time = 03:15\ntimezone = Asia/Tokyo\n[retention]\nkeep_daily = 3\n"
            f"[encryption]\npublic_keys = {KEY}\n"
            "[alerts]\nplan_recipients = a@example.com\n"
        )
        plan = create_default(self.env["backup.plan"])
        self.assertEqual(set(plan.storage_ids.mapped("provider")), {"local", "s3"})
        self.assertTrue(all(plan.storage_ids.mapped("in_profile")))
        self.assertEqual((plan.frequency, plan.weekday), ("weekly", "4"))
        self.assertEqual((plan.time, plan.tz), (3.25, "Asia/Tokyo"))
        self.assertEqual((plan.retention, plan.keep_daily), ("custom", 3))
        self.assertEqual((plan.keep_weekly, plan.keep_minimum), (0, 2))
        self.assertEqual((plan.encryption, plan.age_recipients), ("recipients", KEY))
        self.assertEqual(plan.alert_emails, "a@example.com")
        with Form(self.env["backup.plan"]) as form:
            form.name = "Another"
            self.assertEqual(form.frequency, "weekly")
            self.assertEqual(len(form.storage_ids), 2)

    def test_a_plan_that_exists_keeps_what_it_has(self):
        before = self.plan.read(["frequency", "time", "storage_ids"])
        self.write_file(SECTION + "[schedule]\nfrequency = weekly\n")
        follow(self.env)
        self.plan.invalidate_recordset()
        self.assertEqual(self.plan.read(["frequency", "time", "storage_ids"]), before)

    def test_the_folder_stays_when_the_database_is_renamed(self):
        storage = self.offsite()
        names = storage.folder_names
        self.assertEqual(names["database"], self.env.cr.dbname)
        storage.folder_names = {**names, "database": "former"}
        self.assertTrue(storage._at("s3_prefix").startswith("odoo/former-"))
        self.assertEqual(self.used(storage).prefix, storage.s3_prefix)

    # === FOLLOWED === #

    def used(self, storage):
        storage._get_storage()
        return config_of(RecordSettings(storage))

    def test_a_key_that_is_replaced_is_used_at_once(self):
        storage = self.offsite()
        self.assertEqual(self.used(storage).secret_key, SECRET)
        self.write_file(SECTION.replace(SECRET, "another"))
        self.assertEqual(self.used(storage).secret_key, "another")

    def test_another_bucket_is_another_location(self):
        storage = self.offsite()
        storage.place_id = "ab" * 16
        self.write_file(SECTION.replace("= backups", "= second"))
        self.assertEqual(self.used(storage).bucket, "second")
        self.assertEqual(storage.s3_bucket, "second")
        self.assertFalse(storage.place_id)
        audit = self.env["backup.audit"].search([("res_id", "=", storage.id)])
        self.assertNotIn(SECRET, str(audit.read()))

    def test_options_and_limits_are_followed(self):
        storage = self.offsite()
        self.write_file(SECTION + "bandwidth = 7\nlock_mode = GOVERNANCE\ntimeout = 9")
        found = self.used(storage)
        self.assertEqual((found.lock_mode, found.lock_days), ("GOVERNANCE", 14))
        limits = limits_of(storage)
        self.assertEqual((limits.bandwidth, limits.timeout), (7 * 1024, 9))
        self.write_file(SECTION)
        self.assertEqual(self.used(storage).lock_mode, "")
        self.assertFalse(storage.s3_lock_mode)

    def test_the_scheduled_action_follows(self):
        self.env["backup.scheduler"]._do_what_is_due()
        storage = self.env["backup.storage"].search([("in_profile", "=", True)])
        self.assertEqual(storage.s3_bucket, "backups")
        self.write_file(SECTION.replace("= backups", "= second"))
        self.env["backup.scheduler"]._do_what_is_due()
        self.assertEqual(storage.s3_bucket, "second")
        self.write_file("nonsense")
        self.env["backup.scheduler"]._do_what_is_due()
        self.assertEqual(storage.s3_bucket, "second")

    def test_a_directory_is_used_without_a_click(self):
        self.write_file(self.disk())
        storage = self.offsite()
        storage._get_own_storage().put_bytes(b"x", "a.zip")
        first = self.root / "base" / f"{self.env.cr.dbname}-x"
        self.assertTrue((first / "a.zip").exists())
        (self.root / "base2").mkdir()
        self.write_file(self.disk().replace("/base/", "/base2/"))
        storage._get_own_storage().put_bytes(b"x", "b.zip")
        second = self.root / "base2" / first.name
        self.assertEqual([p.name for p in self.stored(second)], ["b.zip"])

    def test_a_share_that_is_not_mounted_gets_no_folder(self):
        text = self.disk().replace("/base/", "/unmounted/")
        self.write_file(text)
        with self.assertRefuses(DirectoryMissing):
            provision(self.env)
        self.assertFalse((self.root / "unmounted").exists())
        self.write_file(self.disk())
        storage = self.offsite()
        self.write_file(text)
        for _again in range(2):
            with self.assertRaises(DirectoryMissing):
                storage._get_own_storage()
        self.assertFalse((self.root / "unmounted").exists())
        (self.root / "unmounted").mkdir()
        storage._get_own_storage().put_bytes(b"x", "a.zip")

    def test_lines_of_odoo_conf_give_way_to_the_profile(self):
        here = self.env.cr.dbname
        lines = {"S3_SECRET_KEY": "old", "S3_BUCKET": "old", "S3_ACCESS_KEY": "o"}
        lines = {f"DFR_BACKUP_OFFSITE_{n}": v for n, v in lines.items()}
        with patch.dict("os.environ", {**lines, "DFR_BACKUP_OFFSITE_DATABASES": here}):
            self.write_file("[schedule]\n")
            storage = self.env["backup.storage"].create(
                {"name": "B", "provider": "s3", "external_name": "OFFSITE"}
            )
            self.assertEqual(self.used(storage).bucket, "old")
            self.assertFalse(storage.in_profile)
            self.write_file(SECTION)
            found = self.used(storage)
            self.assertEqual((found.bucket, found.secret_key), ("backups", SECRET))
            self.assertTrue(storage.in_profile)
            self.assertEqual(self.offsite(), storage)
            self.write_file("[schedule]\n")
            self.assertEqual(self.used(storage).secret_key, "old")
            self.assertFalse(storage.in_profile)

    def test_a_secret_may_be_in_a_file_for_odoo_conf_as_well(self):
        path = self.root / "key"
        path.write_text("from a file\n")
        path.chmod(0o600)
        with patch.dict("os.environ", {"DFR_BACKUP_X_S3_SECRET_KEY_FILE": str(path)}):
            self.assertTrue(odoo_config.has_operator_value("X", "s3_secret_key"))
            found = odoo_config.operator_value("X", "s3_secret_key")
        self.assertEqual(found, "from a file")

    # === READ-ONLY, SECRET === #

    def test_nobody_changes_what_the_profile_sets(self):
        storage = self.offsite().with_user(self.manager)
        for name, value in {
            "s3_bucket": "evil",
            "s3_endpoint": "https://evil.example.com",
            "s3_secret_key": "x",
            "s3_lock_mode": "GOVERNANCE",
            "provider": "sftp",
            "external_name": False,
            "timeout": 5,
        }.items():
            with self.subTest(name), self.assertRefuses(SetByProfile):
                storage[name] = value
        for name in ("in_profile", "folder_names"):
            with self.subTest(name), self.assertRaises(AccessError):
                storage[name] = False
        storage.name = "Renamed"
        storage.own_retention = True
        with Form(storage) as form:
            for name in ("s3_bucket", "s3_secret_key", "external_name", "timeout"):
                with self.subTest(name), self.assertRaises(AssertionError):
                    setattr(form, name, "x")

    def test_a_change_behind_our_back_leads_nowhere(self):
        storage = self.offsite()
        self.env.cr.execute(
            "UPDATE backup_storage SET s3_endpoint = 'https://evil.example.com',"
            ' folder_names = \'{"database": "../x", "uuid8": "/"}\''
        )
        self.env.invalidate_all()
        found = self.used(storage)
        self.assertEqual(found.endpoint, "")
        self.assertEqual(found.prefix.count("/"), 1)
        self.assertNotIn("..", found.prefix.split("/"))

    def test_nobody_reads_the_secret(self):
        storage = self.offsite()
        self.env.flush_all()
        self.env.cr.execute("SELECT * FROM backup_storage WHERE id = %s", [storage.id])
        self.assertNotIn(SECRET, str(self.env.cr.dictfetchall()))
        for user in (self.manager, self.env.ref("base.user_admin")):
            own = storage.with_user(user)
            own.invalidate_recordset()
            readable = [
                name
                for name, field in own._fields.items()
                if own._has_field_access(field, "read")
            ]
            self.assertNotIn(SECRET, str(own.read(readable)))
            self.assertEqual(own.s3_secret_key, MASK)
            names = [name for name in readable if "." not in name]
            self.assertNotIn(SECRET, str(own.export_data(names)))

    def test_what_was_typed_is_not_sent_to_the_operators_address(self):
        self.write_file("[schedule]\n")
        storage = self.env["backup.storage"].create(
            {
                "name": "B",
                "provider": "s3",
                "s3_bucket": "mine",
                "s3_access_key": "a",
                "s3_secret_key": "typed",
            }
        )
        self.write_file(SECTION)
        storage.external_name = "OFFSITE"
        self.assertFalse(storage.sudo().sealed_secrets)
        self.assertEqual(self.used(storage).secret_key, SECRET)
        self.assertTrue(storage._is_lent())

    def test_the_profile_is_for_the_databases_that_it_names(self):
        others = SECTION.replace("kind", "databases = shop\nkind")
        self.write_file(others)
        self.assertFalse(self.offsite())
        with self.assertRefuses(SectionOfOthers):
            self.env["backup.storage"].create(
                {"name": "B", "provider": "s3", "external_name": "OFFSITE"}
            )
        self.write_file(SECTION)
        storage = self.offsite()
        self.write_file(others)
        with self.assertRaises(SectionOfOthers):
            storage._get_storage()
        self.assertEqual(storage.s3_secret_key, MASK)

    # === WRONG, GONE === #

    def test_a_section_that_is_gone_is_shown(self):
        storage = self.offsite()
        self.plan.storage_ids |= storage
        self.write_file("[schedule]\n")
        storage.invalidate_recordset()
        with self.assertRaises(SectionGone):
            storage._get_own_storage()
        self.assertTrue(storage.profile_problem)
        self.assertIn(storage, self.plan.storage_ids)
        self.plan.invalidate_recordset()
        self.assertIn(storage.profile_problem, self.plan.warnings)
        self.assertEqual(self.codes()["section"]["tone"], "danger")
        named = patch.dict("os.environ", {"DFR_BACKUP_PROFILE": ""})
        with named, self.assertRaises(SectionGone):
            storage._get_own_storage()
        own = storage.with_user(self.manager)
        own.write({"external_name": False, "s3_bucket": "mine", "s3_access_key": False})
        self.assertFalse(storage.in_profile)
        self.assertFalse(storage.profile_problem)

    def test_a_section_of_another_kind_is_not_followed(self):
        storage = self.offsite()
        self.write_file(self.disk().replace("shelf", "offsite"))
        with self.assertRaises(SectionOfOtherKind):
            storage._get_own_storage()

    def test_a_broken_profile_is_said_everywhere(self):
        storage = self.offsite()
        self.write_file(SECTION + "timeout = soon")
        storage.invalidate_recordset()
        with self.assertRaises(ProfileBadValue):
            storage._get_own_storage()
        self.assertTrue(storage.profile_problem)
        self.assertTrue(storage.operator_fields)
        self.assertTrue(storage.s3_secret_key)
        found = self.codes()
        self.assertEqual(found["profile"]["code"], ProfileBadValue.code)
        self.assertNotIn("section", found)
        self.assertNotIn(SECRET, str(found))
        Form(storage)
        self.assertTrue(self.env["backup.plan"].create({"name": "P"}))
        with self.assertRefuses(ProfileBadValue):
            pre_init_hook(self.env)

    def test_an_installation_waits_for_the_share(self):
        self.write_file(self.disk().replace("/base/", "/nothing/"))
        with self.assertRaises(UserError):
            pre_init_hook(self.env)
