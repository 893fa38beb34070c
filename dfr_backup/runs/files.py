"""The files of a backup: attachments and custom addons."""

from collections.abc import Iterable
from pathlib import Path

from ..engine.archive.writer import ArchiveWriter
from ..engine.errors import Cancelled, EngineError
from ..engine.errors.archive import FilestoreMissing, FilesUnreadable
from ..engine.messages import Joined, Message, Size, _
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
from . import words
from .context import RunContext
from .storing import StoringRun

ATTACHMENT_LIST = "attachments.jsonl"


class FilesRun(StoringRun):
    """A run that archives files, by the list of attachments of a snapshot."""

    def __init__(self, context: RunContext):
        super().__init__(context)
        self.list = self.work / ATTACHMENT_LIST

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
        report = archive_filestore(writer, root, attachments, progress)
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

    def _attachments(self, root: Path, progress: Progress) -> Iterable[Attachment]:
        """Return the files to archive: those of the dump's snapshot, or of one just for
        them.

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
                return walk_filestore(root)
        listed = self.job.run_state.attachments
        progress.expect(listed["bytes"] if listed else 0)
        return listing.load(self.list)

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
