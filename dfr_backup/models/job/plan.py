"""What the plan of a backup wants of it, and is told."""

from ...engine.encryption.files import Passphrase, parse_recipients
from ...engine.errors.encryption import NoPassphrase
from ...engine.messages import Message
from ...engine.policy.size_drop import shrinkage
from ...runs import words
from ..states import OPEN_STATES
from .part import Part
from .sizes import backups_alike


class Plan(Part):
    def is_encrypted(self):
        return self.job.encryption != "none"

    def is_incremental(self):
        """Tell whether the plan wants attachments to be stored once."""
        plan = self.job.plan_id
        return plan.incremental and self.job.include_filestore

    def adopt_encryption(self):
        """Encrypt as the plan says now: it may have been switched on since the run was
        asked for."""
        wanted = self.job.plan_id.encryption
        if self.job.encryption != wanted:
            self.job._persist(self.job, {"encryption": wanted})

    def adopt(self):
        """Do what the plan says now: a run that waits was asked for under an earlier
        one. One that has begun stores nothing more where the plan stores no longer."""
        plan = self.job.plan_id
        begun = self.job.step_ids.filtered(lambda step: step.state != "pending")
        if begun or self.job.archive_name:
            self._drop_storages(self.job._storages() - plan.storage_ids)
            return
        values = self.job._plan_values(plan)
        planned = [
            (step["kind"], step["storage_id"]) for *_command, step in values["step_ids"]
        ]
        if planned == [(step.kind, step.storage_id.id) for step in self.job.step_ids]:
            return
        self.job.step_ids.unlink()
        self.job._persist(self.job, values)

    def _drop_storages(self, storages):
        """Take the open steps of storages off this run, and say so."""
        for storage in storages:
            steps = self.job.step_ids.filtered(lambda s, at=storage: s.storage_id == at)
            uploaded = steps.filtered(lambda s: s.kind == "upload" and s._is_good())
            waiting = steps.filtered(lambda s: s.state in OPEN_STATES)
            if uploaded or not waiting:
                continue  # then it is verified, too
            waiting.unlink()
            line = Message(words.TAKEN_OFF, storage=storage.name)
            self.job._step("initialize")._note(line)

    def encryption_key(self):
        """Return for whom the archive is encrypted, None when it is not. Raise
        PermanentError."""
        if self.job.encryption == "recipients":
            return parse_recipients(self.job.plan_id.age_recipients or "")
        if self.job.encryption == "passphrase":
            secret = self.job.plan_id._read_secret("age_passphrase")
            if not secret:
                raise NoPassphrase()
            return Passphrase(secret)
        return None

    def encryption_facts(self):
        """Return what the manifest says about the encryption; never a secret."""
        if not self.is_encrypted():
            return {}
        return {
            "format": "age",
            "kind": self.job.encryption,
            "recipients": self.job.plan_id._recipients(),
        }

    def note_filestore(self, report, complete):
        """Keep what a backup has found wrong with the filestore."""
        self.job.env["backup.filestore.issue"]._record(
            self.job, report.troubles, complete and report.lists_all
        )

    def damaged_files(self):
        """Return the names of the files of the filestore that were found damaged, and
        not good since then."""
        issues = self.job.env["backup.filestore.issue"]
        found = issues.search([("state", "=", "open"), ("kind", "=", "damaged")])
        return frozenset(found.mapped("store_fname"))

    def last_size(self):
        """Return the bytes of the last good backup of the same things, 0 where there
        is none."""
        return int(backups_alike(self.job)[:1].archive_size)

    def note_size(self):
        """Write down, and return, by how many percent the archive is smaller than
        usual; 0 when it is not. One that is known to lack something is no surprise."""
        drop = 0
        if not self.context.archive.missing_parts():
            before, most = backups_alike(self.job), self.job.plan_id.size_warning
            drop = max(
                shrinkage(self.job[size], before.mapped(size), most)
                for size in ("archive_size", "packed_size")
            )
        self.job._persist(self.job, {"size_drop": drop})
        return drop
