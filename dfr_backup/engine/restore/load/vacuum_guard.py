"""Autovacuum, kept away from tables while their rows come in."""

from collections.abc import Callable
from typing import Any

import psycopg2

from ..sessions import Sessions

LOCK = b"LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE NOWAIT"


class VacuumGuard:
    """Lets the main session hold tables, which has nothing else to do meanwhile.

    Autovacuum passes over a table that is held. Otherwise it takes one as soon as there
    are some rows in it, and the first index waits a second, ``deadlock_timeout``, until
    PostgreSQL sends it away again.

    The lock is the one that autovacuum takes itself: rows can be written beside it and
    no index built, so ``release`` comes before everything else. It is a help and no
    more: where a table cannot be held, the load goes on.
    """

    def __init__(self, sessions: Sessions):
        self._sessions = sessions
        self._holds = False

    def hold(self, table: bytes) -> None:
        """Hold one more table, named as SQL has it."""
        if not self._holds:
            self._sessions.order(_statement(b"BEGIN"))
            self._holds = True
        statement = LOCK % table
        self._sessions.order(lambda session: _lock(session, statement))

    def release(self) -> None:
        """Let all tables go, before what the main session gets next."""
        if self._holds:
            self._sessions.order(_statement(b"COMMIT"))
            self._holds = False


def _statement(text: bytes) -> Callable[[Any], None]:
    def work(session: Any) -> None:
        with session.cursor() as cr:
            cr.execute(text)

    return work


def _lock(session: Any, statement: bytes) -> None:
    with session.cursor() as cr:
        cr.execute(
            "SAVEPOINT held"
        )  # settings of the dump must outlive a lock that is refused
        try:
            cr.execute(statement)
        except psycopg2.Error:
            cr.execute("ROLLBACK TO SAVEPOINT held")
        cr.execute("RELEASE SAVEPOINT held")
