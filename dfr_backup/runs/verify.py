"""Stored copies, looked at again: are they there, and are they what was stored?"""

import contextlib
from datetime import datetime, timezone
from functools import cached_property

from ..engine.catalog.catalogued import compare_stored
from ..engine.catalog.upload_receiver import compare_found
from ..engine.errors import EngineError, Mismatch
from ..engine.manifest.pack_use import PackUse
from ..engine.manifest.sidecar import Sidecar
from ..engine.messages import Message, _
from ..engine.packs.reading import check_packs
from ..engine.packs.readings import Readings
from ..engine.progress import Progress
from ..engine.storages.base import Storage
from .base import Run
from .damage import condemn
from .records import DAMAGED, CopyRecord, StorageRecord
from .registry import register
from .steps import VERIFY


@register("verify")
class VerifyRun(Run):
    """One step for each copy."""

    label = "Verification"
    STEPS = (VERIFY,)
    per_copy = True
    loud = True  # the backup may be worth nothing

    @cached_property
    def _good(self) -> dict[int, set[PackUse]]:
        """The packs that were read back, by storage."""
        return {}

    def again(self) -> object:
        return self.job.step_ids.copy_id.action_verify()

    def verify(self, progress: Progress, copy: CopyRecord) -> None:
        """Read one copy back, and note what was found."""
        target = copy.storage_id._get_storage()
        try:
            target.with_retries(lambda: self._compare(target, copy, progress), progress)
        except Mismatch:
            present = target.stat(copy.key) is not None
            found = DAMAGED if present else {"state": "missing"}
            self.context.store.persist(copy, found)
            raise
        progress.log(Message(_("%(key)s: the checksum is correct"), key=copy.key))
        copy._note_verified(self.job)

    def _read_packs(
        self, target: Storage, copy: CopyRecord, sidecar: Sidecar, progress: Progress
    ) -> None:
        """Read back the packs of an incremental backup, each once in a run, however
        many backups need it."""
        good = self._good.setdefault(copy.storage_id.id, set())
        storage = copy.storage_id
        check_packs(
            target,
            sidecar,
            progress,
            good,
            lambda use: self._condemn(storage, use, progress),
        )
        keys = [use.key for use in sidecar.packs or ()]
        with contextlib.suppress(EngineError):  # then they are read once more
            index = self.context.packs.place(storage).index
            Readings.of(index).note(keys, datetime.now(timezone.utc))
        count = len(keys)
        progress.log(Message(_("%(packs)s packs that it needs: correct"), packs=count))

    def _condemn(
        self, storage: StorageRecord, use: PackUse, progress: Progress
    ) -> None:
        with contextlib.suppress(EngineError):  # that it is damaged says more
            condemn(self.context, storage, use, progress)

    def _compare(self, target: Storage, copy: CopyRecord, progress: Progress) -> None:
        if copy.origin != "odoo":
            sidecar = compare_stored(target, copy.key, copy._catalogued(), progress)
            if sidecar.packs is not None:
                self._read_packs(target, copy, sidecar, progress)
            self.context.store.persist(copy, copy._noted_of(sidecar))
            return
        known = copy.sha256 or ""
        found = compare_found(target, copy.key, int(copy.size), known, progress)
        self.context.store.persist(copy, {"sha256": found})
