"""What all kinds of runs share: steps that are done once, in their order."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeAlias

from ..engine.checkpoints import checkpoint
from ..engine.errors import Cancelled, Deferred
from ..engine.errors.runs import UnknownKind, UnknownState
from ..engine.messages import Message, Text
from ..engine.policy.outcome import checked_state
from ..engine.progress import Progress
from ..engine.queue.tickets import USUAL
from . import words
from .context import RunContext
from .records import CopyRecord, StepRecord, StorageRecord
from .state import RunState
from .steps import CLEANUP, Step

Work: TypeAlias = Callable[[Progress], object]


class Run:
    """Performs a ``backup.job`` of one kind, and says what is special about the kind:
    nothing else knows it.

    Each step is a method of the step's name, which gets its ``Progress`` and what
    ``_about`` says. A step that an earlier attempt of the same run has closed is not
    done again, but for a cleanup that has failed; what a step needs to know from an
    earlier one is in the job's ``data``, because another process may have done that.
    """

    kind: ClassVar[str] = ""  # the value of ``backup.job.kind``: by ``register``
    label: ClassVar[str]  # what people call the kind
    STEPS: ClassVar[tuple[Step, ...]] = ()
    per_copy: ClassVar[bool] = False  # every step is done for each copy, copy by copy

    loud: ClassVar[bool] = False  # one that did not end well needs somebody at once
    tells_monitors: ClassVar[bool] = False
    keeps_promise: ClassVar[bool] = False  # a good one ends that its plan is overdue
    priority: ClassVar[int] = USUAL  # among those that wait for a slot of the server
    vouches: ClassVar[bool] = False  # the archive was made here, of this database
    anywhere: ClassVar[bool] = False  # also where attachment files are lost: gets them
    asked_anywhere: ClassVar[bool] = False  # so it is when a person has asked for it

    # from the outcomes of the steps to the state of the run
    overall_state = staticmethod(checked_state)

    def __init__(self, context: RunContext):
        self.context = context
        self.job = context.job

    @classmethod
    def is_of_any_server(cls, trigger: str) -> bool:
        """Tell whether a server may take it without the database's attachment files."""
        return cls.anywhere or (cls.asked_anywhere and trigger != "schedule")

    @classmethod
    def planned(
        cls,
        about: Mapping[str, object] | None = None,
        storages: Iterable[StorageRecord] = (),
        copies: Iterable[CopyRecord] = (),
    ) -> list[dict[str, Any]]:
        """Return the values of the steps that a run with the values ``about`` has, in
        order."""
        steps = [
            step
            for step in cls.STEPS
            if not step.when or any((about or {}).get(name) for name in step.when)
        ]
        if cls.per_copy:
            return [
                {"kind": step.key, "storage_id": copy.storage_id.id, "copy_id": copy.id}
                for copy in copies
                for step in steps
            ]
        ids = [storage.id for storage in storages]
        return [
            {"kind": step.key, "storage_id": number}
            for step in steps
            for number in (ids if step.per == "storage" else [False])
        ]

    # === WHAT THE RUNNER ASKS FOR === #

    def perform(self) -> None:
        """Do what is left of the run, from its first open step on, and close it, or let
        it wait for another attempt."""
        ending = self.context.ending
        if self.recover():
            ending.finish()
            return
        try:
            self.context.cancel.check()
            if self.context.cancel.must_give_up():
                self.give_up()
                ending.interrupt()
                return
            self._prepare_attempt()
            self.run()
        except Cancelled:
            self.abandon()
            ending.cancel()
        except UnknownKind as error:
            ending.break_off(error)
        except Deferred as error:
            ending.postpone(error)
        else:
            ending.finish()

    def _prepare_attempt(self) -> None:
        """Let a later attempt clean up once more: a process that could not do even
        that, for want of memory perhaps, has not closed the run either. Begin again
        what an earlier release has left in a state that this one cannot read."""
        cleanup = self.job._step(CLEANUP.key)
        if cleanup.state == "failure":
            cleanup._reset()
        if not RunState.is_known(self.job.data):
            self.begin_again(Message(words.STARTING_AGAIN, problem=UnknownState()))

    def run(self) -> None:
        """Do every step that is still open. Raise ``Cancelled`` or ``Deferred``."""
        for step in self.job.step_ids:
            self._do(step)

    def recover(self) -> bool:
        """Tell whether an interrupted attempt had done everything and could only not
        say so; then close what it left open."""
        return False

    def begin_again(self, reason: Text) -> None:
        """Forget what earlier attempts have done, because nothing is known of it any
        more; ``reason`` is noted."""
        self.context.store.restart(reason)

    def abandon(self) -> None:
        """After a cancel: remove what this run has left and nobody needs."""

    def give_up(self) -> None:
        """After too many interruptions: remove what is incomplete and not on this
        server."""

    # === WHAT OTHERS ASK FOR === #

    def again(self) -> object:
        """Start another run on the same things; return the action that shows it, or
        that asks for what was not kept."""
        raise NotImplementedError

    def needs_last_runner(self) -> bool:
        """Tell whether a run that is to be closed needs a runner once more: an Odoo
        worker may not wait for storages."""
        return False

    def remove_files(self) -> None:
        """Remove what this run has on this server: it will not go on."""
        self.context.restores.forget_key()
        self.context.files.remove_work()

    # === STEPS === #

    def _do(self, step: StepRecord) -> None:
        """Do one step unless it is closed, or say why it cannot be done."""
        if not step or step._is_closed():
            return
        # pylint: disable-next=assignment-from-none
        obstacle = self._obstacle(step)  # kinds that have any say it
        if obstacle:
            step._skip(Message(obstacle))
            return
        work = self._work(step)
        checkpoint(f"step.{step.kind}.begin")
        with step._running() as progress:
            work(progress)
        checkpoint(f"step.{step.kind}.end")

    def _obstacle(self, _step: StepRecord) -> str | None:
        """Return the template that says why a step cannot be done."""
        return None

    def _work(self, step: StepRecord) -> Work:
        """Return what does a step: the method that has its name."""
        work = getattr(self, step.kind)
        about = self._about(step)
        return lambda progress: work(progress, *about)

    def _about(self, step: StepRecord) -> tuple[StorageRecord | CopyRecord, ...]:
        """Return what the method of a step gets beside the progress: what there is one
        of it for."""
        if self.per_copy:
            return (step.copy_id,)
        return (step.storage_id,) if step.storage_id else ()
