"""A backup that is much smaller than the ones before it: good, and perhaps of too
little."""

from odoo import fields, models

from ...engine.policy.size_drop import LOOK_BACK


class BackupJob(models.Model):
    _inherit = "backup.job"

    size_drop = fields.Integer(
        "Smaller By", readonly=True, copy=False, help="In percent of the ones before."
    )

    def _alike(self):
        """Return the last good backups of the same plan that saved the same things."""
        contents = ("include_database", "include_filestore", "include_addons")
        same = [(name, "=", self[name]) for name in contents]
        good = [
            ("state", "=", "success"),
            ("archive_size", ">", 0),
            ("id", "!=", self.id),
        ]
        return self.search([*self.plan_id._backups(), *same, *good], limit=LOOK_BACK)

    def _is_shrinking_news(self):
        """Tell whether this good run, and not already the one before it, was much
        smaller."""
        return bool(
            self.state == "success"
            and self.size_drop
            and not self._alike()[:1].size_drop
        )

    def _shrinking_in_words(self, env):
        """Return what is the matter, and what to do, in the language of ``env``."""
        return (
            env._("The archive is %s%% smaller than the ones before.", self.size_drop),
            env._(
                "If nobody has deleted that much, data is missing: compare it with an "
                "older backup, and protect that one until you know."
            ),
        )
