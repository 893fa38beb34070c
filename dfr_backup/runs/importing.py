"""An archive from elsewhere, taken into a storage and its catalogue."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ..engine.archive.reader import open_archive
from ..engine.catalog.upload_receiver import (
    check_archive,
    distinct_key,
    free_key,
    let_go,
    look_at,
    take_key,
)
from ..engine.checkpoints import checkpoint
from ..engine.errors import EngineError, PermanentError
from ..engine.errors.storage import UploadedFileGone
from ..engine.manifest.model import Manifest
from ..engine.messages import Joined, Message, Text
from ..engine.policy.outcome import whole_state
from ..engine.progress import Progress
from ..engine.queue.tickets import FIRST
from ..engine.restore.attachments import lost_attachments
from ..engine.storages.base import Storage
from . import words
from .base import Run
from .records import Listing, StorageRecord
from .registry import register
from .steps import CHECK, CLEANUP, UPLOAD, VERIFY
from .storing import StoringRun

UPLOADED = "uploaded"  # the file, until it has the name of an archive


@register("import")
class ImportRun(StoringRun):
    """What was uploaded to this server is checked, and then stored and verified as a
    backup's archive is. When it cannot be stored it is kept for a while, as a
    backup's is."""

    label = "Import"
    STEPS = (CHECK, UPLOAD, VERIFY, CLEANUP)
    anywhere = True
    priority = FIRST  # somebody waits for it
    BEGINS_AGAIN = False
    completed_by = CHECK
    without_archive = words.NOT_KEPT

    overall_state = staticmethod(whole_state)

    def again(self) -> object:
        """The file was not kept: ask for it again."""
        return self.job.copy_ids.browse().action_import()

    def begin_again(self, reason: Text) -> None:
        """The file is all that there is: check it once more."""
        self._undo_uploads("verify")
        if self.context.files.is_archived():
            self.context.files.archive_path().rename(self.work / UPLOADED)
        Run.begin_again(self, reason)

    def check(self, progress: Progress) -> None:
        """Read all of the file, and decide under which name it is stored."""
        job, path = self.job, self.work / UPLOADED
        if self.context.files.is_archived():
            return
        uploaded = job.run_state.uploaded
        if not uploaded or not path.exists():
            raise UploadedFileGone()
        moment = datetime.fromisoformat(uploaded["modified"])
        arrival = look_at(path, uploaded["name"], moment)
        sha256 = check_archive(path, progress)
        if arrival.left_out:
            what = Joined(arrival.left_out, ", ")
            progress.warn(Message(words.LEFT_OUT, what=what))
        if arrival.made_by_odoo:
            self._count_attachments(path, progress)
        try:
            target = job._storages()._get_own_storage()
            key = free_key(target, arrival.key, job.uuid)
        except EngineError:  # the upload will say why, and may be tried again
            key = distinct_key(arrival.key, job.uuid[:8])
        content = arrival.taken_in(job.database_uuid, job.uuid)
        self.context.store.record_archive(key, path.stat().st_size, sha256, content)
        checkpoint("import.recorded")
        path.rename(self.work / key)

    def _count_attachments(self, path: Path, progress: Progress) -> None:
        """Say now what a restore will have to be told to go on without."""
        try:
            with open_archive(path) as archive:
                lost = lost_attachments(archive, progress)
        except PermanentError as error:  # it cannot be restored, and is taken in
            progress.warn(error.in_full)
            return
        if lost and lost.error:
            progress.warn(lost.error.in_full)
            self.context.restores.note_to_accept([lost.error])

    def upload(self, progress: Progress, storage: StorageRecord) -> None:
        """Store the archive. A name that another import has taken since this one was
        checked is left to it."""
        self._require_archive()
        target = storage._get_own_storage()
        key = target.with_retries(lambda: self._take_key(storage, target), progress)
        if key != self.job.archive_name:
            self._rename(key)
            progress.log(Message(words.NAME_TAKEN, key=key))
        self.context.store.update_state(begun=[*self._begun(), key])
        try:
            super().upload(progress, storage)
        except EngineError:
            self._let_go(storage, key)
            raise

    def _begun(self) -> Sequence[str]:
        return self.job.run_state.begun

    def _take_key(self, storage: StorageRecord, target: Storage) -> str:
        job = self.job
        # who may not delete may not write over a reservation either
        take = take_key if storage.can_delete else free_key
        return take(target, job.archive_name, job.uuid, self._begun())

    def _let_go(self, storage: StorageRecord, key: str) -> None:
        """Let others have a name under which nothing was stored: a later attempt asks
        for it again."""
        with contextlib.suppress(EngineError):
            if let_go(storage._get_own_storage(), key, self.job.uuid):
                begun = [name for name in self._begun() if name != key]
                self.context.store.update_state(begun=begun)

    def _rename(self, key: str) -> None:
        """Give the archive another name; a kill leaves it under the one or under the
        other, as the run knows it."""
        job, former = self.job, self.context.files.archive_path()
        with contextlib.suppress(FileExistsError):
            os.link(former, self.work / key)
        size, content = int(job.archive_size), Manifest(job.run_state.manifest or {})
        self.context.store.record_archive(key, size, job.archive_sha256, content)
        former.unlink()

    def _sign(self, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """What comes from elsewhere is not signed as ours."""
        return content

    def _record_copy(self, storage: StorageRecord, state: str, **noted: object) -> None:
        """An archive that was lost from its storage, and is imported again, is the
        same copy."""
        if not self.job.copy_ids:
            self.context.catalogue.adopt_copy(storage)
        super()._record_copy(storage, state, **noted)

    def _apply_retention(
        self, progress: Progress, storage: StorageRecord, listing: Listing
    ) -> None:
        """An archive from elsewhere takes no other's place."""
