import shutil
import tempfile
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import UserError
from odoo.tests import TransactionCase

from .. import odoo_config, runner
from ..engine.ownership.marker import MARKER
from ..engine.storages.local.storage import LocalRules
from ..models import grants


class BackupCase(TransactionCase):
    """A plan with one storage in a directory of its own; no process is ever started."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.root = Path(tempfile.mkdtemp(prefix="dfr_backup_test"))
        cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
        rules = LocalRules([cls.root], [cls.root / "filestore"])
        cls.startClassPatcher(patch.object(odoo_config, "local_rules", lambda: rules))
        cls.startClassPatcher(
            patch.object(odoo_config, "data_root", lambda: cls.root / "data")
        )
        cls.spawn = cls.startClassPatcher(patch.object(runner, "spawn"))
        cls.env["backup.plan"].search([]).active = False
        # no server runs the scheduled action of a test database
        cls.cron = cls.env.ref("dfr_backup.ir_cron_supervise")
        cls.cron.nextcall = fields.Datetime.now() + timedelta(minutes=30)
        cls.storage = cls.env["backup.storage"].create(
            {"name": "Disk", "local_path": str(cls.root / "disk")}
        )
        cls.plan = cls.env["backup.plan"].create(
            {
                "name": "Nightly",
                "storage_ids": [(6, 0, cls.storage.ids)],
                "time": 2.0,
                "tz": "Europe/Paris",
            }
        )

    def log_in(self):
        """Begin a session: what is opened by a password is opened in it."""
        session = {}
        self.startPatcher(patch.object(grants, "_session", lambda: session))

    def stored(self, folder):
        """Return the files of a storage's directory, but for what marks it."""
        return [path for path in folder.iterdir() if path.name != MARKER]

    @contextmanager
    def assertRefuses(self, error_class):
        """The body ends in a UserError that an error of the engine has made."""
        with self.assertRaises(UserError) as caught:
            yield
        self.assertIsInstance(caught.exception.__cause__, error_class)

    def assertAsksForPassword(self, method):
        """Odoo asks for the user's password before it runs the method."""
        self.assertTrue(getattr(method, "__has_check_identity", False))

    def run_now(self, plan=None):
        """Press the button; return the run that it shows."""
        shown = (plan or self.plan).action_run_now()
        return self.env["backup.job"].browse(shown["res_id"])

    def finalize(self, job, size=5000):
        """Note the archive of a run, as it does when that is complete."""
        with patch.object(self.env.cr, "commit", lambda: None):
            content = job._run_context().archive.manifest(
                {"count": 1, "sha256sums": "ab" * 32}
            )
        name, digest = f"{job.uuid}.zip", "0" * 64
        job._run_context().store.record_archive(
            job.archive_name or name, size, job.archive_sha256 or digest, content
        )

    def record_copy(self, job, state="verified"):
        """Note where a run has stored its archive, as it does."""
        if not job.run_state.manifest:
            self.finalize(job, int(job.archive_size) or 5000)
        job._run_context().catalogue.record_copy(self.storage, state)

    def end(self, job, **states):
        """Write down how the steps of a run ended, as the runner would, and close
        it."""
        for step in job.step_ids:
            step.write({"state": states.get(step.kind, "success"), "error": "Broken"})
        job._run_context().ending.finish()
