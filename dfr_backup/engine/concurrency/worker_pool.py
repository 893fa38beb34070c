"""Threads that share out many small tasks, while the caller reports what they do."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures import TimeoutError as NotYet
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from ..errors import Cancelled
from ..progress import POLL_INTERVAL, Progress
from .background import in_thread
from .cores import usable_cores
from .pipeline import Lane

Task = TypeVar("Task")
Result = TypeVar("Result")
MAX_WORKERS = 4
AHEAD = 4  # tasks per worker that are handed out before the first result is awaited


class WorkerPool:
    """Some threads, one progress. Workers call ``count``; only the caller's thread
    reports."""

    def __init__(
        self, progress: Progress, workers: int | None = None, ahead: int = AHEAD
    ):
        self._progress = progress
        self._workers = workers or max(2, min(MAX_WORKERS, usable_cores()))
        self._most = ahead * self._workers
        self._lock = threading.Lock()
        self._counted = 0
        self._stopped = threading.Event()

    def count(self, size: int) -> None:
        """Add bytes, from any thread. Raise Cancelled once the work is to end early."""
        if self._stopped.is_set():
            raise Cancelled()
        with self._lock:
            self._counted += size

    def report(self) -> None:
        """Pass on what was counted, from the caller's thread. Raise Cancelled."""
        with self._lock:
            counted, self._counted = self._counted, 0
        if counted:
            self._progress.advance(counted)
        else:
            self._progress.tick()

    def map(
        self, work: Callable[[Task], Result], tasks: Iterable[Task]
    ) -> Iterator[Result]:
        """Yield what ``work`` returns for each task, in their order.

        Few tasks are held at a time. When one raises, or the progress does, the others
        end at their next ``count``, and the error is raised here.
        """
        waiting: deque[Future[Result]] = deque()
        with Lane("worker", self._workers) as pool:
            try:
                for task in tasks:
                    waiting.append(pool.submit(work, task))
                    if len(waiting) >= self._most:
                        yield self._await(waiting.popleft())
                while waiting:
                    yield self._await(waiting.popleft())
            except BaseException:
                self._stopped.set()
                for future in waiting:
                    future.cancel()
                raise
        self.report()

    def _await(self, future: "Future[Result]") -> Result:
        while True:
            self.report()
            try:
                return future.result(POLL_INTERVAL)
            except NotYet:
                if future.done():
                    raise


class WaitingPool:
    """Threads that wait for a server, while ``tick`` is called in the caller's thread.

    What ``tick`` raises leaves at once. A thread that waits for a server which has
    fallen silent ends with its own timeout, and keeps nobody waiting; ``stopped`` tells
    the others to end. What is under way when a call ends early belongs to nobody: only
    ``stop`` waits for it.
    """

    def __init__(self, tick: Callable[[], object]):
        self._tick = tick
        self._under_way: set[Future[Any]] = set()
        self.stopped = threading.Event()

    def map(
        self, work: Callable[[Task], Result], tasks: Iterable[Task], threads: int
    ) -> Iterator[Result]:
        """Yield the result for each task, in the order in which they are ready.

        Raise what ``work`` or ``tick`` raises; no further task is begun then.
        """
        left = iter(tasks)
        doing = self._begin(work, islice(left, threads))
        while doing:
            done, doing = wait(doing, POLL_INTERVAL, FIRST_COMPLETED)
            self._under_way -= done
            if not done:
                self._tick()
            for future in done:
                result = future.result()
                doing |= self._begin(work, islice(left, 1))
                yield result

    def call(self, work: Callable[[], Result]) -> Result:
        """Return the result of one call."""
        for result in self.map(lambda _task: work(), [None], 1):
            return result
        raise AssertionError("one task has one result")

    def stop(self, seconds: float) -> bool:
        """Stop, and wait so long for the threads. Return whether all of them have
        ended."""
        self.stopped.set()
        return not wait(self._under_way, seconds).not_done

    def _begin(
        self, work: Callable[[Task], Result], tasks: Iterable[Task]
    ) -> "set[Future[Result]]":
        begun = {in_thread(partial(work, task), "dfr_backup waiting") for task in tasks}
        self._under_way |= begun
        return begun


def batches(
    items: Iterable[Task], size: Callable[[Task], int], most: int, most_bytes: int
) -> Iterator[list[Task]]:
    """Yield items in groups that are worth handing to a thread: each ends with the
    item that makes it ``most``, or makes their sizes ``most_bytes``."""
    batch: list[Task] = []
    held = 0
    for item in items:
        batch.append(item)
        held += size(item)
        if len(batch) >= most or held >= most_bytes:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
