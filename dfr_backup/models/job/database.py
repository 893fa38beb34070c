"""The database that a run belongs to, and its server."""

from ... import odoo_config
from ...engine.postgres.dump import DumpOptions
from .part import Part


class Database(Part):
    def server_version(self):
        """Return the major version of the PostgreSQL server."""
        return self.job.env.cr.connection.server_version // 10000

    def pg_path(self):
        return odoo_config.pg_path()

    def dump_options(self):
        plan = self.job.plan_id
        return DumpOptions(plan.lock_timeout, plan.patience)

    def connection(self):
        return odoo_config.connection(self.name(), self.application_name())

    def replica(self):
        return odoo_config.replica(self.name(), self.application_name())

    def replica_patience(self):
        """Return for how many seconds a read replica is awaited."""
        return odoo_config.replica_seconds()

    def application_name(self):
        return f"dfr_backup {self.job.uuid[:8]}"

    def name(self):
        return self.job.env.cr.dbname

    def server(self):
        return odoo_config.connection("postgres", self.application_name())
