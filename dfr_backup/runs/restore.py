"""One restore, from top to bottom, and the drill that proves that one would work."""

from ..engine.errors import EngineError, Mismatch
from ..engine.errors.restore import is_acceptable
from ..engine.messages import Message, _
from ..engine.policy.outcome import whole_state
from ..engine.progress import Progress
from ..engine.restore.files import unpack_addons
from ..engine.restore.steps import Restore
from .base import Flow, Work
from .records import CopyRecord, StepRecord
from .words import NOT_TRUSTED, STEP_FAILED

MADE_AND_COMPARED = (
    "fetch",
    "check",
    "create_database",
    "load",
    "filestore",
    "compare",
)


class RestoreFlow(Flow):
    """An archive becomes a database. A restore that was interrupted begins again:
    what it had fetched is still there, and what it had made is removed."""

    STEPS = (*MADE_AND_COMPARED, "addons", "finish")

    overall_state = staticmethod(whole_state)
    restore: Restore  # the one whose steps are being done

    def recover(self) -> bool:
        if not self.job._is_published():
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
        self.job._forget_leftovers()
        self.job._forget_fetched()
        return True

    def run(self) -> None:
        if not self.job._step("finish")._is_good():
            self._restore(self.job.step_ids)
        if not self.job._step("finish")._is_good():
            self.job._forget_addons()
        self.job._forget_fetched()  # an attempt may have died before it came to that

    def abandon(self) -> None:
        self.job._forget_fetched()
        self.job._forget_addons()

    def _restore(self, steps: StepRecord) -> None:
        """Do the steps of one restore in their order, and none after the first that
        fails."""
        self.job._begin_again(steps)
        with self.job._open_restore(steps.copy_id) as self.restore:
            for step in steps:
                failed = any(step.state == "failure" for step in steps)
                self._do(step, self._work(step), STEP_FAILED if failed else None)
        self.job._forget_fetched()

    def _work(self, step: StepRecord) -> Work:
        """Return what does a step of one copy."""
        if step.kind == "fetch":
            return lambda progress: self._fetch(step, progress)
        work = self._works()[step.kind]
        return lambda progress: self._noting(work, progress)

    def _works(self) -> dict[str, Work]:
        """Return what does each step that comes after the first."""
        ours: dict[str, Work] = {"addons": self.addons, "finish": self.finish}
        return {**self.restore.works(), **ours}

    def _noting(self, work: Work, progress: Progress) -> None:
        """Do a step, and remember what somebody may accept of what ends it: the form
        of the next restore asks for that."""
        try:
            work(progress)
        except EngineError as error:
            found = self.restore.to_accept or [error]
            self.job._note_to_accept(filter(is_acceptable, found))
            raise

    def _fetch(self, step: StepRecord, progress: Progress) -> None:
        """Get the archive. One that is not what the catalogue knows is noted as
        damaged: nobody should try it again."""
        copy, storage = step.copy_id, step.storage_id
        if self.job.trigger != "cli":  # who may run commands decides
            copy._require_trusted()
        for key in self.job._facts().get("not_trusted", {}).get(str(storage.id), ()):
            progress.warn(Message(NOT_TRUSTED, key=key))
        known = copy._catalogued_to_restore()
        try:
            self.restore.fetch(storage._get_storage(), copy.key, progress, known)
        except Mismatch:
            self.job._persist(copy, {"state": "damaged"})
            raise

    def addons(self, progress: Progress) -> None:
        """Unpack the custom addons into a directory of this restore's own, and say
        what to do with them. No Odoo loads from there until its administrator wants
        it."""
        path = self.job._addons_path()
        done = unpack_addons(self.restore.archive, path, progress)
        self.job._tell_addons(done, self.restore.archive.describe(), progress)

    def finish(self, progress: Progress) -> None:
        """Publish the database, after noting which one it is: a kill may come in
        between."""
        self.job._remember(restored=self.restore.target.number())
        self.restore.finish(progress)


class DrillFlow(RestoreFlow):
    """Each copy is restored under a name that nobody serves, compared with its
    manifest, booted, and dropped."""

    STEPS = (*MADE_AND_COMPARED, "boot", "drop")

    def run(self) -> None:
        for copy in self.job.step_ids.copy_id:
            steps = self._steps_of(copy)
            if not all(step._is_closed() for step in steps):
                self._restore(steps)
            self.job._note_drill(copy, steps)
        self.job._forget_fetched()

    def recover(self) -> bool:
        return False

    def _steps_of(self, copy: CopyRecord) -> StepRecord:
        return self.job.step_ids.filtered(lambda step: step.copy_id == copy)

    def _works(self) -> dict[str, Work]:
        return {**super()._works(), "boot": self.boot, "drop": self.drop}

    def boot(self, progress: Progress) -> None:
        """Let an Odoo load the copy and read a record of every model."""
        self.restore.make_safe(progress)
        self.job._boot(self.restore.target.connection.database, progress)

    def drop(self, _progress: Progress) -> None:
        """Remove the copy."""
        self.restore.close()
