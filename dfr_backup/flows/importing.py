"""An archive from elsewhere, taken into a storage and its catalogue."""

import contextlib
import os

from ..engine.arrival import check_archive, distinct_key, free_key, look_at
from ..engine.checkpoints import checkpoint
from ..engine.errors import EngineError
from ..engine.errors.storage import UploadedFileGone
from ..engine.messages import Message
from ..engine.outcome import whole_state
from ..engine.retry import persistently
from . import words
from .backup import BackupFlow

UPLOADED = "uploaded"  # the file, until it has the name of an archive


class ImportFlow(BackupFlow):
    """What was uploaded to this server is checked, and then stored and verified as a
    backup's archive is. When it cannot be stored it is kept for a while, as a
    backup's is."""

    STEPS = ("check", "upload", "verify", "cleanup")
    BEGINS_AGAIN = False

    overall_state = staticmethod(whole_state)

    def run(self):
        step = self.job._step
        storage = self.job._storages()
        self._do(step("check"), lambda progress: self.check(progress, storage))
        self._do(step("upload"), self.upload, self._not_sealed())
        self._do(step("verify"), self.verify, self._not_uploaded(storage))
        self._do(step("cleanup"), self.cleanup)

    def _not_sealed(self):
        return None if self._good("check") else words.NOT_KEPT

    def check(self, progress, storage):
        """Read all of the file, and decide under which name it is stored."""
        job, path = self.job, self.work / UPLOADED
        if job._is_archived():
            return
        if not path.exists():
            raise UploadedFileGone()
        name, moment = job._uploaded()
        arrival = look_at(path, name, moment)
        sha256 = check_archive(path, progress)
        try:
            key = free_key(storage._get_own_storage(), arrival.key, job.uuid)
        except EngineError:  # the upload will say why, and may be tried again
            key = distinct_key(arrival.key, job.uuid[:8])
        content = arrival.taken_in(job.database_uuid, job.uuid)
        job._record_archive(key, path.stat().st_size, sha256, content)
        checkpoint("import.recorded")
        path.rename(self.work / key)

    def upload(self, progress, storage):
        """Store the archive. A name that another import has taken since this one was
        checked is left to it."""
        self._require_archive()
        key = persistently(
            lambda: self._free_key(storage), progress, storage._retries()
        )
        if key != self.job.archive_name:
            self._rename(key)
            progress.log(Message(words.NAME_TAKEN, key=key))
        self.job._remember(begun=[*self.job._facts().get("begun", ()), key])
        super().upload(progress, storage)

    def _free_key(self, storage):
        job = self.job
        begun = job._facts().get("begun", ())
        return free_key(storage._get_own_storage(), job.archive_name, job.uuid, begun)

    def _rename(self, key):
        """Give the archive another name; a kill leaves it under the one or under the
        other, as the run knows it."""
        job, former = self.job, self.job._archive_path()
        with contextlib.suppress(FileExistsError):
            os.link(former, self.work / key)
        size, content = int(job.archive_size), job._facts()["manifest"]
        job._record_archive(key, size, job.archive_sha256, content)
        former.unlink()

    def _apply_retention(self, progress, storage):
        """An archive from elsewhere takes no other's place."""
