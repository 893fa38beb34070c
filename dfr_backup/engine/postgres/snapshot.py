"""One consistent look at a database, which pg_dump shares."""

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import psycopg2
from psycopg2 import sql

from ..archive.attachment_index import COLUMNS, IndexWriter
from ..checkpoints import checkpoint
from ..concurrency.background import Task
from ..errors import Cancelled, EngineError, RetryableError
from ..errors.dump import QueryRefused, TooManySessions
from ..messages import Text
from ..progress import Progress
from ..sources.filestore import Attachment
from .connection import Connection
from .dump_errors import dump_error
from .sessions import free_sessions

FETCH_SIZE = 5000  # rows
COUNTING = 3  # sessions: ours, pg_dump's, and that of who watches it
INDEX_PIECE = 1 << 20  # bytes
# a format in which COPY leaves JSON as it is: neither of these is ever in it
COPY_PLAIN = "(FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01', ENCODING 'UTF8')"


class Snapshot:
    """A REPEATABLE READ transaction whose view of the database is exported to pg_dump.

    Use as a context manager and leave it as soon as nobody needs the view any more:
    while it is open, the server cannot clean up what has been deleted since. With
    ``shared``, the name of a snapshot that another session exports, it looks at that
    one. ``before`` is called with the session before it looks.
    """

    def __init__(
        self,
        connection: Connection,
        shared: str | None = None,
        before: Callable[[Any], None] | None = None,
    ):
        self._connection = connection
        self._shared = shared
        self._before = before

    def __enter__(self) -> "Snapshot":
        self._session = self._connection.connect()
        try:
            if self._before:
                self._before(self._session)
            self._session.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with self._cursor() as cr:
                if self._shared:  # must be the first word of a transaction
                    cr.execute("SET TRANSACTION SNAPSHOT %s", [self._shared])
                cr.execute("SET idle_in_transaction_session_timeout = 0")
                cr.execute("SET statement_timeout = 0")
                cr.execute("SELECT pg_export_snapshot(), now()")
                self.name: str
                self.taken_at: datetime
                self.name, self.taken_at = cr.fetchone()
        except BaseException:
            self._session.close()
            raise
        self.server_version: int = self._session.server_version // 10000
        checkpoint("postgres.snapshot.exported")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._session.close()

    def another(self) -> "Snapshot":
        """Return one more session, not entered yet, that looks at the same moment, for
        another thread."""
        return Snapshot(self._connection.heard_by(None), shared=self.name)

    def has_room(self, sessions: int) -> bool:
        """Tell whether the server takes so many sessions more."""
        with self._cursor() as cr:
            return free_sessions(cr) >= sessions

    def estimated_dump_size(self) -> int:
        """Return about how many bytes of SQL the dump will have: what the tables
        hold."""
        return self._value(
            "SELECT coalesce(sum(pg_table_size(c.oid)), 0)::bigint FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', "
            "'m') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
        )

    def estimated_filestore_size(self) -> int:
        """Return the bytes of all attachment files, as the database has noted them."""
        return self._value(
            "SELECT coalesce(sum(size), 0)::bigint FROM (SELECT max(file_size) AS size"
            " FROM ir_attachment WHERE store_fname IS NOT NULL GROUP BY store_fname) "
            "AS files"
        )

    def attachments(self) -> Iterator[Attachment]:
        """Yield every attachment file that the database refers to, once, by file name.

        The rows are read in SQL: Odoo's ORM hides the attachments of binary fields.
        """
        with self._cursor("dfr_backup_attachments") as cr:
            cr.itersize = FETCH_SIZE
            cr.execute(
                "SELECT store_fname, min(checksum), max(file_size), min(id), "
                "min(res_model), min(name) FROM ir_attachment WHERE store_fname IS NOT "
                "NULL GROUP BY store_fname ORDER BY store_fname"
            )
            for store_fname, checksum, size, number, model, name in cr:
                about = f" ({model})" if model else ""
                label = f"ir.attachment,{number} “{name or ''}”{about}"
                yield Attachment(store_fname, checksum or "", size or 0, label)

    def index_attachments(self, write: Callable[[bytes], object]) -> None:
        """Pass a line of JSON for each attachment that has a file to ``write``; see
        ``archive.attachment_index``. The server makes the lines: a million of them take
        seconds."""
        query = (
            f"COPY (SELECT row_to_json(a) FROM (SELECT {', '.join(COLUMNS)}"  # noqa: S608
            " FROM ir_attachment WHERE store_fname IS NOT NULL) AS a)"
            f" TO STDOUT WITH {COPY_PLAIN}"
        )
        with (
            self._cursor() as cr,
            io.BufferedWriter(IndexWriter(write), INDEX_PIECE) as stream,
        ):
            cr.copy_expert(query, stream)

    def attachments_elsewhere(self) -> dict[str, int]:
        """Return how many attachments hold their content outside the filestore, by
        kind."""
        with self._cursor() as cr:
            cr.execute(
                "SELECT CASE WHEN db_datas IS NOT NULL THEN 'database' ELSE type END, "
                "count(*) FROM ir_attachment WHERE store_fname IS NULL AND (db_datas "
                "IS NOT NULL OR type NOT IN ('url', 'binary')) GROUP BY 1"
            )
            return dict(cr.fetchall())

    def row_counts(self, stop: threading.Event | None = None) -> dict[str, int]:
        """Return the number of rows of every table that pg_dump dumps, by quoted
        full name."""
        counts = {}
        with (
            self._cursor() as cr
        ):  # pg_dump and whoever compresses need the other cores
            cr.execute("SET max_parallel_workers_per_gather = 0")
        for schema, table in self._tables():
            if stop is not None and stop.is_set():
                break
            name = sql.Identifier(schema, table)
            with self._cursor() as cr:
                cr.execute(sql.SQL("SELECT count(*) FROM ONLY {}").format(name))
                counts[name.as_string(self._session)] = cr.fetchone()[0]
        return counts

    def _tables(self) -> list[tuple[str, str]]:
        with self._cursor() as cr:
            cr.execute(
                "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON "
                "n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.relpersistence <> "
                "'t' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND NOT "
                "EXISTS (SELECT FROM pg_depend d WHERE d.classid = "
                "'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') ORDER "
                "BY 1, 2"
            )
            tables: list[tuple[str, str]] = cr.fetchall()
            return tables

    def table_bytes(self) -> dict[str, int]:
        """Return how many bytes each of these tables takes, by quoted full name: with
        what it keeps apart (TOAST), without its indexes."""
        sizes = {}
        with self._cursor() as cr:
            cr.execute(
                "SELECT n.nspname, c.relname, pg_table_size(c.oid) FROM pg_class c "
                "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r'"
            )
            found = {(schema, table): size for schema, table, size in cr.fetchall()}
        for schema, table in self._tables():
            name = sql.Identifier(schema, table).as_string(self._session)
            # none of one that was dropped meanwhile
            sizes[name] = found.get((schema, table)) or 0
        return sizes

    def partition_roots(self) -> dict[str, int]:
        """Return the topmost partitioned table of each partition that may have
        rows of its own: its OID by the partition's quoted full name."""
        with self._cursor() as cr:
            cr.execute(
                "SELECT n.nspname, c.relname, pg_partition_root(c.oid)::oid FROM "
                "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
                "c.relispartition AND c.relkind = 'r'"
            )
            return {
                sql.Identifier(schema, table).as_string(self._session): root
                for schema, table, root in cr.fetchall()
            }

    def cancel(self) -> None:
        """Stop the query that another thread runs in this snapshot."""
        self._session.cancel()

    def _value(self, query: str) -> int:
        with self._cursor() as cr:
            cr.execute(query)
            return int(cr.fetchone()[0])

    @contextmanager
    def _cursor(self, name: str | None = None) -> Iterator[Any]:
        """A cursor whose errors are ours: psycopg2's do not leave the engine."""
        try:
            with self._session.cursor(name) as cr:
                yield cr
        except psycopg2.errors.InsufficientPrivilege as error:
            raise dump_error(1, str(error), self._connection, error.pgcode) from error
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            lost = QueryRefused(log=str(error).strip())
            raise RetryableError.because(lost) from error
        except psycopg2.Error as error:
            raise QueryRefused(log=str(error).strip()) from error


