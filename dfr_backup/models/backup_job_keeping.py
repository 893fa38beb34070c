"""What the runner does for stored copies: retention, and the catalogue of a storage."""

from odoo import fields, models

from ..engine.encryption.files import Passphrase, parse_recipients
from ..engine.errors import Cancelled, EngineError
from ..engine.errors.encryption import NoPassphrase
from ..engine.manifest.names import sidecar_key
from ..engine.messages import Joined, Message
from ..runs import words
from .backup_step import OPEN_STATES
from .copy.catalogue import Catalogue
from .plan.retention import decide, rules_for

STORAGE_CLOCK_TRUSTED = 3600  # seconds: what was stored earlier says nothing about now


class BackupJob(models.Model):
    _inherit = "backup.job"

    # === ENCRYPTION === #

    def _is_encrypted(self):
        return self.encryption != "none"

    def _adopt_encryption(self):
        """Encrypt as the plan says now: it may have been switched on since the run was
        asked for."""
        wanted = self.plan_id.encryption
        if self.encryption != wanted:
            self._persist(self, {"encryption": wanted})

    def _adopt_plan(self):
        """Do what the plan says now: a run that waits was asked for under an earlier
        one. One that has begun stores nothing more where the plan stores no longer."""
        plan = self.plan_id
        begun = self.step_ids.filtered(lambda step: step.state != "pending")
        if begun or self.archive_name:
            self._drop_storages(self._storages() - plan.storage_ids)
            return
        values = self._plan_values(plan)
        planned = [
            (step["kind"], step["storage_id"]) for *_command, step in values["step_ids"]
        ]
        if planned == [(step.kind, step.storage_id.id) for step in self.step_ids]:
            return
        self.step_ids.unlink()
        self._persist(self, values)

    def _drop_storages(self, storages):
        """Take the open steps of storages off this run, and say so."""
        for storage in storages:
            steps = self.step_ids.filtered(lambda s, at=storage: s.storage_id == at)
            uploaded = steps.filtered(lambda s: s.kind == "upload" and s._is_good())
            waiting = steps.filtered(lambda s: s.state in OPEN_STATES)
            if uploaded or not waiting:
                continue  # then it is verified, too
            waiting.unlink()
            line = Message(words.TAKEN_OFF, storage=storage.name)
            self._step("initialize")._note(line)

    def _encryption_key(self):
        """Return for whom the archive is encrypted, None when it is not. Raise
        PermanentError."""
        if self.encryption == "recipients":
            return parse_recipients(self.plan_id.age_recipients or "")
        if self.encryption == "passphrase":
            secret = self.plan_id._read_secret("age_passphrase")
            if not secret:
                raise NoPassphrase()
            return Passphrase(secret)
        return None

    def _encryption_facts(self):
        """Return what the manifest says about the encryption; never a secret."""
        if not self._is_encrypted():
            return {}
        return {
            "format": "age",
            "kind": self.encryption,
            "recipients": self.plan_id._recipients(),
        }

    # === RETENTION === #

    def _apply_retention(self, storage, progress, listing=None):
        """Delete what the rules of this run's plan want no more in ``storage``, whose
        ``listing`` somebody may have, and log why.

        A copy that cannot be deleted is a warning and stays in the catalogue.
        """
        plan = self.plan_id
        if not rules_for(plan, storage) or not storage.can_delete:
            return
        self.env["backup.identity"]._require_still_ours(storage, listing)
        decision = decide(plan, storage, self._storage_now(storage))
        if decision.refused:
            problem = Joined([decision.refused, decision.hint])
            progress.warn(
                Message(words.PROBLEM_AT, where=storage.name, problem=problem)
            )
        for identifier in decision.deletions:
            copy = self.env["backup.copy"].browse(int(identifier))
            try:
                copy._delete_stored(progress)
                progress.log(Message(words.DELETED, storage=storage.name, key=copy.key))
            except Cancelled:
                raise
            except EngineError as error:
                progress.warn(
                    Message(words.NOT_DELETED, key=copy.key, problem=error.in_full)
                )
            progress.tick()

    def _storage_now(self, storage):
        """Return the time by the storage's clock, or None when it does not tell.

        The manifest of this run was just written there, at a time that our clock knows
        too.
        """
        written = storage._get_storage().stat(sidecar_key(self.archive_name))
        ended = self._step("upload", storage).date_end
        now = fields.Datetime.now()
        if (
            not written
            or not ended
            or (now - ended).total_seconds() > STORAGE_CLOCK_TRUSTED
        ):
            return None
        return written.modified + (now - ended)

    # === CATALOGUE === #

    def _record_scan(self, storage, found, progress):
        """Write down what a storage holds: new copies, and what became of known
        ones."""
        Catalogue(self).record_scan(storage, found, progress)

    def _listing(self, storage, progress):
        """Ask a storage what it holds: the size of each object, by its name. Raise
        EngineError."""
        sizes = {}
        for found in storage._get_storage().list():
            sizes[found.key] = found.size
            progress.tick()
        return sizes

    def _note_listed(self, storage, progress, sizes):
        """Note which copies are there, given the listing of their storage. What is gone
        is noted as missing."""
        Catalogue(self).note_listed(storage, progress, sizes)
