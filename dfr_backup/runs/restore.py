"""One restore, from top to bottom."""

from ..engine.errors import EngineError, Mismatch
from ..engine.errors.packs import AttachmentsLost
from ..engine.errors.restore import is_acceptable
from ..engine.messages import Message, _
from ..engine.policy.outcome import whole_state
from ..engine.progress import Progress
from ..engine.queue.tickets import FIRST
from ..engine.restore.files import unpack_addons
from ..engine.restore.steps import Restore
from .base import Run, Work
from .records import DAMAGED, CopyRecord, StepRecord
from .registry import register
from .steps import (
    ADDONS,
    CHECK,
    COMPARE,
    CREATE_DATABASE,
    FETCH,
    FILESTORE,
    FINISH,
    LOAD,
)
from .words import NOT_TRUSTED, STEP_FAILED

MADE_AND_COMPARED = (FETCH, CHECK, CREATE_DATABASE, LOAD, FILESTORE, COMPARE)


@register("restore")
class RestoreRun(Run):
    """An archive becomes a database. A restore that was interrupted begins again:
    what it had fetched is still there, and what it had made is removed."""

    label = "Restore"
    STEPS = (*MADE_AND_COMPARED, ADDONS, FINISH)
    per_copy = True
    anywhere = True
    loud = True  # the backup may be worth nothing
    priority = FIRST  # somebody waits for it
    durable = True  # what is restored stays, also after a loss of power
    rescues = True  # what a pack has lost may come from another storage
    whole = False  # the archive is looked at as a whole before it is loaded
    accepts: tuple[str, ...] = ()  # what never stops it

    overall_state = staticmethod(whole_state)
    restore: Restore  # the one whose steps are being done

    def recover(self) -> bool:
        if not self._is_published():
            return False
        step = self.job._step("finish")
        if not step._is_good():
            step._mark_done(
                Message(
                    _(
                        "Interrupted when the database had its name already: nothing "
                        "is missing."
                    )
                )
            )
        self.context.restores.forget_leftovers()
        self.context.restores.forget_fetched()
        self.context.restores.note_staging()
        return True

    def _is_published(self) -> bool:
        """Tell whether the database has its name: then all of it was done."""
        return self.context.restores.is_published()

    def needs_last_runner(self) -> bool:
        return self._is_published()  # it only has to be said

    def run(self) -> None:
        if not self.job._step("finish")._is_good():
            self._restore(self.job.step_ids)
        if not self.job._step("finish")._is_good():
            self.context.restores.forget_addons()
        # an attempt may have died before it came to that
        self.context.restores.forget_fetched()

    def abandon(self) -> None:
        self.context.restores.forget_fetched()
        self.context.restores.forget_addons()

    def again(self) -> object:
        """Ask for what may be changed. Its key was not kept."""
        return self.job.step_ids.copy_id._restore_again(self.job)

    def remove_files(self) -> None:
        """Remove also what it has made, and nobody has got."""
        if not self.job._step("finish")._is_good():
            self.context.restores.forget_addons()
        self.context.restores.forget_leftovers()
        super().remove_files()

    def _restore(self, steps: StepRecord) -> None:
        """Do the steps of one restore in their order."""
        self.context.restores.begin_again(steps)
        with self._open(steps.copy_id) as self.restore:
            for step in steps:
                self._do(step)
        self.context.restores.forget_fetched()

    def _open(self, copy: CopyRecord) -> Restore:
        accepted = [*(self.job.restore_accepted or ()), *self.accepts]
        return self.context.restores.open(copy, self.durable, self.whole, accepted)

    def _obstacle(self, step: StepRecord) -> str | None:
        """None of the steps of one copy is done after the first that fails."""
        steps = self._steps_of(step.copy_id)
        failed = any(step.state == "failure" for step in steps)
        return STEP_FAILED if failed else None

    def _steps_of(self, copy: CopyRecord) -> StepRecord:
        return self.job.step_ids.filtered(lambda step: step.copy_id == copy)

    def _work(self, step: StepRecord) -> Work:
        """Return what does a step of one copy: the engine, or a method here."""
        if step.kind == FETCH.key:
            return lambda progress: self.fetch(progress, step)
        ours = getattr(self, step.kind, None)
        work = ours or self.restore.works()[step.kind]
        return lambda progress: self._noting(work, step, progress)

    def _noting(self, work: Work, step: StepRecord, progress: Progress) -> None:
        """Do a step, and remember what somebody may accept of what ends it: the form
        of the next restore asks for that. A copy whose packs have lost something is
        damaged."""
        lost = False
        try:
            work(progress)
        except EngineError as error:
            lost = isinstance(error, AttachmentsLost)
            found = self.restore.to_accept or [error]
            self.context.restores.note_to_accept(filter(is_acceptable, found))
            raise
        finally:
            if lost or self.restore.has_bad_packs:
                self.context.store.persist(step.copy_id, DAMAGED)

    def fetch(self, progress: Progress, step: StepRecord) -> None:
        """Get the archive. One that is not what the catalogue knows is noted as
        damaged: nobody should try it again."""
        copy, storage = step.copy_id, step.storage_id
        if self.job.trigger != "cli":  # who may run commands decides
            copy._require_trusted()
        not_trusted = self.job.run_state.not_trusted or {}
        for key in not_trusted.get(str(storage.id), ()):
            progress.warn(Message(NOT_TRUSTED, key=key))
        known = copy._catalogued_to_restore()
        try:
            restores = self.context.restores
            others = restores.other_storages(copy) if self.rescues else ()
            place = storage._get_storage(), copy.key
            self.restore.fetch(*place, progress, known, others)
        except Mismatch:
            self.context.store.persist(copy, DAMAGED)
            raise

    def addons(self, progress: Progress) -> None:
        """Unpack the custom addons into a directory of this restore's own, and say
        what to do with them. No Odoo loads from there until its administrator wants
        it."""
        path = self.context.restores.addons_path()
        done = unpack_addons(self.restore.archive, path, progress)
        self.context.restores.tell_addons(
            done, self.restore.archive.describe(), progress
        )

    def finish(self, progress: Progress) -> None:
        """Publish the database, after noting which one it is: a kill may come in
        between."""
        self.context.store.update_state(restored=self.restore.target.number())
        self.restore.finish(progress)
        self.context.restores.note_staging()
