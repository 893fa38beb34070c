"""The files of a backup: attachments and custom addons."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ..engine.archive.writer import ArchiveWriter
from ..engine.catalog.catalogued import Catalogued
from ..engine.checkpoints import checkpoint
from ..engine.errors import Cancelled, EngineError, Mismatch
from ..engine.errors.archive import FilestoreMissing, FilesUnreadable
from ..engine.errors.packs import PackGone
from ..engine.errors.storage import LockRefused
from ..engine.manifest.model import Manifest
from ..engine.manifest.sidecar import Sidecar
from ..engine.messages import Joined, Message, Size, _
from ..engine.packs.nightly import Night
from ..engine.packs.owner import Place
from ..engine.packs.storing import Finished, look_at, store
from ..engine.postgres.snapshot import Snapshot
from ..engine.progress import Progress
from ..engine.sources import attachment_list as listing
from ..engine.sources.addons import archive_addons
from ..engine.sources.filestore import (
    Attachment,
    FilestoreReport,
    archive_filestore,
    walk_filestore,
)
from ..engine.storages.base import Storage
from . import words
from .context import RunContext
from .nightly import read_packs
from .packed import PackedFiles
from .records import StorageRecord
from .storing import StoringRun, warning

ATTACHMENT_LIST = "attachments.jsonl"


class FilesRun(StoringRun):
    """A run that archives files, by the list of attachments of a snapshot."""

    def __init__(self, context: RunContext):
        super().__init__(context)
        self.list = self.work / ATTACHMENT_LIST
        self._packs = PackedFiles(context)
        self._needed: set[str] = set()  # packs of the backup that was verified last

    def archive_files(self, progress: Progress) -> None:
        """Archive the attachment files of the same snapshot, and the custom addons."""
        writer, report = self._archive(), None
        if self.job.include_addons:
            addons = archive_addons(
                writer, self.context.files.custom_addons(), progress
            )
            self.context.store.update_state(addons=addons)
        if self.job.include_filestore:
            report = self._archive_filestore(writer, progress)
        self.context.store.update_state(saved=writer.save(progress.tick))
        if report and report.unreadable_count:
            raise FilesUnreadable(
                count=report.unreadable_count,
                total=report.files,
                log="\n".join(map(str, report.unreadable)),
            )

    def _archive_filestore(
        self, writer: ArchiveWriter, progress: Progress
    ) -> FilestoreReport:
        root = self.context.files.filestore_path()
        attachments = self._attachments(root, progress)
        listed = self.job.run_state.attachments
        if not root.is_dir() and (listed is None or listed["files"]):
            raise FilestoreMissing(folder=root)
        if self.job.run_state.incremental:
            self.context.plan.adopt_encryption()
            report = self._packs.archive(writer, root, attachments, progress)
        else:
            report = archive_filestore(writer, root, attachments(), progress)
        self.context.plan.note_filestore(report, complete=self.list.exists())
        progress.log(
            Message(
                _("%(count)s attachment files, %(size)s"),
                count=report.files,
                size=Size(report.bytes),
            )
        )
        for template, count, names in (
            (words.FILES_MISSING, report.missing_count, report.missing),
            (words.FILES_DAMAGED, report.damaged_count, report.damaged),
        ):
            if count:
                lines = Joined(names, "\n")
                progress.warn(Message(template, count=count, names=lines))
        self.context.store.update_state(
            filestore={
                "files": report.files,
                "bytes": report.bytes,
                "missing": report.missing_count,
                "damaged": report.damaged_count,
                "unreadable": report.unreadable_count,
                "missing_names": list(map(str, report.missing)),
                "damaged_names": list(map(str, report.damaged)),
                "unreadable_names": list(map(str, report.unreadable)),
            }
        )
        return report

    def _attachments(
        self, root: Path, progress: Progress
    ) -> Callable[[], Iterable[Attachment]]:
        """Return what yields the files to archive: those of the dump's snapshot, or of
        one just for them.

        Without any list, because the database cannot be read, everything that is there.
        """
        if not self.list.exists():
            try:
                connection = self.context.database.connection().heard_by(progress)
                with Snapshot(connection) as snapshot:
                    self._save_list(snapshot, progress)
            except Cancelled:
                raise
            except EngineError as error:
                progress.warn(
                    Message(
                        _("No list of attachments, taking all files: %(problem)s"),
                        problem=error,
                    )
                )
                return lambda: walk_filestore(root)
        listed = self.job.run_state.attachments
        progress.expect(listed["bytes"] if listed else 0)
        return lambda: listing.load(self.list)

    # === STORED IN PACKS === #

    def _note_not_listed(self, progress: Progress) -> None:
        """Find out where packs could not be found: that is noted, and the backup is
        complete. What else is wrong with a storage is said by its check."""
        for storage in self.job._storages():
            try:
                target = storage._get_own_storage()
                with target.reporting_to(progress):
                    is_listed = target.may_list()
            except Cancelled:
                raise
            except EngineError:
                continue
            if not is_listed:
                self.context.packs.note_not_listed(storage)

    def _store(
        self, target: Storage, storage: StorageRecord, progress: Progress
    ) -> tuple[bytes, Mapping[str, object]]:
        """An incremental backup needs its packs as well. One that is gone meanwhile is
        stored again, once."""
        if not self.job.run_state.incremental:
            return super()._store(target, storage, progress)
        try:
            return self._store_packed(target, storage, progress)
        except PackGone as error:
            progress.log(error.in_full)
            self._packs.forget(storage)
            return self._store_packed(target, storage, progress)

    def _store_packed(
        self, target: Storage, storage: StorageRecord, progress: Progress
    ) -> tuple[bytes, Mapping[str, object]]:
        job, root = self.job, self.context.files.filestore_path()
        packed = self._packs.stored_in(storage, root, progress)
        place = Place(target, self.context.packs.index(storage))
        progress.done = 0
        checkpoint("storage.manifest.before")
        archive = Finished(
            self.context.files.archive_path(),
            job.archive_name,
            int(job.archive_size),
            job.archive_sha256,
            Manifest(job.run_state.manifest or {}),
        )
        try:
            content = store(
                place, archive, packed, self._sign, progress, target.retries
            )
        except LockRefused:  # the next backups are complete
            self.context.packs.note_lock_refused(storage)
            raise
        self.context.packs.note_needs(storage, job.archive_name, packed.uses)
        if self._packs.has_rewritten(storage):
            self.context.packs.note_rewritten(storage)
        return content, {"packs": len(packed.uses), "new_size": packed.new_bytes}

    def verify(self, progress: Progress, storage: StorageRecord) -> None:
        self._verify(progress, storage)
        if self.job.run_state.incremental and self._read_again(progress, storage):
            # what those packs held is still here
            self._packs.forget(storage)
            self.upload(progress, storage)
            self._verify(progress, storage)

    def _verify(self, progress: Progress, storage: StorageRecord) -> None:
        try:
            # pylint: disable-next=super-method-mismatch
            super().verify(progress, storage)
        except Mismatch:
            self._packs.forget(storage)
            raise

    def _read_again(self, progress: Progress, storage: StorageRecord) -> bool:
        """Read some of the packs that nobody reads otherwise; tell whether one is
        damaged that this backup needs."""
        night = Night()
        with warning(progress, storage):
            read_packs(self.context, storage, night, progress)
        return not self._needed.isdisjoint(night.damaged)

    def _compare(
        self, target: Storage, known: Catalogued, progress: Progress
    ) -> Sidecar:
        """What is new in an incremental backup was read back when it was stored."""
        if not self.job.run_state.incremental:
            return super()._compare(target, known, progress)
        size = int(self.job.archive_size)
        sidecar = look_at(target, self.job.archive_name, known, progress)
        self._needed = {use.key for use in sidecar.packs or ()}
        about = {"size": Size(size), "packs": len(self._needed)}
        progress.log(Message(words.ALL_THERE, **about))
        return sidecar

    def needs_last_runner(self) -> bool:
        return super().needs_last_runner() or self._packs.has_parts()

    def _undo_uploads(self, unless: str) -> None:
        self._packs.remove_parts()
        super()._undo_uploads(unless)

    # === THE LIST === #

    def _save_list(self, snapshot: Snapshot, progress: Progress) -> None:
        files, size = listing.save(self.list, snapshot.attachments())
        elsewhere = snapshot.attachments_elsewhere()
        progress.log(
            Message(
                _("The database refers to %(count)s attachment files, %(size)s"),
                count=files,
                size=Size(size),
            )
        )
        for where, count in elsewhere.items():
            progress.log(
                Message(
                    _("%(count)s attachments are kept elsewhere: %(where)s"),
                    count=count,
                    where=where,
                )
            )
        self.context.store.update_state(
            attachments={"files": files, "bytes": size, "elsewhere": elsewhere},
        )
