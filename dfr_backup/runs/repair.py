"""Files of the filestore that are not good, put back from the backups that still
have them."""

from collections.abc import Iterator

from ..engine.archive.zip_directory import Entry
from ..engine.catalog.browse import find_files
from ..engine.errors import Cancelled, EngineError, PermanentError
from ..engine.errors.storage import NoGoodFile
from ..engine.messages import Message, _
from ..engine.packs.looking import look_into_backup
from ..engine.progress import Progress
from ..engine.queue.tickets import FIRST
from ..engine.sources.filestore_repair import put_back, remove_partial
from . import words
from .base import Run
from .records import CopyRecord
from .registry import register
from .steps import REPAIR

NAMED = 50  # files that no backup has, by name


@register("repair")
class RepairRun(Run):
    """One step, for all files together."""

    label = "Filestore repair"
    STEPS = (REPAIR,)
    anywhere = True
    priority = FIRST  # somebody waits for it
    _repaired = 0  # files that were put back

    def run(self) -> None:
        super().run()
        self.abandon()

    def again(self) -> object:
        return self.context.repairs.issues().action_repair()

    def abandon(self) -> None:
        """Leave nothing, also of an attempt that was killed."""
        for store_fname in self.context.repairs.names():
            remove_partial(self.context.files.filestore_path(), store_fname)
        self.context.restores.forget_key()

    give_up = abandon

    def repair(self, progress: Progress) -> None:
        """Look through the backups, newest first, until every file was put back."""
        wanted = self.context.repairs.files()
        progress.expect(sum(wanted.values()))
        whole = len(wanted)
        for copy in self.context.repairs.sources():
            if not wanted:
                break
            try:
                self._repair_from(copy, wanted, progress)
            except Cancelled:
                raise
            except EngineError as error:
                progress.log(
                    Message(
                        _("%(key)s in %(storage)s: %(problem)s"),
                        key=copy.key,
                        storage=copy.storage_id.name,
                        problem=error.in_full,
                    )
                )
        good = whole - len(wanted) - self._repaired
        progress.log(Message(words.REPAIRED, repaired=self._repaired, good=good))
        if wanted:
            self._report_unrecoverable(wanted, whole, progress)

    def _repair_from(
        self, copy: CopyRecord, wanted: dict[str, int], progress: Progress
    ) -> None:
        """Put back what this backup holds of the files that are wanted."""
        storage, identities = (
            copy.storage_id._get_storage(),
            self.context.restores.identities(copy),
        )
        progress.tick()
        known = copy._catalogued()
        with look_into_backup(storage, copy.key, identities, known) as reader:
            found = self._found(find_files(reader, wanted), copy, progress)
            reader.want([entry for _name, entry in found])
            for store_fname, entry in found:
                progress.tick()
                try:
                    written = put_back(
                        self.context.files.filestore_path(),
                        store_fname,
                        reader.pieces(entry),
                    )
                except PermanentError as error:
                    progress.log(
                        Message(words.PROBLEM_AT, where=copy.key, problem=error)
                    )
                    continue
                progress.advance(wanted.pop(store_fname))
                self.context.repairs.note_repaired(
                    store_fname, copy if written else None
                )
                self._repaired += bool(written)
                template = words.PUT_BACK if written else words.GOOD_ALREADY
                progress.log(Message(template, file=store_fname, key=copy.key))

    def _found(
        self,
        finding: Iterator[tuple[str, Entry]],
        copy: CopyRecord,
        progress: Progress,
    ) -> list[tuple[str, Entry]]:
        """Return what is found until something in the backup cannot be read: say what
        that was, and use the rest."""
        found = []
        try:
            for one in finding:
                progress.tick()
                found.append(one)
        except PermanentError as error:
            progress.log(Message(words.PROBLEM_AT, where=copy.key, problem=error))
        return found

    def _report_unrecoverable(
        self, lost: dict[str, int], whole: int, progress: Progress
    ) -> None:
        names = "\n".join([*lost][:NAMED])
        if len(lost) == whole:
            raise NoGoodFile(count=whole, log=names)
        progress.warn(
            Message(words.FILES_LOST, lost=len(lost), count=whole, names=names)
        )
