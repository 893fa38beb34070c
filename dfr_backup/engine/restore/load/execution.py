"""Statements and rows of a dump, given to one session."""

from collections.abc import Callable, Iterable
from typing import Any

import psycopg2

from .errors import load_error
from .older_server import as_taken_by
from .sql_stream import Rows, Statement


def execute_all(
    session: Any,
    statements: list[Statement],
    may_be_skipped: Callable[[psycopg2.Error, Statement], bool],
) -> None:
    """Execute statements, in their order, in a psycopg2 session. One that is refused
    is left out where it is optional, or ``may_be_skipped(error, statement)`` says so.
    Raise LoadFailed, ServerLost."""
    version = session.server_version
    statements = [one for each in statements for one in as_taken_by(version, each)]
    with session.cursor() as cr:
        if len(statements) == 1 or not _execute_together(cr, statements):
            for statement in statements:
                try:
                    cr.execute(statement.text)
                except psycopg2.Error as error:
                    if not statement.optional and not may_be_skipped(error, statement):
                        raise load_error(
                            error, statement.text, statement.position
                        ) from error


def _execute_together(cr: Any, statements: list[Statement]) -> bool:
    """Execute all statements or, when one of them fails, none, and tell which it
    was: PostgreSQL takes them as one transaction, and thousands of answers need not
    be waited for."""
    try:
        cr.execute(b"\n".join(statement.text for statement in statements))
    except psycopg2.Error as error:
        if cr.connection.closed:
            raise load_error(
                error, statements[0].text, statements[0].position
            ) from error
        return False
    return True


class _Parts:
    """A file for COPY, whose reads return one part after the other, however long it
    is."""

    def __init__(self, parts: Iterable[bytes]):
        self._parts = iter(parts)

    def read(self, _size: int) -> bytes:
        return next(self._parts, b"")


def copy_rows(session: Any, rows: Rows, parts: Iterable[bytes]) -> None:
    """Load rows, which come in ``parts`` of any size, in a psycopg2 session. Raise
    LoadFailed, ServerLost."""
    try:
        with session.cursor() as cr:
            cr.copy_expert(rows.copy.text, _Parts(parts))
            rows.loaded(cr.rowcount)
    except psycopg2.Error as error:
        raise load_error(error, rows.copy.text, rows.position, rows=True) from error
