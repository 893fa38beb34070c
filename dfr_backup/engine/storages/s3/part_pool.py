"""Threads that wait for a server, so that the caller's thread stays free for a
cancel."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from .source import Interrupt

POLL = 0.1  # seconds between two ticks

Item = TypeVar("Item")
Result = TypeVar("Result")


class PartPool:
    """Works in threads of its own, and calls ``tick`` in the caller's thread meanwhile.

    The threads are daemons: one that waits for a server which has fallen silent ends
    with its timeout, and keeps neither a cancel nor the end of the process waiting.
    """

    def __init__(self, tick: Callable[[], object]):
        self._tick = tick
        self._threads: list[threading.Thread] = []
        self.stopped = threading.Event()

    def map(
        self, work: Callable[[Item], Result], items: Iterable[Item], threads: int
    ) -> Iterator[Result]:
        """Yield the result for each item, in the order in which they are ready.

        Raise what ``work`` or ``tick`` raises; no further item is begun then.
        """
        todo = deque(items)
        done: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        left = len(todo)
        self._threads = [
            threading.Thread(target=self._labour, args=(work, todo, done), daemon=True)
            for _number in range(min(threads, left))
        ]
        for thread in self._threads:
            thread.start()
        try:
            while left:
                result = self._next(done)
                left -= 1
                yield result
        finally:
            todo.clear()

    def call(self, work: Callable[[], Result]) -> Result:
        """Return the result of one call."""
        for result in self.map(lambda _item: work(), [None], 1):
            return result
        raise AssertionError("one item has one result")

    def dismiss(self, seconds: float) -> bool:
        """Stop, and wait so long for the threads. Return whether all of them have
        ended."""
        self.stopped.set()
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _labour(
        self,
        work: Callable[[Any], Any],
        todo: "deque[Any]",
        done: "queue.SimpleQueue[Any]",
    ) -> None:
        while not self.stopped.is_set():
            try:
                item = todo.popleft()
            except IndexError:
                return
            try:
                done.put((work(item), None))
            # it is raised where it can be handled
            except BaseException as error:  # noqa: BLE001
                done.put((None, error))
                return

    def _next(self, done: "queue.SimpleQueue[Any]") -> Any:
        while True:
            try:
                result, error = done.get(timeout=POLL)
            except queue.Empty:
                self._tick()
                continue
            if isinstance(error, Interrupt) and error.cause:
                raise error.cause from error
            if error:
                raise error
            return result
