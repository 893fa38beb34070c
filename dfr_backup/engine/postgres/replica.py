"""A read replica that a dump may come from, once it has seen what it must.

The primary knows of the run before it is asked where it stands: from then on nobody
collects attachment files. A snapshot of the replica that is not older names no file
that was collected before.
"""

import contextlib
import time
from typing import Any

import psycopg2

from ..errors import EngineError, RetryableError
from ..errors.dump import (
    NotReplica,
    QueryRefused,
    ReplicaConflict,
    ReplicaDiverged,
    ReplicaLags,
    ReplicaSilent,
    ReplicaUnlogged,
)
from ..messages import Size
from ..progress import POLL_INTERVAL, Progress
from .connection import Connection

# a commit that waits for this server's disk: with synchronous_commit off, what others
# have committed may not be written yet
FLUSH = """
    SET LOCAL synchronous_commit = 'local';
    SELECT pg_logical_emit_message(true, 'dfr_backup', '')
"""
WRITTEN = (
    "SELECT pg_current_wal_lsn()::text, system_identifier FROM pg_control_system()"
)
REPLAYED = """
    SELECT pg_is_in_recovery(), system_identifier,
           pg_wal_lsn_diff(%s, pg_last_wal_replay_lsn())::bigint
      FROM pg_control_system()
"""
CONFLICTS = """
    SELECT coalesce(sum(confl_tablespace + confl_lock + confl_snapshot
                        + confl_bufferpin + confl_deadlock), 0)::bigint
      FROM pg_stat_database_conflicts WHERE datname = current_database()
"""
KNOWN = "SELECT EXISTS (SELECT FROM backup_job WHERE uuid = %s)"
UNLOGGED = """
    SELECT coalesce(array_agg(oid::regclass::text ORDER BY oid), '{}') FROM pg_class
     WHERE relpersistence = 'u' AND relkind IN ('r', 'm')
"""
NAMED = 5  # tables in a message
MAY_NOT = "42501"  # SQLSTATE
COUNTED = 2.0  # seconds in which a server counts what it has cancelled


class Replica:
    """The replica that ``connection`` leads to, followed from the moment at which this
    is made. ``run``: the UUID of a run that the primary knows by now. ``patience``:
    seconds that the replica may be behind what the primary has by now."""

    def __init__(
        self,
        primary: Connection,
        connection: Connection,
        run: str,
        patience: float,
        progress: Progress,
    ):
        self.host = connection.params.get("host", "")
        self._connection = connection
        self._run = run
        self._patience = patience
        self._progress = progress
        self._conflicts: int | None = None  # not counted yet
        with contextlib.closing(primary.heard_by(progress).connect()) as session:
            _row(session, FLUSH)
            session.commit()
            self._position, self._cluster = _row(session, WRITTEN)

    def await_in(self, session: Any) -> None:
        """Wait, in the very session that will look, until the replica has what the
        primary had. Raise ReplicaLags, NotReplica, ReplicaDiverged, or ReplicaUnlogged.
        """
        until = time.monotonic() + self._patience
        while behind := self._behind(session):
            if time.monotonic() >= until:
                seconds = round(self._patience)
                raise ReplicaLags(host=self.host, seconds=seconds, behind=Size(behind))
            self._progress.tick()
            time.sleep(POLL_INTERVAL)
        (self._conflicts,) = _row(session, CONFLICTS)
        (is_known,) = _row(session, KNOWN, self._run)
        if not is_known:  # the replica of a copy has the same numbers
            raise ReplicaDiverged(host=self.host)
        (unlogged,) = _row(session, UNLOGGED)
        if unlogged:  # pg_dump would leave their rows out, and say nothing
            tables = ", ".join(unlogged[:NAMED])
            raise ReplicaUnlogged(host=self.host, tables=tables)
        session.rollback()

    def require_still(self) -> None:
        """Raise NotReplica when it is none any more: what was seen of it may be its own
        by then."""
        heard = self._connection.heard_by(self._progress)
        with contextlib.closing(heard.connect()) as session:
            self._behind(session)

    def _behind(self, session: Any) -> int:
        is_replica, cluster, behind = _row(session, REPLAYED, self._position)
        session.rollback()  # the view of what comes next begins then
        if not is_replica or cluster != self._cluster or behind is None:
            raise NotReplica(host=self.host)
        return max(int(behind), 0)

    def explained(self, error: EngineError) -> EngineError:
        """Return what an error of the dump means. Whoever is cancelled for the sake of
        the replay may hear no more than that the connection is lost, or hears it in the
        server's language; the server counts."""
        if self._conflicts is not None and self._has_cancelled(self._conflicts):
            return ReplicaConflict(host=self.host, log=error.log)
        return error

    def _has_cancelled(self, before: int) -> bool:
        until = time.monotonic() + COUNTED
        with contextlib.suppress(EngineError):
            with contextlib.closing(self._connection.connect()) as session:
                session.autocommit = True
                while _row(session, CONFLICTS)[0] <= before:
                    if time.monotonic() >= until:
                        return False
                    time.sleep(POLL_INTERVAL)
            return True
        return False


def _row(session: Any, query: str, *values: object) -> tuple[Any, ...]:
    try:
        with session.cursor() as cr:
            cr.execute(query, values or None)
            row: tuple[Any, ...] = cr.fetchone()
            return row
    except psycopg2.Error as error:
        if error.pgcode == MAY_NOT:
            raise ReplicaSilent(
                host=session.info.host, user=session.info.user, log=str(error).strip()
            ) from error
        refused = QueryRefused(log=str(error).strip())
        raise RetryableError.because(refused) from error
