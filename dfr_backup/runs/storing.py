"""An archive that is complete: stored, read back, and the storages looked after."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from ..engine.catalog.catalogued import Catalogued, compare_stored
from ..engine.checkpoints import checkpoint
from ..engine.errors import Cancelled, EngineError, Mismatch
from ..engine.errors.archive import EncryptedMeanwhile, StaysInTheClear
from ..engine.manifest import write as manifest
from ..engine.manifest.model import Manifest
from ..engine.manifest.names import sidecar_key
from ..engine.manifest.read import parse_sidecar
from ..engine.manifest.sidecar import Sidecar
from ..engine.messages import Message, Size, _
from ..engine.progress import Progress
from ..engine.storages.base import Storage
from . import words
from .archiving import ArchivingRun
from .records import Listing, StepRecord, StorageRecord
from .steps import UPLOAD, VERIFY, Step


class StoringRun(ArchivingRun):
    """A run that stores its archive in each of its storages, and reads it back
    there."""

    completed_by: ClassVar[Step]  # after this one there is an archive to store
    without_archive: ClassVar[str] = words.NO_ARCHIVE

    def _obstacle(self, step: StepRecord) -> str | None:
        if step.kind == UPLOAD.key and not self._good(self.completed_by.key):
            return self.without_archive
        if step.kind == VERIFY.key and not self._good(UPLOAD.key, step.storage_id):
            return words.NOT_STORED
        return super()._obstacle(step)

    def needs_last_runner(self) -> bool:
        """Tell whether a storage may hold something of the archive that is to be
        removed."""
        begun = self.job.step_ids.filtered(
            lambda step: step.kind == UPLOAD.key and step.date_start
        )
        return any(not self._good(VERIFY.key, at) for at in begun.storage_id)

    def upload(self, progress: Progress, storage: StorageRecord) -> None:
        """Store the archive and, last of all, the manifest that makes it a backup."""
        target = storage._get_own_storage()
        job = self.job
        self._require_archive()
        self._require_closed()
        content, facts = self._store(target, storage, progress)
        location = target.location(job.archive_name)
        progress.log(Message(_("Stored as %(location)s"), location=location))
        key = sidecar_key(job.archive_name)
        noted = job.copy_ids._noted_of(parse_sidecar(content, key))
        self._record_copy(storage, "stored", **noted, **facts)

    def _store(
        self, target: Storage, _storage: StorageRecord, progress: Progress
    ) -> tuple[bytes, Mapping[str, object]]:
        """Store it all; return the manifest beside the archive, and what else the
        catalogue notes of the copy."""
        job = self.job
        path, key = self.context.files.archive_path(), job.archive_name
        target.with_retries(lambda: target.put(path, key, progress), progress)
        checkpoint("storage.manifest.before")
        about = Manifest(job.run_state.manifest or {})
        content = manifest.sidecar(
            about, key, int(job.archive_size), job.archive_sha256, self._sign
        )
        stored = progress.done
        target.with_retries(
            lambda: target.put_bytes(content, sidecar_key(key)), progress
        )
        progress.done = stored
        return content, {}

    def _sign(self, content: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.context.archive.sign(content)

    def _require_closed(self) -> None:
        """Raise an EngineError when the archive may not be uploaded as it is: it was
        completed before its plan was encrypted."""
        if self.job._is_too_open():
            again = self.context.cancel.may_try_again()
            raise EncryptedMeanwhile() if again else StaysInTheClear()

    def verify(self, progress: Progress, storage: StorageRecord) -> None:
        """Read back what the storage holds, and compare it with the archive."""
        job = self.job
        target = storage._get_own_storage()
        known = self.context.catalogue.catalogued(storage)
        try:
            sidecar = target.with_retries(
                lambda: self._compare(target, known, progress), progress
            )
        except Mismatch:
            self._record_copy(storage, "damaged")
            # a retry must not take it for the real one
            with contextlib.suppress(EngineError):
                self._remove_from(storage, "verification")
            raise
        noted = job.copy_ids._noted_of(sidecar)
        self._record_copy(storage, "verified", **noted)

    def _compare(
        self, target: Storage, known: Catalogued, progress: Progress
    ) -> Sidecar:
        """Return the manifest of the copy. Raise Mismatch when it is not what was
        stored."""
        job = self.job
        sidecar = compare_stored(target, job.archive_name, known, progress)
        progress.log(
            Message(
                _("All %(size)s are there, and the checksum is correct"),
                size=Size(int(job.archive_size)),
            )
        )
        return sidecar

    def cleanup(self, progress: Progress) -> None:
        """Remove what is not needed any more: old copies, where a new one is
        verified, and temporary files. A failure here is a warning, never a failure."""
        for storage in self.job._storages():
            if self._good("verify", storage):
                self._look_after(progress, storage)
        try:
            self.context.files.clean_up(progress)
        except OSError as error:
            progress.warn(
                Message(_("Something could not be removed: %(reason)s"), reason=error)
            )

    def _look_after(self, progress: Progress, storage: StorageRecord) -> None:
        """List a storage, once: delete what no rule wants any more, and see what else
        is gone: somebody else may have deleted it."""
        with warning(progress, storage):
            listing = self.context.catalogue.listing(storage, progress)
            self._apply_retention(progress, storage, listing)
            self.context.catalogue.note_listed(storage, progress, listing)

    def _apply_retention(
        self, progress: Progress, storage: StorageRecord, listing: Listing
    ) -> None:
        """Delete what the plan's rules want nowhere any more, and say for each why."""
        with warning(progress, storage):
            self.context.catalogue.apply_retention(storage, progress, listing)

    def abandon(self) -> None:
        """After a cancel: remove every trace of this run but the copies already
        verified."""
        self._undo_uploads("verify")
        shutil.rmtree(self.work, ignore_errors=True)

    def give_up(self) -> None:
        """After too many interruptions: remove what no storage holds as a whole."""
        self._undo_uploads("upload")


@contextlib.contextmanager
def warning(progress: Progress, storage: StorageRecord) -> Iterator[None]:
    """Let what goes wrong with a storage be a warning."""
    try:
        yield
    except Cancelled:
        raise
    except EngineError as error:
        progress.warn(
            Message(words.PROBLEM_AT, where=storage.name, problem=error.in_full)
        )
