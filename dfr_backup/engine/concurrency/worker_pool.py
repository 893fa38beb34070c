"""Threads that share out many small tasks, while the caller reports what they do."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import TypeVar

from ..errors import Cancelled
from ..progress import Progress

Task = TypeVar("Task")
Result = TypeVar("Result")
MAX_WORKERS = 4
AHEAD = 4  # tasks per worker that are handed out before the first result is awaited
POLL_INTERVAL = 0.25  # seconds between two reports while a result is awaited


class WorkerPool:
    """Some threads, one progress. Workers call ``count``; only the caller's thread
    reports."""

    def __init__(
        self, progress: Progress, workers: int | None = None, ahead: int = AHEAD
    ):
        self._progress = progress
        self._workers = workers or max(2, min(MAX_WORKERS, os.cpu_count() or 1))
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
        self._progress.advance(counted)

    def map(
        self, work: Callable[[Task], Result], tasks: Iterable[Task]
    ) -> Iterator[Result]:
        """Yield what ``work`` returns for each task, in their order.

        Few tasks are held at a time. When one raises, or the progress does, the others
        end at their next ``count``, and the error is raised here.
        """
        waiting: deque[Future[Result]] = deque()
        with ThreadPoolExecutor(self._workers, "dfr_backup worker") as pool:
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
