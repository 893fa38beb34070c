"""Work that is done beside the caller's, in a thread of its own."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

from ..errors import Cancelled
from ..progress import Progress
from .worker_pool import POLL_INTERVAL

Result = TypeVar("Result")


class Background(Generic[Result]):
    """``work(progress)``, begun by entering it as a context manager.

    Leaving it before ``finish`` ends the work, at its next report to ``progress``.
    """

    def __init__(self, work: Callable[[Progress], Result], name: str):
        self._work = work
        self._stopped = threading.Event()
        self._progress = Progress(self._report)
        self._pool = ThreadPoolExecutor(1, name)
        self._result: Future[Result] | None = None

    def __enter__(self) -> "Background[Result]":
        self._result = self._pool.submit(self._work, self._progress)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopped.set()
        self._pool.shutdown()

    def raise_error(self) -> None:
        """Raise what has ended the work, if anything has."""
        if self._result and self._result.done():
            self._result.result()

    def finish(self, report: Callable[[int], object]) -> Result:
        """Wait for the end and return the result, or raise what the work has raised.

        ``report`` is called all the while with the bytes that are done; what it raises,
        such as Cancelled, ends the waiting.
        """
        if self._result is None:
            raise RuntimeError("nothing was begun")
        while not wait([self._result], POLL_INTERVAL).done:
            report(self._progress.done)
        return self._result.result()

    def _report(self, _progress: Progress) -> None:
        if self._stopped.is_set():
            raise Cancelled()
