"""What is allowed in a plan and dangerous, and why. The form says it while it is
changed."""

from odoo import api, fields, models

from ..engine.errors import EngineError
from .backup_retention_mixin import RULES
from .engine_messages import format_error

INTERVALS = {
    "hourly": 1,
    "daily": 24,
    "weekly": 7 * 24,
    "monthly": 31 * 24,
}  # hours, at most
FEW = 3  # copies: with fewer, a fault that is noticed late is in all of them


class BackupPlan(models.Model):
    _inherit = "backup.plan"

    cautions = fields.Text(compute="_compute_cautions")

    @api.depends(
        "include_database",
        "include_filestore",
        "frequency",
        "promise_hours",
        "storage_ids",
        "retention",
        *RULES,
        "encryption",
        "age_recipients",
        "age_identity",
        "kit_downloaded_at",
        "verify_every",
        "drill_every",
    )
    def _compute_cautions(self):
        for plan in self:
            found = [
                plan._caution_contents(),
                plan._caution_schedule(),
                plan._caution_place(),
                plan._caution_retention(),
                plan._caution_encryption(),
                plan._caution_proof(),
            ]
            plan.cautions = "\n".join(filter(None, found)) or False

    def _caution_contents(self):
        if not self.include_database:
            return self.env._(
                "The database is left out: attachments alone do not make an Odoo again."
            )
        if not self.include_filestore:
            return self.env._(
                "The attachments are left out: after a restore, documents and pictures "
                "are missing, unless another plan saves them."
            )
        return False

    def _caution_schedule(self):
        if self.frequency == "manual":
            return self.env._(
                "It runs only by hand. A backup that somebody has to think of is "
                "forgotten."
            )
        if not self.promise_hours:
            return self.env._(
                "“Good Backup Within” is 0: nobody hears of it when backups stop "
                "coming."
            )
        if self.promise_hours <= INTERVALS[self.frequency]:
            return self.env._(
                "“Good Backup Within” is %(hours)s hours, and the next run may come "
                "only after "
                "%(interval)s: it will be called overdue although nothing is wrong.",
                hours=self.promise_hours,
                interval=INTERVALS[self.frequency],
            )
        return False

    def _caution_place(self):
        storages = self.storage_ids._origin
        if not storages or any(storage._is_off_site() for storage in storages):
            return False
        if all(storage._is_beside_the_data() for storage in storages):
            return self.env._(
                "All copies are on the disk of Odoo's data: when it breaks, both are "
                "gone."
            )
        return self.env._(
            "All copies are on this server: fire, theft or an intruder takes them "
            "together with the data."
        )

    def _caution_retention(self):
        if self.retention == "none":
            return self.env._(
                "Nothing is ever deleted: a storage that is full fails the backup."
            )
        if self._policy().most_copies() < FEW:
            return self.env._(
                "So few backups are kept that a mistake noticed a day later may be in "
                "all of them."
            )
        return False

    def _caution_encryption(self):
        if self.encryption == "none":
            return False
        lost = self.encryption == "passphrase" and self._passphrase_problem()
        if lost:
            return lost
        if not self.kit_downloaded_at:
            return self.env._(
                "Without the key the backups are lost. Download the recovery kit and "
                "keep it, with the key, outside of this server: nobody has since the "
                "keys or the storages changed."
            )
        return False

    def _passphrase_problem(self):
        try:
            for plan in self._origin:
                plan._read_secret("age_passphrase")
        except EngineError as error:
            return format_error(self.env, error)
        return False

    def _caution_proof(self):
        if (
            self.drill_every != "0"
            and self.encryption == "recipients"
            and not self.age_identity
        ):
            return self.env._(
                "Drills will fail: this server cannot read its own backups. Give it a "
                "private "
                "key for drills under Verification, or drill on another machine."
            )
        if self.drill_every == "0" and self.verify_every == "0":
            return self.env._(
                "Nobody looks at stored backups again: a copy that rots is found on "
                "the bad day."
            )
        return False
