"""The archive under construction, and what becomes of a run that has lost it."""

import contextlib
import shutil

from ..engine.archive.writer import ArchiveWriter
from ..engine.errors import Cancelled, Deferred, EngineError, PermanentError
from ..engine.errors.storage import ArchiveGone, PartialArchiveGone, WorkDeleted
from ..engine.manifest.names import sidecar_key
from ..engine.messages import Message, Text
from ..engine.progress import Progress
from . import words
from .base import Run, Work
from .context import RunContext
from .records import StepRecord, StorageRecord
from .registry import step_kind

PARTIAL_ARCHIVE = "archive.part"


class ArchivingRun(Run):
    """A run that has an archive in a working directory, in several steps and
    attempts."""

    BEGINS_AGAIN = True  # what is lost can be made once more

    def __init__(self, context: RunContext):
        super().__init__(context)
        self.work = self.context.files.work_path()
        self.partial = self.work / PARTIAL_ARCHIVE
        self._writer: ArchiveWriter | None = None

    def _work(self, step: StepRecord) -> Work:
        work = super()._work(step)
        if not step_kind(step.kind).in_work:
            return work
        return lambda progress: self._in_work(work, progress)

    def _in_work(self, work: Work, progress: Progress) -> None:
        """Do a step. When its files are deleted meanwhile, put the run off: the next
        attempt begins with a new dump."""
        try:
            work(progress)
        except (Cancelled, Deferred):
            raise
        except (EngineError, OSError) as error:
            again = self.BEGINS_AGAIN and self.context.cancel.may_try_again()
            if not again or not self._is_lost() or self._is_stored():
                raise
            self._undo_uploads("upload")
            raise WorkDeleted(folder=self.work, log=str(error)) from error

    def _good(self, kind: str, storage: StorageRecord | None = None) -> bool:
        return self.job._step(kind, storage)._is_good()

    def _has_saved(self) -> bool:
        return self._good("dump_database") or self._good("archive_files")

    def _is_lost(self) -> bool:
        """Tell whether somebody else removed what was saved."""
        if not self.work.exists():
            return True
        return self._has_saved() and not (
            self.partial.exists() or self.context.files.is_archived()
        )

    def _is_stored(self) -> bool:
        """Tell whether a storage holds the archive already."""
        return any(self._good("upload", storage) for storage in self.job._storages())

    def _archive(self) -> ArchiveWriter:
        """The writer, one for all steps. What another process has begun is read
        again first."""
        if self._writer is None and self.partial.exists():
            saved = self.job.run_state.saved
            self._writer = ArchiveWriter.resume(
                self.partial, at_least=saved, progress=self._watch()
            )
        elif self._writer is None:
            self._writer = ArchiveWriter.create(self.partial)
        return self._writer

    def _watch(self) -> Progress:
        """Return a progress that only listens to a cancel: reading again is no step."""
        return Progress(lambda _progress: self.context.cancel.check())

    def _release(self) -> None:
        if self._writer is not None:
            self._writer.release()
            self._writer = None

    def _forget_archive(self) -> None:
        self._release()
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(mode=0o700, parents=True)

    def _restart_if_archive_is_lost(self) -> None:
        """A later attempt may find the working directory gone or damaged, or be on
        another server: then nothing of what the closed steps have saved counts any
        more, unless a storage holds it."""
        if (
            self.context.files.is_archived()
            or not self.job._uploads_missing()
            or not self._has_saved()
        ):
            return
        if self._is_stored():
            return
        try:
            if not self.partial.exists():
                raise PartialArchiveGone()
            self._archive()  # reads it again
        except PermanentError as error:
            self._undo_uploads("upload")
            self.context.store.restart(Message(words.STARTING_AGAIN, problem=error))
            self._forget_archive()

    def begin_again(self, reason: Text) -> None:
        self._undo_uploads("verify")
        super().begin_again(reason)
        self._forget_archive()

    def _require_archive(self) -> None:
        """Raise PermanentError when there is nothing to upload any more."""
        if not self.context.files.is_archived():
            raise ArchiveGone(folder=self.work)

    def _undo_uploads(self, unless: str) -> None:
        """Remove what was uploaded to each storage, unless its step of that kind
        ended well."""
        for storage in self.job._storages():
            uploaded = self.job._step("upload", storage).state not in (
                "pending",
                "skipped",
            )
            if uploaded and not self._good(unless, storage):
                with contextlib.suppress(EngineError):
                    self._remove_from(storage)

    def _remove_from(self, storage: StorageRecord, why: str = "run") -> None:
        """Remove what this run has stored, and note that it has and ``why``. Raise
        EngineError."""
        target = storage._get_own_storage()
        target.delete(sidecar_key(self.job.archive_name))
        target.discard_partial(self.job.archive_name)
        target.delete(self.job.archive_name)
        self._record_copy(storage, "deleted", deletion_reason=why)

    def _record_copy(self, storage: StorageRecord, state: str, **noted: object) -> None:
        """Note in the catalogue what became of the archive in a storage."""
        self.context.catalogue.record_copy(storage, state, **noted)
