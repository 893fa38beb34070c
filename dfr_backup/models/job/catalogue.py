"""What a run writes into the catalogue, and what it deletes of its storages."""

from odoo import fields

from ...engine.catalog.catalogued import Catalogued
from ...engine.errors import Cancelled, EngineError
from ...engine.manifest.names import sidecar_key
from ...engine.messages import Joined, Message
from ...runs import words
from ..copy.catalogue import Catalogue
from ..copy.states import PRESENT_STATES
from ..plan.retention import decide, rules_for
from .part import Part

STORAGE_CLOCK_TRUSTED = 3600  # seconds: what was stored earlier says nothing about now


class Copies(Part, Catalogue):
    def _copy_in(self, storage):
        return self.job.copy_ids.filtered(
            lambda copy: (
                copy.storage_id == storage and copy.key == self.job.archive_name
            )
        )

    def catalogued(self, storage):
        """Return what this run's archive in ``storage`` has to be."""
        archive = int(self.job.archive_size), self.job.archive_sha256
        known = self._copy_in(storage)._catalogued_manifest()
        return Catalogued(*archive, *known)

    def record_copy(self, storage, state, **noted):
        """Create or update the catalogue's record of this run's archive in
        ``storage``, with what is ``noted`` of its manifest."""
        values = {"state": state, **noted}
        if state in PRESENT_STATES:
            values["seen_at"] = fields.Datetime.now()
        if state == "verified":
            values["verified_at"] = fields.Datetime.now()
        sidecar = self.context.archive.sidecar
        self.record_stored(storage, sidecar, self._copy_in(storage), values)

    def adopt_copy(self, storage):
        """Take over the catalogue's record of an archive of that name which was lost
        from ``storage``, if any."""
        self.record_again(storage, self.context.archive.sidecar())

    def apply_retention(self, storage, progress, listing=None):
        """Delete what the rules of this run's plan want no more in ``storage``, whose
        ``listing`` somebody may have, and log why.

        A copy that cannot be deleted is a warning and stays in the catalogue.
        """
        plan = self.job.plan_id
        if not rules_for(plan, storage) or not storage.can_delete:
            return
        self.job.env["backup.identity"]._require_still_ours(storage, listing)
        decision = decide(plan, storage, self.storage_now(storage))
        if decision.refused:
            problem = Joined([decision.refused, decision.hint])
            progress.warn(
                Message(words.PROBLEM_AT, where=storage.name, problem=problem)
            )
        for identifier in decision.deletions:
            copy = self.job.env["backup.copy"].browse(int(identifier))
            try:
                copy._delete_stored(progress, "retention")
                progress.log(Message(words.DELETED, storage=storage.name, key=copy.key))
            except Cancelled:
                raise
            except EngineError as error:
                progress.warn(
                    Message(words.NOT_DELETED, key=copy.key, problem=error.in_full)
                )
            progress.tick()

    def storage_now(self, storage):
        """Return the time by the storage's clock, or None when it does not tell.

        The manifest of this run was just written there, at a time that our clock knows
        too.
        """
        written = storage._get_storage().stat(sidecar_key(self.job.archive_name))
        ended = self.job._step("upload", storage).date_end
        now = fields.Datetime.now()
        if (
            not written
            or not ended
            or (now - ended).total_seconds() > STORAGE_CLOCK_TRUSTED
        ):
            return None
        return written.modified + (now - ended)

    def listing(self, storage, progress):
        """Ask a storage what it holds: the size of each object, by its name. Raise
        EngineError."""
        sizes = {}
        for found in storage._get_storage().list():
            sizes[found.key] = found.size
            progress.tick()
        return sizes
