"""What all kinds of runs share: steps that are done once, in their order."""

from collections.abc import Callable
from typing import TypeAlias

from ..engine.checkpoints import checkpoint
from ..engine.messages import Message
from ..engine.policy.outcome import checked_state
from ..engine.progress import Progress
from .records import JobRecord, StepRecord, StorageRecord

Work: TypeAlias = Callable[[Progress], object]
StorageWork: TypeAlias = Callable[[Progress, StorageRecord], object]


class Flow:
    """Performs a ``backup.job``. A step that an earlier attempt of the same run has
    closed is not done again, but for a cleanup that has failed; what a step needs to
    know from an earlier one is in the job's ``data``, because another process may
    have done that."""

    def __init__(self, job: JobRecord):
        self.job = job

    # from the outcomes of the steps to the state of the run
    overall_state = staticmethod(checked_state)

    def run(self) -> None:
        """Do every step that is still open. Raise ``Cancelled`` or ``Deferred``."""
        raise NotImplementedError

    def recover(self) -> bool:
        """Tell whether an interrupted attempt had done everything and could only not
        say so; then close what it left open."""
        return False

    def abandon(self) -> None:
        """After a cancel: remove what this run has left and nobody needs."""

    def give_up(self) -> None:
        """After too many interruptions: remove what is incomplete and not on this
        server."""

    def _do(self, step: StepRecord, work: Work, obstacle: str | None = None) -> None:
        """Do one step unless it is closed. ``obstacle`` is the template that says why
        it cannot run; ``work`` gets the step's progress."""
        if not step or step._is_closed():
            return
        if obstacle:
            step._skip(Message(obstacle))
            return
        checkpoint(f"step.{step.kind}.begin")
        with step._running() as progress:
            work(progress)
        checkpoint(f"step.{step.kind}.end")

    def _do_stored(
        self, step: StepRecord, work: StorageWork, obstacle: str | None = None
    ) -> None:
        """The same for a step that has a storage: ``work`` gets it, too."""
        self._do(step, lambda progress: work(progress, step.storage_id), obstacle)
