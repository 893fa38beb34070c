"""What the runner does for an archive that was uploaded."""

from datetime import datetime

from odoo import models

from .copy.catalogue import Catalogue


class BackupJob(models.Model):
    _inherit = "backup.job"

    def _uploaded(self):
        """Return how the file was called where it comes from, and when it was made
        (aware)."""
        facts = self._facts()["uploaded"]
        return facts["name"], datetime.fromisoformat(facts["modified"])

    def _record_copy(self, storage, state, **noted):
        """An archive that was lost from its storage, and is imported again, is the
        same copy."""
        if self.kind == "import" and not self.copy_ids:
            Catalogue(self).record_again(storage, self._sidecar())
        return super()._record_copy(storage, state, **noted)

    def _sign(self, content):
        """What comes from elsewhere is not signed as ours."""
        return content if self.kind == "import" else super()._sign(content)

    def action_restore_imported(self):
        """Ask what the imported archive is to become."""
        self.ensure_one()
        return self.copy_ids[:1].action_restore()
