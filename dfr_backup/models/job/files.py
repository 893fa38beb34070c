"""What a run reads and leaves on this server."""

import contextlib
import shutil
from datetime import timedelta

from odoo import fields

from ... import odoo_config
from ...engine.messages import Message
from ...runs import words
from ...runs.packed import PACKED_LIST
from ..states import OPEN_STATES
from .part import Part

KEEP_ARCHIVE = timedelta(days=3)


class Files(Part):
    def work_path(self):
        return odoo_config.work_path(self.job.uuid)

    def archive_path(self):
        return self.work_path() / self.job.archive_name

    def is_archived(self):
        return bool(self.job.archive_name) and self.archive_path().exists()

    def filestore_path(self):
        return odoo_config.filestore_path(self.context.database.name())

    def custom_addons(self):
        return odoo_config.custom_addons(self.job.env)

    def reservations(self):
        return odoo_config.reservations(self.job.uuid)

    def clean_up(self, progress):
        """Remove this run's temporary files, keeping an archive that still has to be
        uploaded, and what earlier runs have left."""
        if self.job._uploads_missing() and self.is_archived():
            until = fields.Datetime.now() + KEEP_ARCHIVE
            self.job._persist(self.job, {"kept_until": until})
            progress.log(Message(words.ARCHIVE_KEPT, until=until))
            kept = {self.job.archive_name, PACKED_LIST}
            for path in self.work_path().iterdir():
                if path.name not in kept:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        else:
            self.job._persist(self.job, {"kept_until": False})
            self.remove_work()
        for path in self.stale_files():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            progress.log(Message(words.LEFTOVER_REMOVED, name=path.name))

    def _left_behind(self):
        """Return the closed runs whose own cleanup did not come to its end. What
        they have not stored yet is kept from now on, as it should have been."""
        names = [path.name for path in odoo_config.data_root().glob("work/*")]
        closed = [("uuid", "in", names), ("state", "not in", OPEN_STATES)]
        left = self.job.search(
            [*closed, ("kept_until", "=", False), ("id", "!=", self.job.id)]
        )
        unsent = left.filtered(
            lambda job: (
                job._run_context().files.is_archived() and job._uploads_missing()
            )
        )
        self.job._persist(unsent, {"kept_until": fields.Datetime.now() + KEEP_ARCHIVE})
        return left - unsent

    def stale_files(self):
        """Yield working directories and logs that no run of this database needs any
        more."""
        root = odoo_config.data_root()
        now = fields.Datetime.now()
        # one that is too far away was set under a clock that was ahead
        over = [
            "|",
            ("kept_until", "<", now),
            ("kept_until", ">", now + 2 * KEEP_ARCHIVE),
        ]
        left = self._left_behind()
        overdue = self.job.search([*over, ("id", "!=", self.job.id)])
        self.job._persist(overdue, {"kept_until": False})
        for job in (overdue | left).filtered(lambda job: job._is_own()):
            if job._run_context().files.work_path().exists():
                yield job._run_context().files.work_path()
        month = (now - timedelta(days=30)).timestamp()
        for path in (root / "log").glob("*.log"):
            if path.stat().st_mtime < month:
                yield path

    def remove_work(self):
        """Remove the working directory."""
        for job in self.job.filtered(lambda job: job._is_own()):
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(job._run_context().files.work_path())