class RowCounter:
    """Count the rows of every table in a thread, while pg_dump dumps the same snapshot.

    Use as a context manager around the dump; read ``counts`` after it. Counting is a
    second net, not the backup: when it fails, ``counts`` is None and ``problem`` says
    why. Where the server takes no session more, the rows are counted after the dump.
    """

    def __init__(self, snapshot: Snapshot, progress: Progress):
        self._dumped = snapshot
        self._progress = progress
        # a session of its own: an error here would end the one whose snapshot pg_dump
        # imports
        self._snapshot = snapshot.another()
        self._task: Task[None] | None = None
        self._stop = threading.Event()
        self.counts: dict[str, int] | None = None
        self.problem: Text = ""

    def __enter__(self) -> "RowCounter":
        if not self._opens():
            self._snapshot = self._dumped
            return self
        self._task = Task(self._count, "dfr_backup rows")
        return self

    def _opens(self) -> bool:
        """Open the session that counts; tell whether the server took it."""
        with suppress(TooManySessions):
            if self._dumped.has_room(COUNTING):
                self._snapshot.__enter__()
                return True
        return False

    def __exit__(self, kind: object, *exc_info: object) -> None:
        if self._task is None:
            if kind is None:
                self._count()
            return
        try:
            if kind is None:
                self._task.finish(self._progress.tick)
        finally:
            self._stop.set()
            self._snapshot.cancel()
            self._task.wait()
            self._snapshot.__exit__()

    def _count(self) -> None:
        try:
            self.counts = self._snapshot.row_counts(self._stop)
        except Cancelled:
            raise
        except EngineError as error:
            self.problem = error.log or error.message
