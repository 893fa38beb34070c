"""The dump: pg_dump on a shared snapshot, read from a pipe, giving way to whoever
waits."""

import os
import select
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg2

from ..checkpoints import checkpoint
from ..concurrency.background import Task
from ..concurrency.process import PIPE_SIZE, Child
from ..errors.dump import DumpIncomplete, GaveWay, ServerUnreachable
from ..messages import Message, _
from ..progress import POLL_INTERVAL, Progress
from .client_tools import ClientTool, unstartable
from .connection import Connection
from .dump_errors import dump_error
from .snapshot import Snapshot

LAST_LINE = b"-- PostgreSQL database dump complete"
TAIL = 256  # bytes in which the last line must be
# pg_dump writes 4 KiB at a time: whoever wakes up for each of them slows it down
# (measured: 6.8 s instead of 4.9 s for 1 GiB of SQL). In this pause it fills a fifth of
# the pipe.
FULL_READ = PIPE_SIZE // 2  # bytes
READ_PAUSE = 0.001  # seconds
WAITER = _("process %(pid)s (%(name)s), which waited for %(table)s")
WATCHING = 2  # sessions: pg_dump's, and that of who watches it
WAITERS_INTERVAL = 2.0  # seconds between two looks at who waits for our locks


@dataclass(frozen=True)
class DumpOptions:
    """``lock_timeout``: seconds that pg_dump waits for a table; ``patience``:
    seconds that another session may wait for a table of ours before the dump gives
    way (0: for ever)."""

    lock_timeout: int = 60
    patience: int = 30


def dump(
    tool: ClientTool,
    connection: Connection,
    snapshot: Snapshot,
    write: Callable[[memoryview], object],
    progress: Progress,
    options: DumpOptions = DumpOptions(),
) -> int:
    """Pass the plain SQL dump of ``snapshot`` to ``write`` in pieces; return its size
    in bytes.

    A piece is only valid until ``write`` returns.

    pg_dump runs under the application name of ``connection``. Raise what ``dump_error``
    returns, ProgramUnstartable, DumpIncomplete, GaveWay, and Cancelled.
    """
    argv = [os.fspath(tool.path), "--no-owner", "--no-privileges", "--no-password"]
    argv += [
        f"--snapshot={snapshot.name}",
        f"--lock-wait-timeout={options.lock_timeout}s",
    ]
    watches = snapshot.has_room(WATCHING)
    with (
        Child(argv, connection.environ(), partial(unstartable, tool.path)) as child,
        _WaiterWatch(connection, options, watches) as watch,
    ):
        size, tail = _drain(child, write, progress, watch)
        status = child.wait()
        if status:
            raise dump_error(status, child.stderr_tail(), connection)
        if LAST_LINE not in tail:
            raise DumpIncomplete(log=child.stderr_tail())
        if said := child.stderr_tail():
            progress.warn(said)
    return size


def _drain(
    child: Child,
    write: Callable[[memoryview], object],
    progress: Progress,
    watch: "_WaiterWatch",
) -> tuple[int, bytes]:
    """Pass on what the child prints; return its size in bytes, and its last bytes."""
    size, tail = 0, b""
    buffer = bytearray(
        PIPE_SIZE
    )  # one for all: a new one for each read costs its page faults
    view = memoryview(buffer)
    poll = select.poll()
    poll.register(child.stdout, select.POLLIN | select.POLLHUP)
    while True:
        watch.check()
        if not poll.poll(POLL_INTERVAL * 1000):
            progress.tick()
            continue
        count = os.readv(child.stdout, [buffer])
        if not count:
            return size, tail
        if not size:
            checkpoint("postgres.dump.first_bytes")
        write(view[:count])
        size += count
        tail = (tail + bytes(view[max(0, count - TAIL) : count]))[-TAIL:]
        progress.advance(count)
        if count < FULL_READ:
            time.sleep(READ_PAUSE)


class _WaiterWatch:
    """Watch whether somebody waits for a lock that our sessions hold, in a thread of
    its own."""

    WAITERS = """
        SELECT a.pid, a.application_name,
               (SELECT l.relation::regclass::text FROM pg_locks l
                 WHERE l.pid = a.pid AND NOT l.granted AND l.relation IS NOT NULL
                 LIMIT 1)
          FROM pg_stat_activity a
         WHERE a.datname = current_database() AND a.wait_event_type = 'Lock'
           AND pg_blocking_pids(a.pid) && ARRAY(
               SELECT pid FROM pg_stat_activity WHERE application_name = %s)
    """

    def __init__(self, connection: Connection, options: DumpOptions, watches: bool):
        self._connection = connection
        self._patience = options.patience if watches else 0
        self._stop = threading.Event()
        self._task: Task[None] | None = None
        self._waiter: Message | None = None

    def __enter__(self) -> "_WaiterWatch":
        if self._patience:
            self._task = Task(self._watch, "dfr_backup watch")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        if self._task:
            self._task.wait(WAITERS_INTERVAL)

    def check(self) -> None:
        """Raise GaveWay once somebody has waited longer than the patience."""
        if self._waiter:
            raise GaveWay(session=self._waiter)
        if self._task and self._task.done:
            self._task.result()

    def _watch(self) -> None:
        since: dict[int, float] = {}
        try:
            session = self._connection.named("dfr_backup watch").connect(patience=0)
        except ServerUnreachable:
            return  # the dump itself will tell why
        try:
            session.autocommit = True
            while not self._stop.wait(min(WAITERS_INTERVAL, self._patience / 2)):
                since = self._look(session, since)
        except psycopg2.Error:
            return
        finally:
            session.close()

    def _look(self, session: Any, since: dict[int, float]) -> dict[int, float]:
        with session.cursor() as cr:
            cr.execute(self.WAITERS, [self._connection.application_name])
            rows: Iterable[tuple[int, str, str | None]] = cr.fetchall()
        now = time.monotonic()
        waiting = {pid: since.get(pid, now) for pid, _name, _table in rows}
        for pid, name, table in rows:
            if now - waiting[pid] >= self._patience:
                self._waiter = Message(
                    WAITER,
                    pid=pid,
                    name=name or Message(_("unnamed")),
                    table=table or Message(_("a lock")),
                )
        return waiting
