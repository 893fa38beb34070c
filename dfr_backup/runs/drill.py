"""A restore test: the drill that proves that a restore would work."""

from ..engine.errors.restore import LOST_ATTACHMENTS
from ..engine.progress import Progress
from ..engine.queue.tickets import LAST
from .registry import register
from .restore import MADE_AND_COMPARED, RestoreRun
from .steps import BOOT, DROP


@register("drill")
class DrillRun(RestoreRun):
    """Each copy is restored under a name that nobody serves, compared with its
    manifest, booted, and dropped."""

    label = "Restore test"
    STEPS = (*MADE_AND_COMPARED, BOOT, DROP)
    anywhere = False
    priority = LAST
    durable = False
    rescues = False  # else the copy would not have proved itself
    whole = True
    # nobody is there who could accept it: it warns
    accepts = LOST_ATTACHMENTS

    def run(self) -> None:
        for copy in self.job.step_ids.copy_id:
            steps = self._steps_of(copy)
            if not all(step._is_closed() for step in steps):
                self._restore(steps)
            if copy.state != "damaged":  # what it lacks, other packs have given
                self.context.restores.note_drill(copy, steps)
        self.context.restores.forget_fetched()

    def _is_published(self) -> bool:
        return False

    def again(self) -> object:
        return self.job.step_ids.copy_id.action_drill()

    def boot(self, progress: Progress) -> None:
        """Let an Odoo load the copy and read a record of every model."""
        self.restore.make_safe(progress)
        self.context.restores.boot(self.restore.target.connection.database, progress)

    def drop(self, _progress: Progress) -> None:
        """Remove the copy."""
        self.restore.close()
