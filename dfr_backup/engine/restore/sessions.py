"""Several sessions on the database that is being restored, each with a thread of its
own."""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg2

from ..concurrency.background import Task
from ..errors import EngineError
from ..errors.dump import TooManySessions
from ..errors.restore import UnexpectedFailure
from ..messages import _
from ..postgres.connection import Connection
from ..progress import POLL_INTERVAL, Progress
from .errors import server_error

WAIT_FOR_END = 10.0  # seconds that a cancelled session may take to say so
MEMORY = (
    "256MB"  # for one index build; the server's own default, 64 MB, sorts on the disk
)
# the load is thrown away as a whole when it fails, so no commit of it needs to wait for
# the disk
OPENING = (
    b"SET synchronous_commit = off",
    b"SET maintenance_work_mem = '%s'" % MEMORY.encode(),
)

Work = Callable[[Any], None]


class Sessions:
    """One main session, whose work is done in order, and ``helpers`` that share theirs.
    They are fewer where the server limits sessions; without any, the main session does
    all.

    Use as a context manager: leaving it with an error cancels what runs. The first
    error of any session is raised by the next call from the caller's thread, which also
    reports.
    """

    def __init__(self, connection: Connection, helpers: int, progress: Progress):
        self._progress = progress
        self._changed = threading.Condition()
        self._error: EngineError | None = None
        self._stopped = False
        self._settings: list[bytes] = list(OPENING)
        self._main: deque[Work] = deque()
        self._shared: deque[Work] = deque()
        self._busy = 0  # handed out and not done yet, queued or running
        self._limit = 2 * helpers
        self._all: list[_Session] = []
        try:
            self._add(connection.connect(), self._main)
            with suppress(TooManySessions):
                for _number in range(helpers):
                    self._add(connection.connect(patience=0), self._shared)
        except BaseException:
            self._close_connections()
            raise
        if helpers and len(self._all) == 1:
            self._shared = self._main

    def _add(self, connection: Any, queue: deque[Work]) -> None:
        self._all.append(_Session(connection, queue, self))

    def __enter__(self) -> "Sessions":
        for session in self._all:
            session.start()
        return self

    def __exit__(self, kind: object, *exc_info: object) -> None:
        with self._changed:
            self._stopped = True
            self._main.clear()
            self._shared.clear()
            self._changed.notify_all()
        if kind is not None:
            self._cancel()
        for session in self._all:
            session.wait()
        self._close_connections()

    def set(self, statement: bytes) -> None:
        """Let every session run ``statement``, a setting, before its next work."""
        with self._changed:
            self._settings.append(statement)

    def order(self, work: Work) -> None:
        """Let the main session do ``work(session)`` when it is its turn."""
        self._submit(self._main, work)

    def run(self, work: Work) -> None:
        """Let the main session do ``work(session)``, and wait for it."""
        self.order(work)
        self.wait()

    def share(self, work: Work) -> None:
        """Hand ``work(session)`` to the helpers; wait only while they have enough to
        do."""
        while True:
            with self._changed:
                self._raise_error()
                if len(self._shared) < self._limit:
                    break
                self._changed.wait(POLL_INTERVAL)
            self._progress.tick()
        self._submit(self._shared, work)

    def look(self) -> None:
        """Raise the error that has ended the work of a session, and Cancelled."""
        with self._changed:
            self._raise_error()
        self._progress.tick()

    def wait(self) -> None:
        """Wait until everything that was handed out is done. Raise Cancelled."""
        while True:
            with self._changed:
                self._raise_error()
                if not self._busy:
                    return
                self._changed.wait(POLL_INTERVAL)
            self._progress.tick()

    def _submit(self, queue: deque[Work], work: Work) -> None:
        with self._changed:
            self._raise_error()
            queue.append(work)
            self._busy += 1
            self._changed.notify_all()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    # === FROM THE THREADS === #

    def next(self, queue: deque[Work]) -> Work | None:
        """Return the next work of a queue; None when there will be no more."""
        with self._changed:
            while not queue and not self._stopped:
                self._changed.wait()
            if self._stopped:
                return None
            work = queue.popleft()
            self._changed.notify_all()
            return work

    def settings_from(self, number: int) -> list[bytes]:
        """Return the settings after the first ``number``."""
        with self._changed:
            return self._settings[number:]

    def done(self, error: EngineError | None = None) -> None:
        """Note that some work ended, and how."""
        with self._changed:
            self._busy -= 1
            self._error = self._error or error
            self._changed.notify_all()

    # === THE END === #

    def _cancel(self) -> None:
        """Cancel what runs, again and again: a session may just be between two
        statements."""
        deadline = time.monotonic() + WAIT_FOR_END
        while time.monotonic() < deadline and any(not one.done for one in self._all):
            for session in self._all:
                session.cancel()
            for session in self._all:
                session.wait(POLL_INTERVAL / 5)

    def _close_connections(self) -> None:
        for session in self._all:
            session.connection.close()


class _Session:
    def __init__(self, connection: Any, queue: deque[Work], sessions: Sessions):
        self.connection = connection
        self.connection.autocommit = True
        self._queue = queue
        self._sessions = sessions
        self._known = 0  # settings that this session has
        self._task: Task[None] | None = None

    def start(self) -> None:
        self._task = Task(self._work, "dfr_backup load")

    @property
    def done(self) -> bool:
        return self._task is None or self._task.done

    def wait(self, seconds: float | None = None) -> None:
        if self._task:
            self._task.wait(seconds)

    def _work(self) -> None:
        while (work := self._sessions.next(self._queue)) is not None:
            try:
                self._apply_settings()
                work(self.connection)
            except EngineError as error:
                self._sessions.done(error)
            except psycopg2.Error as error:
                self._sessions.done(server_error(error, _("load the database")))
            # whatever it is, the caller must not wait for ever
            except BaseException as error:  # noqa: BLE001
                log = f"{type(error).__name__}: {error}"
                self._sessions.done(UnexpectedFailure(log=log))
            else:
                self._sessions.done()

    def cancel(self) -> None:
        with suppress(psycopg2.Error):  # it is gone already
            self.connection.cancel()

    def _apply_settings(self) -> None:
        for statement in self._sessions.settings_from(self._known):
            self._known += 1
            # a newer pg_dump may set what this server does not know
            with (
                suppress(psycopg2.errors.UndefinedObject),
                self.connection.cursor() as cr,
            ):
                cr.execute(statement)
