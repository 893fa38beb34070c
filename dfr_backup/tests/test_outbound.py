"""Addresses that a database names are called only where odoo.conf allows it."""

from odoo.tests import tagged
from odoo.tools import config

from .. import odoo_config
from ..engine.errors.outbound import AddressNeverCalled, PrivateNotAllowed
from ..models.plan.monitors import pings_of, send_and_log
from ..models.storage.backup_storage import limits_of
from .common import BackupCase, patch

KINDS = {
    "s3": {
        "s3_bucket": "bucket",
        "s3_endpoint": "http://127.0.0.1:9",
        "s3_access_key": "k",
        "s3_secret_key": "s",
    },
    "sftp": {
        "sftp_host": "127.0.0.1",
        "sftp_port": 9,
        "sftp_user": "odoo",
        "sftp_password": "s",
    },
}


@tagged("post_install", "-at_install")
class TestOutbound(BackupCase):
    def allow(self, text):
        options = patch.dict(config._file_options, dfr_backup_private_hosts=text)
        options.start()
        self.addCleanup(options.stop)

    def make(self, kind, **values):
        vals = {"name": kind, "provider": kind, "retry_minutes": 0, **KINDS[kind]}
        return self.env["backup.storage"].create({**vals, **values})

    def test_private_addresses_are_allowed_without_a_line_in_odoo_conf(self):
        for kind in KINDS:
            error, _found = self.make(kind)._test()
            self.assertNotIn(type(error), (PrivateNotAllowed, type(None)), kind)

    def test_odoo_conf_limits_private_addresses(self):
        self.allow("minio.example.lan")
        for kind in KINDS:
            error, _found = self.make(kind)._test()
            self.assertIsInstance(error, PrivateNotAllowed, kind)

    def test_what_a_cloud_tells_its_machines_is_never_asked(self):
        self.allow("0.0.0.0/0")
        for kind, name in (("s3", "s3_endpoint"), ("sftp", "sftp_host")):
            address = ("http://" if kind == "s3" else "") + "169.254.169.254"
            error, _found = self.make(kind, **{name: address})._test()
            self.assertIsInstance(error, AddressNeverCalled, kind)

    def test_the_host_key_of_a_refused_address_is_not_fetched(self):
        self.allow("none")
        with self.assertRaisesRegex(Exception, PrivateNotAllowed.code):
            self.make("sftp").action_fetch_host_key()

    def test_an_address_beside_a_secret_in_odoo_conf_is_allowed(self):
        self.allow("none")
        given = {
            "dfr_backup_outbound_sftp_password": "s",
            "dfr_backup_outbound_sftp_host": "127.0.0.1",
            "dfr_backup_outbound_sftp_user": "odoo",
            "dfr_backup_outbound_databases": self.env.cr.dbname,
        }
        with patch.dict(config._file_options, given):
            storage = self.make("sftp", external_name="OUTBOUND")
            self.assertEqual(limits_of(storage).outbound.private, None)
        storage.external_name = False
        self.assertEqual(limits_of(storage).outbound.private, ())

    def test_monitors(self):
        self.allow("none")
        self.assertEqual(odoo_config.outbound_rules().private, ())
        self.plan.webhook_url = "http://127.0.0.1:9/x"
        pings = pings_of(self.plan, "failure", {}, ["webhook_url"])
        with self.assertLogs("odoo.addons.dfr_backup", "WARNING") as logs:
            send_and_log(pings)
        self.assertIn("dfr_backup_private_hosts", logs.output[0])
