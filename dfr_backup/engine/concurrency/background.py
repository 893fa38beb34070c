"""Work that is done beside the caller's, in a thread of its own."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from ..errors import Cancelled
from ..progress import POLL_INTERVAL, Progress

Result = TypeVar("Result")


def in_thread(work: Callable[[], Result], name: str) -> "Future[Result]":
    """Begin ``work`` in a thread of its own, for which not even the end of the process
    waits."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            result = work()
        # it is raised where it can be handled
        except BaseException as error:  # noqa: BLE001
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


class Task(Generic[Result]):
    """``work()`` in a thread of its own, begun when this is made.

    The thread is a daemon: one that waits for a server which has fallen silent keeps
    neither a cancel nor the end of the process waiting.
    """

    def __init__(self, work: Callable[[], Result], name: str):
        self._future = in_thread(work, name)

    @property
    def done(self) -> bool:
        return self._future.done()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end, at most so many seconds; tell whether it has come."""
        wait([self._future], seconds)
        return self.done

    def result(self) -> Result:
        """Return what the work has returned, or raise what it has raised, after its
        end."""
        return self._future.result()

    def finish(self, look: Callable[[], object]) -> Result:
        """Return the result as ``result`` does. ``look`` is called all the while; what
        it raises, such as Cancelled, ends the waiting, and not the work."""
        while not self.wait(POLL_INTERVAL):
            look()
        return self.result()

    def abandon(self, clean_up: Callable[[Result], object]) -> None:
        """Wait no longer: what the work returns, now or later, is given to
        ``clean_up``."""

        def ended(future: "Future[Result]") -> None:
            if future.exception() is None:
                clean_up(future.result())

        self._future.add_done_callback(ended)


class Background(Generic[Result]):
    """``work(progress)``, begun by entering it as a context manager.

    Leaving it before ``finish`` ends the work, at its next report to ``progress``.
    """

    def __init__(self, work: Callable[[Progress], Result], name: str):
        self._work = work
        self._name = name
        self._stopped = threading.Event()
        self._progress = Progress(self._report)
        self._task: Task[Result] | None = None

    def __enter__(self) -> "Background[Result]":
        self._task = Task(lambda: self._work(self._progress), self._name)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopped.set()
        if self._task:
            self._task.wait()

    @property
    def done(self) -> int:
        """The bytes that are done."""
        return self._progress.done

    def raise_error(self) -> None:
        """Raise what has ended the work, if anything has."""
        if self._task and self._task.done:
            self._task.result()

    def finish(self, report: Callable[[int], object]) -> Result:
        """Wait for the end and return the result, or raise what the work has raised.

        ``report`` is called all the while with the bytes that are done; what it raises,
        such as Cancelled, ends the waiting.
        """
        if self._task is None:
            raise RuntimeError("nothing was begun")
        return self._task.finish(lambda: report(self._progress.done))

    def _report(self, _progress: Progress) -> None:
        if self._stopped.is_set():
            raise Cancelled()
