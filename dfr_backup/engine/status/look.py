"""A look at many databases, a few at a time."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TypeVar

from ..concurrency.worker_pool import WaitingPool
from ..errors import EngineError
from ..postgres.connection import Connection
from .databases import Listed
from .facts import read_facts
from .verdict import Status, status_of, status_of_error, status_of_shut

Answer = TypeVar("Answer")
AT_ONCE = 4  # sessions of the server that one look takes


def ask_each(
    listed: Iterable[Listed],
    ask: Callable[[Listed], Answer],
    tick: Callable[[], object],
) -> Iterator[Answer]:
    """Yield what each database answers, as they do. ``tick`` is called meanwhile, and
    may raise."""
    yield from WaitingPool(tick).map(ask, listed, AT_ONCE)


def look_at(
    one: Listed,
    connect: Callable[[str], Connection],
    code: str,
    enabled: bool,
    clock: Callable[[], datetime],
) -> Status:
    """Return the status of a database. ``code`` is the version of the addon on this
    server, on which backups are switched on or not."""
    if one.shut:
        return status_of_shut(one)
    try:
        facts = read_facts(connect(one.name), code)
    except EngineError as error:
        return status_of_error(one.name, error)
    return status_of(one.name, facts, clock(), enabled)
