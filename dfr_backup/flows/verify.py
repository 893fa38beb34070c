"""Stored copies, looked at again: are they there, and are they what was stored?"""

from ..engine.catalogue import read_sidecar
from ..engine.errors import Mismatch, PermanentError
from ..engine.manifest import sidecar_key
from ..engine.retry import persistently
from .base import Flow


class VerifyFlow(Flow):
    """One step for each copy."""

    def run(self):
        for step in self.job.step_ids:
            self._do(step, lambda progress, storage, copy=step.copy_id: self.verify(progress, copy))

    def verify(self, progress, copy):
        """Read one copy back, and note what was found."""
        target = copy.storage_id._get_storage()
        try:
            persistently(
                lambda: self._compare(target, copy, progress), progress, copy.storage_id._retries()
            )
        except Mismatch:
            present = target.stat(copy.key) is not None
            self.job._persist(copy, {"state": "damaged" if present else "missing"})
            raise
        progress.log(f"{copy.key}: the checksum is right")
        copy._note_verified(self.job)

    def _compare(self, target, copy, progress):
        target.verify(copy.key, int(copy.size), copy.sha256, progress)
        try:
            sealed = read_sidecar(target, sidecar_key(copy.key)).sha256
        except PermanentError as error:  # the archive could be read: it is no question of rights
            raise Mismatch(error.message, hint=error.hint, log=error.log) from error
        if sealed != copy.sha256:
            raise Mismatch(
                f"The manifest beside {copy.key} belongs to another archive.",
                hint="Somebody changed the storage. Scan it to see what it holds now.",
            )
