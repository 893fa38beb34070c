"""Where odoo.conf names a read replica."""

from odoo.tests import tagged
from odoo.tools import config

from .. import odoo_config
from .common import BackupCase


@tagged("post_install", "-at_install")
class TestReplica(BackupCase):
    def setUp(self):
        super().setUp()
        before = config._runtime_options.copy()
        self.addCleanup(config._runtime_options.update, before)
        self.addCleanup(config._runtime_options.clear)
        self.database = self.run_now()._run_context().database

    def test_only_where_the_operator_wants_it(self):
        self.assertIsNone(self.database.replica())
        config["db_replica_host"] = "replica.example.com"
        self.assertIsNone(self.database.replica())
        config["dfr_backup_use_replica"] = "True"
        config["db_replica_port"] = 5433
        found, primary = self.database.replica(), self.database.connection()
        self.assertEqual(found.database, primary.database)
        self.assertEqual(found.application_name, primary.application_name)
        place = found.params["host"], found.params["port"]
        self.assertEqual(place, ("replica.example.com", 5433))
        config["db_replica_host"] = None
        self.assertIsNone(self.database.replica())

    def test_how_long_it_is_awaited(self):
        default = odoo_config.REPLICA_SECONDS
        self.assertEqual(self.database.replica_patience(), default)
        for value, seconds in (("5", 5.0), ("soon", default), ("-1", default)):
            config["dfr_backup_replica_wait"] = value
            self.assertEqual(self.database.replica_patience(), seconds)
