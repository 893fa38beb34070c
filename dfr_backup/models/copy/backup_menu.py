"""What is done with a backup as a whole: the menu of its form and of the list."""

from odoo import models


class BackupBackup(models.Model):
    """Its copies do it, and ask for what they ask: a right, the password, which of
    them are there."""

    _inherit = "backup.backup"

    def _kept_copies(self):
        return self.copy_ids.filtered(lambda copy: copy.state != "deleted")

    # === OF THE BEST COPY === #

    def action_staging(self):
        """Ask whether this backup is to become a staging copy."""
        return self._best_copy().action_staging()

    def action_browse(self):
        """Show what this backup holds."""
        return self._best_copy().action_browse()

    def action_download(self):
        """Open the address from which the stored archive can be downloaded."""
        return self._best_copy().action_download()

    def action_download_complete(self):
        """Open the address from which one complete zip can be downloaded."""
        return self._best_copy().action_download_complete()

    def action_drill(self):
        """Prove that this backup restores, as a run of its own, and show it."""
        return self._best_copy().action_drill()

    # === OF ALL COPIES === #

    def action_verify(self):
        """Read all copies back, as a run of its own, and show it."""
        return self.copy_ids.action_verify()

    def action_protect(self):
        """Keep these copies, whatever the rules say."""
        return self._kept_copies().action_protect()

    def action_unprotect(self):
        """Let the rules decide again."""
        return self._kept_copies().action_unprotect()

    def action_ask_delete(self):
        """Say which copies would be deleted, and ask."""
        return self.copy_ids.action_ask_delete()
