"""One backup, from top to bottom: the sequence diagram in code."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from ..engine.archive.journal import journal_path
from ..engine.archive.writer import ArchiveWriter, FinalizedArchive
from ..engine.checkpoints import checkpoint
from ..engine.encryption.files import Encrypted, encrypt_file
from ..engine.errors import (
    Cancelled,
    Deferred,
    EngineError,
    PermanentError,
    RetryableError,
    reason_of,
)
from ..engine.errors.archive import (
    EncryptedMeanwhile,
    NoStorage,
    WorkFolderNotMade,
)
from ..engine.manifest import write as manifest
from ..engine.manifest.model import Manifest
from ..engine.manifest.names import (
    DUMP,
    INCREMENTAL_DUMP,
    INDEX,
    MANIFEST,
    archive_name,
)
from ..engine.messages import Joined, Message, Size, _
from ..engine.policy.outcome import overall_state
from ..engine.postgres.client_tools import ClientTool, find_client_tool
from ..engine.postgres.connection import Connection
from ..engine.postgres.dump import dump
from ..engine.postgres.replica import Replica
from ..engine.postgres.snapshot import RowCounter, Snapshot
from ..engine.progress import Progress
from . import words
from .context import RunContext
from .files import FilesRun
from .records import StepRecord, StorageRecord
from .registry import register
from .space import ArchiveSpace
from .steps import (
    ARCHIVE_FILES,
    CLEANUP,
    COMPRESS,
    DUMP_DATABASE,
    INITIALIZE,
    UPLOAD,
    VERIFY,
)
from .storing import warning

PARTIAL_ENCRYPTED = "archive.part.age"
# share of the tables' size that the compressed dump takes, rounded up from what was
# measured
DUMP_RATIO = 0.4


@register("backup")
class BackupRun(FilesRun):
    """Performs a backup. Each public method is one step of it."""

    label = "Backup"
    STEPS = (
        INITIALIZE,
        DUMP_DATABASE,
        ARCHIVE_FILES,
        COMPRESS,
        UPLOAD,
        VERIFY,
        CLEANUP,
    )
    completed_by = COMPRESS
    tells_monitors = True
    keeps_promise = True
    vouches = True

    overall_state = staticmethod(overall_state)

    def __init__(self, context: RunContext):
        super().__init__(context)
        self._space = ArchiveSpace(context)

    def run(self) -> None:
        self.context.plan.adopt()
        first, *others = self.job.step_ids
        try:
            if first._is_closed():
                self._reserve_again()
            self._do(first)
            self._restart_if_too_open()
            self._restart_if_archive_is_lost()
            for step in others:
                self._do(step)
        finally:
            self._release()
            self._space.release()

    def again(self) -> object:
        return self.job.plan_id.action_run_now()

    def _restart_if_too_open(self) -> None:
        """An archive that an earlier attempt has completed in the clear is not uploaded
        any more once its plan encrypts."""
        job = self.job
        uploads = [job._step("upload", storage) for storage in job._storages()]
        missing = any(not step._is_closed() for step in uploads)
        if job.archive_name and missing and job._is_too_open():
            problem = EncryptedMeanwhile()
            self.begin_again(Message(words.STARTING_AGAIN, problem=problem))

    def _obstacle(self, step: StepRecord) -> str | None:
        saves = step.kind in (DUMP_DATABASE.key, ARCHIVE_FILES.key)
        if saves and not self._good(INITIALIZE.key):
            return words.UNPREPARED
        if step.kind == COMPRESS.key and not self._has_saved():
            return words.NOTHING_SAVED
        return super()._obstacle(step)

    # === THE STEPS === #

    def initialize(self, progress: Progress) -> None:
        """Make the working directory, and find out early what would fail late."""
        if not self.job._storages():
            raise NoStorage()
        self._make_work()
        self._check_tools(progress)
        self._decide_how(progress)
        self.context.plan.adopt_encryption()
        # one that cannot be used ends the run before anything is saved
        self.context.plan.encryption_key()
        with self._postponing():
            self._check_space(progress)
        self._check_storages(progress)

    def _decide_how(self, progress: Progress) -> None:
        """Decide whether this backup is incremental; it stays so until it ends."""
        wanted = self.context.plan.is_incremental()
        if wanted:
            self._note_not_listed(progress)
        obstacle = self.context.packs.obstacle() if wanted else None
        if obstacle:
            progress.warn(Message(words.COMPLETE_INSTEAD, problem=obstacle.in_full))
        incremental = wanted and not obstacle
        self.context.store.update_state(incremental=incremental)

    def _make_work(self) -> None:
        try:
            self.work.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise WorkFolderNotMade(
                folder=self.work.parent, reason=reason_of(error), log=str(error)
            ) from error

    def _check_tools(self, progress: Progress) -> None:
        """Only log: a missing pg_dump fails the dump, and the files are still saved."""
        if not self.job.include_database:
            return
        with contextlib.suppress(EngineError):
            tool = self._find_pg_dump()
            progress.log(Message(_("Using %(program)s"), program=tool.label))

    def _find_pg_dump(self) -> ClientTool:
        at = self.context.database
        return find_client_tool("pg_dump", at.server_version(), at.pg_path())

    def _check_space(self, progress: Progress) -> None:
        self._space.reserve(*self._estimated_sizes(progress), progress)

    def _reserve_again(self) -> None:
        """Let others know what this run will still write, which another process has
        begun."""
        if not self.context.files.is_archived():  # else each upload asks for itself
            with contextlib.suppress(EngineError):
                self._space.keep(*self._estimated_sizes(self._watch()))

    def upload(self, progress: Progress, storage: StorageRecord) -> None:
        self._space.reserve_copies(storage)
        super().upload(progress, storage)

    def _estimated_sizes(self, progress: Progress) -> tuple[int, int]:
        """Return about how many bytes the archive will have, rather too many, and how
        many its packs."""
        dump = files = 0
        with Snapshot(
            self.context.database.connection().heard_by(progress)
        ) as snapshot:
            if self.job.include_database:
                dump = int(snapshot.estimated_dump_size() * DUMP_RATIO)
            if self.job.include_filestore:
                # the dump will tell what is the matter
                with contextlib.suppress(PermanentError, RetryableError):
                    files = snapshot.estimated_filestore_size()
        if self.job.run_state.incremental:
            return dump, files
        return dump + files, 0

    def _check_storages(self, progress: Progress) -> None:
        for storage in self.job._storages():
            with warning(progress, storage):
                storage._get_own_storage().check()

    def dump_database(self, progress: Progress) -> None:
        """Dump one snapshot of the database straight into the archive."""
        self._forget_archive()
        with self._postponing():
            if not self._dump_from_replica(progress):
                self._dump(self.context.database.connection(), progress)

    def _dump_from_replica(self, progress: Progress) -> bool:
        """Dump from the read replica, where the operator wants that. Tell whether it is
        done: whatever goes wrong there, the primary is asked instead."""
        connection = self.context.database.replica()
        if connection is None:
            return False
        try:
            self._follow_and_dump(connection, progress)
        except Cancelled:
            raise
        except EngineError as error:
            told = {"problem": error.in_full, "code": error.code}
            progress.warn(Message(words.NOT_FROM_REPLICA, **told))
            self._forget_archive()
            progress.done = 0
            return False
        host = connection.params.get("host", "")
        progress.log(Message(words.FROM_REPLICA, host=host))
        return True

    def _follow_and_dump(self, connection: Connection, progress: Progress) -> None:
        at = self.context.database
        run, patience = self.job.uuid, at.replica_patience()
        replica = Replica(at.connection(), connection, run, patience, progress)
        try:
            self._dump(connection, progress, replica.await_in)
        except Cancelled:
            raise
        except EngineError as error:
            raise replica.explained(error) from error
        replica.require_still()

    @contextlib.contextmanager
    def _postponing(self) -> Iterator[None]:
        """Let what PostgreSQL refuses for a while put the run off, as long as it has
        attempts."""
        try:
            yield
        except RetryableError as error:
            if self.context.cancel.may_try_again():
                raise Deferred.because(error) from error
            raise

    def _dump(
        self,
        connection: Connection,
        progress: Progress,
        before: Callable[[Any], None] | None = None,
    ) -> None:
        heard = connection.heard_by(progress)
        with Snapshot(heard, before=before) as snapshot:
            self._save_list(snapshot, progress)
            tool = self._find_pg_dump()
            progress.expect(snapshot.estimated_dump_size())
            sizes = snapshot.table_bytes()
            writer = self._archive()
            with (
                RowCounter(snapshot, progress) as rows,
                writer.stream_member(self._dump_name) as member,
            ):
                size = dump(
                    tool,
                    connection,
                    snapshot,
                    member.write,
                    progress,
                    self.context.database.dump_options(),
                )
            self._index_attachments(snapshot, writer, progress)
        saved = writer.save(progress.tick)
        if rows.problem:
            progress.warn(
                Message(
                    _("The rows could not be counted: %(problem)s"),
                    problem=rows.problem,
                )
            )
        progress.log(
            Message(
                _("%(size)s of SQL, %(tables)s tables"),
                size=Size(size),
                tables=len(rows.counts or {}),
            )
        )
        self.context.store.update_state(
            snapshot_at=snapshot.taken_at.isoformat(),
            pg_dump=tool.label,
            rows=rows.counts,
            table_bytes=sizes,
            saved=saved,
        )

    @property
    def _dump_name(self) -> str:
        return INCREMENTAL_DUMP if self.job.run_state.incremental else DUMP

    def _index_attachments(
        self, snapshot: Snapshot, writer: ArchiveWriter, progress: Progress
    ) -> None:
        """Let the archive say which attachment is which file. Without that it is a
        backup, too."""
        try:
            with writer.stream_member(INDEX) as member:

                def write(piece: bytes) -> None:
                    member.write(piece)
                    progress.tick()

                snapshot.index_attachments(write)
        except Cancelled:
            raise
        except EngineError as error:
            progress.warn(
                Message(
                    _("The attachments could not be listed by name: %(problem)s"),
                    problem=error,
                )
            )

    def compress(self, progress: Progress) -> None:
        """Complete the archive: checksums, manifest, directory. From here on it
        never changes."""
        if not self.context.files.is_archived():
            self._finalize(progress)
        drop = self.context.plan.note_size()
        if drop:
            progress.warn(Message(words.SIZE_DROP, drop=drop))

    def _finalize(self, progress: Progress) -> None:
        self.context.plan.adopt_encryption()
        key = self.context.plan.encryption_key()
        if self.job.run_state.incremental:
            self.context.store.update_state(keys=self._packs.mark)
        name = archive_name(
            self.context.database.name(), self.context.archive.taken_at(), self.job.uuid
        )
        writer = self._archive()
        count, digest = writer.write_checksums()
        content = self.context.archive.manifest({"count": count, "sha256sums": digest})
        content = self._within_bounds(content, progress)
        writer.add_bytes(MANIFEST, manifest.encode(content))
        finalized = writer.close(progress.tick)
        self._release()
        progress.log(
            Message(
                _("%(name)s: %(size)s, %(members)s members"),
                name=name,
                size=Size(finalized.size),
                members=finalized.members,
            )
        )
        stored: FinalizedArchive | Encrypted = finalized
        complete = self.partial
        if key:
            name, complete = f"{name}.age", self.work / PARTIAL_ENCRYPTED
            stored = encrypt_file(self.partial, complete, key, progress)
            progress.log(Message(_("Encrypted by age")))
        self.context.store.record_archive(name, stored.size, stored.sha256, content)
        checkpoint("archive.recorded")
        complete.rename(self.work / name)
        checkpoint("archive.renamed")
        self.partial.unlink(missing_ok=True)
        journal_path(self.partial).unlink(missing_ok=True)
        progress.done = progress.total = stored.size

    def _within_bounds(self, content: Manifest, progress: Progress) -> Manifest:
        """Return a manifest that every reader takes: a backup is kept that lacks the
        numbers of rows, one that is refused is none."""
        content, left_out = manifest.within_bounds(content)
        if left_out:
            progress.warn(Message(words.LEFT_OUT, what=Joined(left_out, ", ")))
        return content
