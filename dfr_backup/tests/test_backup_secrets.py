import base64
import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from odoo.exceptions import AccessError, ValidationError
from odoo.tests import new_test_user, tagged
from odoo.tools import config

from .. import odoo_config
from ..engine.encryption.secret_box import UNBOUND, SecretBox, is_bound, key_from_text
from ..engine.errors import PermanentError
from ..engine.errors.places import (
    BadOperatorValue,
    SecretOfOthers,
    SecretWithoutAddress,
)
from ..engine.errors.profile import ProfileExposed
from ..engine.errors.secrets import (
    KeyFileUnusable,
    NoOwner,
    SecretOfAnother,
    SecretUnreadable,
)
from ..engine.manifest.signature import ELSEWHERE, HERE, signature_of
from ..engine.storages import registry
from ..engine.storages.s3.address import config_of
from ..models.mixins.backup_secret_mixin import MASK
from ..models.storage.backup_storage import RecordSettings
from .common import BackupCase, patch

SECRET = "correct horse battery staple"


@tagged("post_install", "-at_install")
class TestBackupSecrets(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sftp = cls.env["backup.storage"].create(
            {
                "name": "Far away",
                "provider": "sftp",
                "sftp_host": "backup.example.com",
                "sftp_user": "odoo",
                "sftp_password": SECRET,
            }
        )

    def test_secret_is_encrypted_in_the_database(self):
        self.sftp.flush_recordset()
        self.env.cr.execute(
            "SELECT * FROM backup_storage WHERE id = %s", [self.sftp.id]
        )
        row = str(self.env.cr.dictfetchone())
        self.assertIn("sftp_password", row)
        self.assertNotIn(SECRET, row)
        self.assertEqual(self.sftp._read_secret("sftp_password"), SECRET)

    def test_nobody_reads_it_back(self):
        manager = new_test_user(self.env, "m", groups="dfr_backup.group_manager")
        admin = self.env.ref("base.user_admin")
        for user in (manager, admin):
            storage = self.sftp.with_user(user)
            storage.invalidate_recordset()
            readable = [
                name
                for name in storage._fields
                if storage._has_field_access(storage._fields[name], "read")
            ]
            self.assertNotIn("sealed_secrets", readable)
            self.assertNotIn(SECRET, str(storage.read(readable)))
            with self.assertRaises(AccessError):
                storage.read(["sealed_secrets"])
            with self.assertRaises(AccessError):
                storage.search([("sealed_secrets", "!=", False)])

    def test_saving_does_not_send_it_back(self):
        asked = {"sftp_password": {}, "sftp_passphrase": {}}
        typed = {"sftp_password": "typed", "sftp_passphrase": "typed, too"}
        (saved,) = self.sftp.web_save(typed, asked)
        self.assertEqual({saved[name] for name in asked}, {MASK})
        fresh = {"name": "New", "provider": "sftp", "sftp_host": "a.example.com"}
        made = self.env["backup.storage"]
        (saved,) = made.web_save({**fresh, "sftp_user": "u", **typed}, asked)
        self.assertEqual({saved[name] for name in asked}, {MASK})
        self.assertEqual(
            made.browse(saved["id"])._read_secret("sftp_password"), "typed"
        )

    def test_export_holds_no_secret(self):
        names = ["name", "sftp_password", "sftp_private_key"]
        self.assertNotIn(SECRET, str(self.sftp.export_data(names)))

    def test_form_shows_a_mask_and_saving_it_changes_nothing(self):
        self.assertEqual(self.sftp.sftp_password, "********")
        self.sftp.sftp_password = "********"
        self.assertEqual(self.sftp._read_secret("sftp_password"), SECRET)

    def test_new_one_replaces_and_nothing_forgets(self):
        self.sftp.sftp_password = "another secret"
        self.assertEqual(self.sftp._read_secret("sftp_password"), "another secret")
        self.sftp.sftp_password = False
        self.assertEqual(self.sftp._read_secret("sftp_password"), "")
        self.assertFalse(self.sftp.sftp_password)

    def test_writing_another_field_keeps_it(self):
        self.sftp.write({"name": "Farther away", "sftp_passphrase": "second"})
        self.assertEqual(self.sftp._read_secret("sftp_password"), SECRET)
        self.assertEqual(self.sftp._read_secret("sftp_passphrase"), "second")

    def test_copy_of_a_storage_has_no_secret(self):
        self.assertEqual(self.sftp.copy()._read_secret("sftp_password"), "")

    def test_token_is_of_no_use_in_another_record(self):
        other = self.sftp.copy()
        other.sudo().sealed_secrets = self.sftp.sudo().sealed_secrets
        with self.assertRaises(PermanentError):
            other._read_secret("sftp_password")

    def set_uuid(self, uuid):
        query = "UPDATE ir_config_parameter SET value = %s WHERE key = 'database.uuid'"
        self.env.flush_all()
        self.env.cr.execute(query, [uuid])
        self.env.invalidate_all()
        self.env.registry.clear_cache("stable")

    def assertUnreadable(self, error_class):
        """The password cannot be read, and the form says why and what to do."""
        with self.assertRaises(PermanentError) as caught:
            self.sftp._read_secret("sftp_password")
        error = caught.exception
        self.assertIsInstance(error.__cause__, error_class)
        self.assertEqual(error.hint, error.__cause__.hint)
        self.assertIn("Far away", str(error))
        self.sftp.invalidate_recordset()
        self.assertEqual(self.sftp.sftp_password, MASK)
        self.sftp.owner_uuid = False  # of nobody, so that the button comes this far
        self.sftp.action_test()
        self.assertEqual(self.sftp.last_test_error_code, error.code)
        return error.code

    def test_another_database_cannot_open_it(self):
        """Odoo gives the duplicate of a database another uuid."""
        uuid = self.env["backup.job"]._current_database_uuid()
        for other, error_class in (("another", SecretOfAnother), ("", NoOwner)):
            self.set_uuid(other)
            self.assertEqual(self.assertUnreadable(error_class), error_class.code)
        with self.assertRefuses(NoOwner):
            self.sftp.sftp_password = "entered meanwhile"
        self.set_uuid(uuid)
        self.assertEqual(self.sftp._read_secret("sftp_password"), SECRET)

    def older(self, key):
        """Let the password be as release 19.0.1.0.0 has stored it."""
        nonce = os.urandom(12)
        context = self.sftp._secret_context("sftp_password").encode()
        sealed = nonce + AESGCM(key.value).encrypt(nonce, SECRET.encode(), context)
        token = UNBOUND + base64.urlsafe_b64encode(sealed).decode()
        self.sftp.sudo().sealed_secrets = {"sftp_password": token}

    def bind(self):
        """Do what an upgrade does; return whether the secret is bound now."""
        for model in self.env.values():
            if hasattr(model, "_bind_secrets"):
                model._bind_secrets()
        return is_bound(self.sftp.sudo().sealed_secrets["sftp_password"])

    def test_upgrade_binds_what_older_releases_have_stored(self):
        self.older(odoo_config.secret_box().keys[0])
        self.assertEqual(self.sftp._read_secret("sftp_password"), SECRET)
        self.assertTrue(self.bind())
        self.assertEqual(self.sftp._read_secret("sftp_password"), SECRET)
        token = self.sftp.sudo().sealed_secrets
        self.assertTrue(self.bind())
        self.assertEqual(self.sftp.sudo().sealed_secrets, token)
        self.set_uuid("another")
        self.assertUnreadable(SecretOfAnother)

    def test_upgrade_loses_no_secret(self):
        """Without the key or the identity it stays as it is, until they are back."""
        uuid = self.env["backup.job"]._current_database_uuid()
        former = "the key of years ago"
        self.older(key_from_text(former))
        token = self.sftp.sudo().sealed_secrets
        self.assertFalse(self.bind())
        self.assertUnreadable(SecretUnreadable)
        self.set_uuid("")
        with patch.dict("os.environ", {"DFR_BACKUP_FORMER_KEYS": former}):
            self.assertFalse(self.bind())
            self.assertEqual(self.sftp.sudo().sealed_secrets, token)
            self.assertEqual(self.sftp._read_secret("sftp_password"), SECRET)
            self.set_uuid(uuid)
            self.assertTrue(self.bind())
        self.assertEqual(self.sftp._read_secret("sftp_password"), SECRET)

    def test_upgrade_makes_no_key(self):
        """It may run as another user, whose key file Odoo could not read."""
        self.older(key_from_text("some key of long ago"))
        path = self.root / "data" / "secret.key"
        aside = path.rename(path.with_suffix(".aside"))
        self.addCleanup(aside.rename, path)
        self.assertFalse(self.bind())
        self.assertFalse(path.exists())

    def test_another_key_is_a_clear_error(self):
        box = SecretBox(key_from_text("the key of another server"))
        with (
            patch.object(odoo_config, "secret_box", lambda: box),
            self.assertRaises(PermanentError) as caught,
        ):
            self.sftp._read_secret("sftp_password")
        self.assertEqual(caught.exception.message.values["record"], "Far away")
        self.assertTrue(caught.exception.hint)

    def test_a_former_key_still_reads(self):
        """A key is replaced without entering every secret again."""
        path = self.root / "data" / "secret.key"
        signed = odoo_config.signer().sign({"a": 1}, {"uuid": "u"})
        keys = {"DFR_BACKUP_KEY": "the key from now on"}
        with patch.dict("os.environ", keys):
            with self.assertRaises(PermanentError):
                self.sftp._read_secret("sftp_password")
            self.assertEqual(
                odoo_config.signer().judge(signature_of(signed)), ELSEWHERE
            )
        for former in (str(path), f"some other old key, {path}"):
            rotated = {**keys, "DFR_BACKUP_FORMER_KEYS": former}
            with self.subTest(former), patch.dict("os.environ", rotated):
                self.assertEqual(self.sftp._read_secret("sftp_password"), SECRET)
                self.assertEqual(odoo_config.signer().judge(signature_of(signed)), HERE)
        gone = {**keys, "DFR_BACKUP_FORMER_KEYS": "/no/such"}
        with patch.dict("os.environ", gone), self.assertRaises(KeyFileUnusable):
            odoo_config.secret_box()

    def in_file(self, name, text):
        path = self.root / name
        path.write_text(f"{text}\n")
        path.chmod(0o600)
        return str(path)

    def options(self, **files):
        """Yield the environment and odoo.conf, each with the names of these files."""
        upper = {name.upper(): value for name, value in files.items()}
        yield "environment", patch.dict("os.environ", upper)
        yield "odoo.conf", patch.dict(config._file_options, files)

    def test_each_secret_may_stand_in_a_file(self):
        """What docs/containers.rst promises."""
        key = self.in_file("key", "the key from a file")
        former = self.in_file("former", "a key of long ago,\nthe key of yesteryear")
        secret = self.in_file("secret", SECRET)
        fields = [f for kind in registry.kinds() for f in kind.fields("secrets")]
        self.assertIn("s3_secret_key", fields)
        files = {f"dfr_backup_offsite_{field}_file": secret for field in fields}
        files["dfr_backup_key_file"] = key
        files["dfr_backup_former_keys_file"] = former
        texts = ("the key from a file", "a key of long ago", "the key of yesteryear")
        for where, given in self.options(**files):
            with self.subTest(where), given:
                keys = odoo_config.secret_box().keys
                self.assertEqual(keys, tuple(map(key_from_text, texts)))
                for field in fields:
                    with self.subTest(field):
                        found = odoo_config.operator_value("OFFSITE", field)
                        self.assertEqual(found, SECRET)

    def test_the_environment_comes_before_odoo_conf_also_by_a_file(self):
        option = {"dfr_backup_key": "the key of odoo.conf, in it"}
        key = "the key from a file"
        file = {"DFR_BACKUP_KEY_FILE": self.in_file("key", key)}
        with patch.dict(config._file_options, option), patch.dict("os.environ", file):
            keys = odoo_config.secret_box().keys
        self.assertEqual(keys, SecretBox(key_from_text(key)).keys)

    def test_a_file_that_others_read_holds_no_secret(self):
        path = self.in_file("key", "the key from a file")
        os.chmod(path, 0o644)
        with (
            patch.dict("os.environ", {"DFR_BACKUP_KEY_FILE": path}),
            self.assertRaises(ProfileExposed),
        ):
            odoo_config.secret_box()

    def test_key_file_is_private_and_outside_the_database(self):
        path = self.root / "data" / "secret.key"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)

    def test_environment_and_configuration_come_first(self):
        self.sftp.external_name = "OFFSITE"
        beside = {
            "dfr_backup_offsite_sftp_host": "a.example.com",
            "dfr_backup_offsite_databases": f"other, {self.env.cr.dbname}",
        }
        outer = {**beside, "dfr_backup_offsite_sftp_password": "outer"}
        outer = {name.upper(): value for name, value in outer.items()}
        with patch.dict("os.environ", outer):
            self.assertEqual(self.sftp._read_secret("sftp_password"), "outer")
        option = {"dfr_backup_offsite_sftp_password": "from odoo.conf"}
        with patch.object(odoo_config, "config", {**beside, **option}):
            self.assertEqual(self.sftp._read_secret("sftp_password"), "from odoo.conf")
        self.assertEqual(self.sftp._read_secret("sftp_password"), SECRET)

    def offsite(self, **values):
        """Let the server's operator keep these values under the name OFFSITE."""
        names = {f"dfr_backup_offsite_{name}": v for name, v in values.items()}
        return patch.dict("os.environ", {n.upper(): v for n, v in names.items()})

    def test_a_secret_of_the_operator_goes_to_his_address_only(self):
        """A manager who changes host, port or key of the storage gets nothing."""
        here = self.env.cr.dbname
        with self.offsite(
            sftp_password="outer", sftp_host="his.example.com", databases=here
        ):
            self.sftp.external_name = "OFFSITE"
            self.sftp.write({"sftp_host": "evil.example.com", "sftp_port": 2222})
            self.assertEqual(self.sftp.sftp_host, "his.example.com")
            self.env.cr.execute(
                "UPDATE backup_storage SET sftp_host = 'evil', sftp_port = 2222"
            )
            self.env.invalidate_all()
            self.assertEqual(self.sftp._at("sftp_host"), "his.example.com")
            self.assertEqual(self.sftp._at("sftp_port"), 22)
            self.assertIn("his.example.com", self.sftp._where())
            self.assertIn("sftp_host", self.sftp.operator_fields)
            self.assertTrue(self.sftp._is_lent())

    def test_a_secret_of_the_operator_alone_goes_nowhere(self):
        self.sftp.external_name = "OFFSITE"
        here = self.env.cr.dbname
        for error_class, values in (
            (SecretWithoutAddress, {}),
            (SecretWithoutAddress, {"databases": here}),
            (SecretWithoutAddress, {"sftp_host": "a.example.com"}),
            (SecretOfOthers, {"sftp_host": "a.example.com", "databases": "shop"}),
            (
                BadOperatorValue,
                {"sftp_host": "a", "databases": here, "sftp_port": "ssh"},
            ),
        ):
            with self.subTest(values), self.offsite(sftp_password="outer", **values):
                with self.assertRaises(error_class) as caught:
                    self.sftp._get_storage()
                self.assertTrue(caught.exception.hint)
                self.sftp.invalidate_recordset()
                self.assertFalse(self.sftp.operator_fields)
                self.assertEqual(self.sftp.sftp_password, MASK)  # the form opens
        self.assertTrue(self.sftp._get_storage())

    def test_the_lines_to_paste_name_address_and_database(self):
        self.sftp.external_name = "OFFSITE"
        secret = self.offsite(sftp_password="outer")
        with secret, self.assertRaises(SecretWithoutAddress) as caught:
            self.sftp._get_storage()
        lines = str(caught.exception.hint)
        for name in ("sftp_host", "sftp_user", "databases"):
            self.assertIn(f"dfr_backup_offsite_{name} = ", lines)

    def test_keys_of_a_bucket_do_not_leave_for_another_endpoint(self):
        values = {
            "s3_secret_key": "outer",
            "s3_access_key": "key",
            "s3_bucket": "his",
        }
        with self.offsite(**values, databases=self.env.cr.dbname):
            bucket = self.env["backup.storage"].create(
                {
                    "name": "Bucket",
                    "provider": "s3",
                    "s3_bucket": "mine",
                    "s3_endpoint": "https://evil.example.com",
                    "external_name": "OFFSITE",
                }
            )
            config = config_of(RecordSettings(bucket))
        self.assertEqual((config.bucket, config.endpoint), ("his", ""))
        self.assertEqual(bucket.s3_bucket, "his")
        self.assertFalse(bucket.s3_endpoint)

    def test_name_in_the_environment_cannot_reach_other_variables(self):
        for name in ("offsite", "A B", "../X", "A=B", "", "1X"):
            if name:
                with (
                    self.subTest(name),
                    self.assertRaises(ValidationError),
                    self.cr.savepoint(),
                ):
                    self.sftp.external_name = name
        with patch.dict("os.environ", {"PGPASSWORD": "outer"}):
            self.assertEqual(odoo_config.operator_value("PG", "password"), "")

    def test_short_passphrase_of_a_plan(self):
        with self.assertRaises(ValidationError):
            self.plan.age_passphrase = "short"
