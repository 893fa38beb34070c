"""What becomes of a run that has no process: one whose process is gone, and one that
waits for its turn."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

MAX_ATTEMPTS = 3  # runners that may take up one run before it is closed
MAX_SPAWNS = 3  # runners that may be started without one of them taking the run up
SPAWN_PATIENCE = timedelta(minutes=1)  # until a runner that was started has loaded
POSTPONE = timedelta(minutes=10)  # before a run that gave way is tried again
WORKER_PATIENCE = timedelta(minutes=5)  # before somebody hears that none starts runs
CANCEL_PATIENCE = timedelta(minutes=2)  # before a runner that does not stop is ended


class Decision(Enum):
    START = auto()
    WAIT = auto()
    LEAVE_TO_WORKER = auto()
    CLOSE_CANCELLED = auto()
    CLOSE_INTERRUPTED = auto()
    CLOSE_UNSTARTABLE = auto()


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run that is open. ``starts_runs`` tells whether this server
    starts processes, or a worker does; ``has_to_clean`` whether one more process would
    have something to remove or to complete."""

    attempt: int
    spawn_count: int
    spawned_at: datetime | None
    cancel_requested: bool
    starts_runs: bool
    has_to_clean: bool = False

    def is_starting(self, now: datetime) -> bool:
        """Tell whether a process was started so recently that it may still load."""
        # also when the clock was put back, or the one of the server that started it is
        # ahead
        at = self.spawned_at
        return at is not None and abs(now - at) < SPAWN_PATIENCE

    def needs_last_runner(self) -> bool:
        """Tell whether one more process is worth it: it removes what a storage may
        hold of this run's archive, because an Odoo worker may not wait for storages, or
        it closes a restore that was complete. One that dies as well is the last."""
        return self.attempt <= MAX_ATTEMPTS and self.has_to_clean


def after_loss(run: RunFacts, now: datetime) -> Decision:
    """Decide about a run whose process is gone."""
    last = run.needs_last_runner()
    if run.cancel_requested and not last:
        return Decision.CLOSE_CANCELLED
    if run.attempt >= MAX_ATTEMPTS and not last:
        return Decision.CLOSE_INTERRUPTED
    return _next_process(run, now)


def when_waiting(run: RunFacts, now: datetime) -> Decision:
    """Decide about a run whose turn it is."""
    return Decision.WAIT if run.is_starting(now) else _next_process(run, now)


def _next_process(run: RunFacts, now: datetime) -> Decision:
    if not run.starts_runs:
        return Decision.LEAVE_TO_WORKER
    if run.spawn_count < MAX_SPAWNS:
        return Decision.START
    # none of them has claimed the run yet; the last one may still be starting
    return Decision.WAIT if run.is_starting(now) else Decision.CLOSE_UNSTARTABLE
