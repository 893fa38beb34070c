"""Stages of which each has threads of its own: what one makes, the next one uses."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

from ..errors import Cancelled
from ..progress import POLL_INTERVAL, Progress
from .background import Task

Item = TypeVar("Item")
Result = TypeVar("Result")
READ_AHEAD = 8  # pieces
WRITE_AHEAD = 1  # items that wait for their work


class Lane:
    """Threads that do what they are given; a single one does it in that order.

    Use as a context manager, or call ``end``: what was begun ends then, and with an
    error what was not begun is left out. ``begin`` is called by each thread first.
    """

    def __init__(
        self, name: str, threads: int = 1, begin: Callable[[], object] | None = None
    ):
        self._pool = ThreadPoolExecutor(threads, f"dfr_backup {name}", begin)

    def __enter__(self) -> "Lane":
        return self

    def __exit__(self, kind: object, *exc_info: object) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)

    def submit(
        self, work: Callable[..., Result], *arguments: object
    ) -> "Future[Result]":
        return self._pool.submit(work, *arguments)

    def end(self) -> None:
        """Wait for what was given, and let the threads end."""
        self._pool.shutdown()


@contextmanager
def working_behind(
    work: Callable[[Item], object], name: str
) -> Iterator[Callable[[Item], None]]:
    """Yield a function that lets a thread do ``work(item)`` while the caller makes the
    next item. It raises what the work has raised, one call later or at the end."""
    doing: deque[Future[object]] = deque()
    with Lane(name) as lane:

        def put(item: Item) -> None:
            doing.append(lane.submit(work, item))
            if len(doing) > WRITE_AHEAD:
                doing.popleft().result()

        yield put
        while doing:
            doing.popleft().result()


@contextmanager
def reading_ahead(
    pieces: Iterator[bytes], progress: Progress
) -> Iterator[Iterator[bytes]]:
    """Yield an iterator over the same pieces, which a thread reads and inflates ahead.
    Whoever takes them reports their bytes to ``progress``, and hears a cancel."""
    pipe = Pipe[bytes]()
    task = Task(lambda: _fill(pipe, pieces), "dfr_backup read")
    try:
        yield _received(pipe, task, progress)
    finally:
        pipe.stop()
        task.wait()


def _fill(pipe: "Pipe[bytes]", pieces: Iterator[bytes]) -> None:
    try:
        for piece in pieces:
            while not pipe.put(piece):
                pass
    finally:
        pipe.end()


def _received(
    pipe: "Pipe[bytes]", task: "Task[None]", progress: Progress
) -> Iterator[bytes]:
    for piece in pipe.items(progress.tick):
        yield piece
        progress.advance(len(piece))
    task.result()


class Pipe(Generic[Item]):
    """Items from one thread to another, a few at a time, up to ``end``. Leaving it as
    a context manager raises Cancelled in the other thread, which still waits."""

    def __init__(self, most: int = READ_AHEAD) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(most)
        self._ended = threading.Event()
        self._stopped = threading.Event()

    def __enter__(self) -> "Pipe[Item]":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let neither side wait for the other any longer."""
        self._stopped.set()

    def put(self, item: Item) -> bool:
        """Hand an item on; return False when the other has enough for now. Raise
        Cancelled."""
        if self._stopped.is_set():
            raise Cancelled()
        try:
            self._queue.put(item, timeout=POLL_INTERVAL)
        except queue.Full:
            return False
        return True

    def end(self) -> None:
        """Say that nothing more comes."""
        self._ended.set()
        with suppress(queue.Full):  # who has something to take looks afterwards
            self._queue.put_nowait(END)

    def items(self, look: Callable[[], object] = lambda: None) -> Iterator[Item]:
        """Yield what is handed on; ``look`` is called while nothing comes. Raise
        Cancelled."""
        while not self._stopped.is_set():
            try:
                ended = self._ended.is_set()
                item = self._queue.get(timeout=0 if ended else POLL_INTERVAL)
            except queue.Empty:
                if self._ended.is_set() and self._queue.empty():
                    return
                look()
                continue
            if item is END:
                return
            yield item
        raise Cancelled()


END: Any = object()
