"""The load: a plain dump, streamed into an empty database by several sessions at once.

It is not one transaction: who calls it drops the database when it fails. What each
statement may share its time with is decided by its kind, and whatever is not known is
done alone, in order. ``plain`` does everything alone, see ``fallback``:

* rows of any table: in chunks of 4 MiB, in any session. No constraint, index or
  trigger exists yet, because pg_dump writes them after all rows.
* indexes, primary keys and unique constraints: one session each, those of the largest
  tables first. Each is one statement about one table.
* foreign keys: added as NOT VALID one by one, which takes no time, and then validated,
  one session per table. The locks of a validation do not block each other, and its
  result is the same as that of the original statement.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg2

from ...checkpoints import checkpoint
from ...concurrency.cores import usable_cores
from ...concurrency.pipeline import Pipe, reading_ahead
from ...messages import Message
from ...postgres.connection import Connection
from ...progress import Progress
from ..sessions import Sessions
from .allowed import require_allowed
from .errors import excuse
from .execution import copy_rows, execute_all
from .kinds import (
    COMMENT,
    COPIED,
    FOREIGN_KEY,
    IMMUTABLE,
    INDEX,
    KEY,
    ONLY,
    PARTITIONED,
    REFERENCED,
    SETTING,
    TRANSACTION,
    UNACCENT,
    UNCHECKED,
    table_of,
)
from .sql_stream import SHORT_ENOUGH, USUAL, Longest, Rows, Statement, split
from .vacuum_guard import VacuumGuard

MAX_HELPERS = 4
BATCH = 500  # statements of the main session that are handed over together


class LongStatement(Exception):
    """A statement is longer than what may be held, and it has an end."""


@dataclass
class LoadReport:
    """What was loaded: ``size`` in bytes of SQL; ``skipped`` are statements about
    rights and comments that this server could not follow."""

    size: int = 0
    statements: int = 0
    tables: int = 0
    skipped: list[Message] = field(default_factory=list)


def load(
    pieces: Iterator[bytes],
    connection: Connection,
    progress: Progress,
    *,
    helpers: int | None = None,
    unaccent: bool = False,
    plain: bool = False,
    left_out: Collection[str] = (),
    longest: Longest = USUAL,
    held: int = SHORT_ENOUGH,
) -> LoadReport:
    """Load a plain dump, which comes in pieces, into the empty database of
    ``connection``.

    With ``unaccent``, indexes may use the function of that extension. ``plain`` is
    psql's way: one session, each statement by itself, in the order of the dump. What is
    ``left_out`` when PostgreSQL refuses it are findings of ``ObjectRefused``, and
    ``longest`` and ``held`` are as for ``split``.

    Stop at the first error. Raise LoadFailed with the line and the statement,
    ServerLost, LongStatement, what ``split`` and ``require_allowed`` raise, Cancelled.
    The database is then of no use any more.
    """
    # one more than there are cores: now and then one of them waits for the disk
    helpers = 0 if plain else helpers or min(MAX_HELPERS, 1 + usable_cores())
    with (
        reading_ahead(pieces, progress) as ahead,
        Sessions(connection, helpers, progress) as sessions,
    ):
        loader = (_PlainLoader if plain else _Loader)(sessions, unaccent, left_out)
        loader.load(split(ahead, longest, held))
        return loader.finish(progress)


class _Loader:
    def __init__(self, sessions: Sessions, unaccent: bool, left_out: Collection[str]):
        self._sessions = sessions
        self._left_out = left_out
        self._unaccent = unaccent
        self._guard = VacuumGuard(sessions)
        self._alone: list[Statement] = []
        self._batch = BATCH
        self._builds: list[tuple[bytes, Statement]] = []
        self._validations: dict[bytes, list[tuple[bytes, Statement]]] = {}
        self._comments: list[Statement] = []
        self._weights: dict[bytes, int] = {}  # bytes of rows by table
        self._partitioned: set[bytes] = set()
        self._report = LoadReport()

    def load(self, items: Iterable[Statement | Rows]) -> None:
        """Do everything in the order of the dump, as far as that matters."""
        for item in items:
            if isinstance(item, Rows):
                self._copy(item)
            else:
                require_allowed(item)
                if not item.whole:
                    raise LongStatement
                self._report.statements += 1
                self._do(item)
        self._flush()
        self._end_rows()  # when nothing came after them
        checkpoint("restore.load.end")

    def finish(self, progress: Progress) -> LoadReport:
        self._report.size = progress.done
        self._report.tables = len(self._weights)
        for skipped in self._report.skipped:
            progress.warn(skipped)
        return self._report

    def _do(self, statement: Statement) -> None:
        text = statement.text
        if SETTING.match(text):
            self._flush()
            # one that this server does not know would end its transaction
            self._guard.release()
            self._sessions.set(text)
        elif statement.is_copy:
            self._flush()
            self._weights.setdefault(table_of(COPIED, text), 0)
        elif COMMENT.match(text) and (self._builds or self._validations):
            self._comments.append(statement)  # nothing depends on it
        elif table := table_of(INDEX, text) or table_of(KEY, text):
            self._build(table, statement)
        elif (key := FOREIGN_KEY.match(text)) and self._may_be_added_unchecked(text):
            self._add_foreign_key(statement, key["table"], key["name"])
        else:
            self._flush_parallel()
            self._run_alone(statement)

            if table := table_of(PARTITIONED, text):
                self._partitioned.add(table)

    def _may_be_added_unchecked(self, foreign_key: bytes) -> bool:
        """Tell whether a foreign key may be added first and validated later: one to a
        partitioned table has further ones for its parts, which PostgreSQL 15 would
        leave unvalidated."""
        found = REFERENCED.search(foreign_key)
        referenced = found["table"] if found else b""
        return referenced not in self._partitioned and not UNCHECKED.search(foreign_key)

    def _run_alone(self, statement: Statement) -> None:
        if not self._alone:
            self._end_rows()
        border = TRANSACTION.match(statement.text)
        if border:  # what is handed over together must not be committed by halves
            self._flush_alone()
            self._batch = 1 if border["word"] == b"BEGIN" else BATCH
        self._alone += [statement, *self._additions(statement)]
        if border or len(self._alone) >= self._batch:
            self._flush_alone()

    def _additions(self, statement: Statement) -> Iterator[Statement]:
        """Yield what of ours follows a statement of the dump."""
        found = UNACCENT.match(statement.text) if self._unaccent else None
        if found:
            text = IMMUTABLE % (found["schema"] or b"public")
            yield Statement(text, statement.position, optional=True)

    def _copy(self, rows: Rows) -> None:
        checkpoint("restore.load.rows")
        table = table_of(COPIED, rows.copy.text)
        if not self._weights[table]:
            self._guard.hold(table)
        self._weights[table] += rows.size
        if rows.is_long:
            self._copy_long(rows)
        else:
            self._sessions.share(lambda session: copy_rows(session, rows, rows.parts))

    def _copy_long(self, rows: Rows) -> None:
        """Hand a row on while it is read, here: who reads hears a cancel."""
        with Pipe[bytes]() as pipe:
            self._sessions.order(lambda session: copy_rows(session, rows, pipe.items()))
            for part in rows.parts:
                while not pipe.put(part):
                    self._sessions.look()
            pipe.end()
            self._sessions.wait()

    def _end_rows(self) -> None:
        """What is no COPY may want to see all rows, and to lock their tables."""
        self._guard.release()
        self._sessions.wait()

    def _build(self, table: bytes, statement: Statement) -> None:
        self._flush_validations()
        if table.upper() == ONLY:
            self._flush_parallel()
            self._run_alone(statement)
        else:
            self._builds.append((table, statement))

    def _add_foreign_key(self, statement: Statement, table: bytes, key: bytes) -> None:
        self._flush_builds()
        self._run_alone(
            Statement(statement.text[:-1] + b" NOT VALID;", statement.position)
        )
        self._validations.setdefault(table, []).append((key, statement))

    # === ORDER === #

    def _flush(self) -> None:
        self._flush_alone()
        self._flush_parallel()
        self._flush_alone()

    def _flush_parallel(self) -> None:
        self._flush_builds()
        self._flush_validations()

    def _flush_alone(self) -> None:
        batch, self._alone = self._alone, []
        if batch:
            self._sessions.run(lambda session: self._execute_all(session, batch))

    def _flush_builds(self) -> None:
        builds, self._builds = self._builds, []
        if not builds:
            return
        self._flush_alone()
        self._end_rows()
        checkpoint("restore.load.indexes")
        builds.sort(key=lambda build: -self._weights.get(build[0], 0))
        for _table_name, statement in builds:
            self._share(statement)
        self._end_parallel()

    def _flush_validations(self) -> None:
        validations, self._validations = self._validations, {}
        if not validations:
            return
        self._flush_alone()
        checkpoint("restore.load.foreign_keys")
        for table in sorted(validations, key=lambda name: -self._weights.get(name, 0)):
            wanted = b", ".join(
                b"VALIDATE CONSTRAINT " + name for name, _ in validations[table]
            )
            position = validations[table][0][1].position
            self._share(
                Statement(b"ALTER TABLE ONLY " + table + b" " + wanted + b";", position)
            )
        self._end_parallel()

    def _share(self, statement: Statement) -> None:
        self._sessions.share(lambda session: self._execute_all(session, [statement]))

    def _end_parallel(self) -> None:
        self._sessions.wait()
        self._alone += self._comments
        self._comments = []
        self._flush_alone()

    # === IN THE THREADS === #

    def _execute_all(self, session: Any, statements: list[Statement]) -> None:
        execute_all(session, statements, self._may_be_skipped)

    def _may_be_skipped(self, error: psycopg2.Error, statement: Statement) -> bool:
        excused = excuse(error, statement.text, statement.position, self._left_out)
        if excused:
            self._report.skipped.append(excused)
        return excused is not None


class _PlainLoader(_Loader):
    """One session that does everything by itself and in the order of the dump."""

    def _do(self, statement: Statement) -> None:
        if SETTING.match(statement.text):
            self._sessions.set(statement.text)
        elif statement.is_copy:
            self._weights.setdefault(table_of(COPIED, statement.text), 0)
        else:
            for one in (statement, *self._additions(statement)):
                self._sessions.run(partial(self._execute_all, statements=[one]))

    def _copy(self, rows: Rows) -> None:
        checkpoint("restore.load.rows")
        self._weights[table_of(COPIED, rows.copy.text)] += rows.size
        if rows.is_long:
            self._copy_long(rows)
        else:
            self._sessions.run(lambda session: copy_rows(session, rows, rows.parts))
