"""Sessions in which a cancel ends a statement, however long it takes: a table may be
large, and what was restored may hold functions that sleep."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import psycopg2
from psycopg2.extensions import cursor

from ..concurrency.background import Task
from ..progress import POLL_INTERVAL, Progress

Result = TypeVar("Result")
AT_ONCE = 0.05  # seconds in which most statements are done
WAIT_FOR_END = 10.0  # seconds that a cancelled statement may take to say so


def hear(
    progress: Progress, work: Callable[[], Result], stop: Callable[[], object]
) -> Result:
    """Return what ``work`` returns, which is done in a thread, and report meanwhile.
    What the progress raises, and a signal, calls ``stop`` until the work has ended, for
    at most WAIT_FOR_END seconds: then its thread is left behind."""
    doing = Task(work, "dfr_backup statement")
    try:
        if not doing.wait(AT_ONCE):
            progress.tick()
        return doing.finish(progress.tick)
    except BaseException:
        _stop(doing, stop)
        raise


def _stop(doing: "Task[Any]", stop: Callable[[], object]) -> None:
    """Again and again: a session may just be between two statements."""
    deadline = time.monotonic() + WAIT_FOR_END
    while not doing.done and time.monotonic() < deadline:
        with suppress(psycopg2.Error):  # it is gone already
            stop()
        doing.wait(POLL_INTERVAL / 5)


def cursor_heard_by(progress: Progress) -> type[Any]:
    """Return a class of cursors for psycopg2, to be used in the thread that reports to
    ``progress``."""

    class Heard(cursor):  # type: ignore[misc, unused-ignore]
        def execute(self, *arguments: Any, **named: Any) -> None:
            run = super().execute
            self._hear(lambda: run(*arguments, **named))

        def fetchmany(self, size: int | None = None) -> Any:
            fetch, count = super().fetchmany, size or self.itersize
            return self._hear(lambda: fetch(count))

        def __iter__(self) -> Iterator[Any]:  # type: ignore[override, unused-ignore]
            while rows := self.fetchmany():
                yield from rows

        def _hear(self, work: Callable[[], Any]) -> Any:
            return hear(progress, work, self.connection.cancel)

    return Heard
