"""Which run of this server begins when: slots and tickets (``engine/queue``), and what
the databases say of the runs that wait there.

A run that waits is a row in its database and a ticket beside the slots, and no process.
Whoever has a run to start, or has ended one, starts those that are next; supervision
does it again each minute, for whoever was killed.
"""

import contextlib
import logging
import os
import time
from collections.abc import Sequence
from datetime import datetime, timezone

import psycopg2

from . import odoo_config, runner
from .engine.errors import EngineError
from .engine.errors.runs import (
    LimitUnusable,
    SlotsUnusable,
    WaitsForRun,
    WaitsForSlot,
    WaitsForTest,
)
from .engine.postgres.installed import require_version
from .engine.queue.estimate import Holder
from .engine.queue.tickets import Ticket, ticket_name
from .engine.queue.turns import Line, Queue, Turn

_logger = logging.getLogger(__name__)

WAITS = (WaitsForSlot, WaitsForTest)
WAITING_CODES = tuple(error.code for error in (*WAITS, WaitsForRun))
CODES = (*WAITING_CODES, SlotsUnusable.code)
IS_FREE = "SELECT pg_try_advisory_xact_lock(%(lock_class)s, %(job)s)"
# what a ticket says may be over; what has come with the dump of another database is not
# ours to start
BEGIN = """
    UPDATE backup_job SET spawned_at = now() AT TIME ZONE 'UTC',
                          spawn_count = coalesce(spawn_count, 0) + 1
     WHERE id = %(job)s AND uuid = %(run)s
       AND database_uuid = (SELECT value FROM ir_config_parameter
                             WHERE key = 'database.uuid')
       AND (state = 'running' OR state = 'pending'
            AND NOT EXISTS (SELECT FROM backup_job WHERE state = 'running'))
"""


def queue() -> Queue:
    """Return the slots and the tickets as this server sees them."""
    try:
        slots = odoo_config.max_running()
    except LimitUnusable as error:
        _logger.warning("%s", error.in_full)
        slots = odoo_config.default_max_running()
    return Queue(odoo_config.slots_folder(), slots, odoo_config.server_name())


def why_it_waits(ticket: Ticket) -> EngineError | None:
    """Return what keeps a run from beginning now, None when nothing does: one of
    ``WAITS``, or SlotsUnusable."""
    try:
        place = queue().place(ticket)
    except SlotsUnusable as error:
        return error
    if not place.has_to_wait:
        return None
    if place.is_test_running:
        return waits(WaitsForTest, place.expected, before=place.before)
    numbers = {"running": len(place.holders), "slots": place.slots}
    return waits(WaitsForSlot, place.expected, before=place.before, **numbers)


def waits(
    kind: type[WaitsForSlot | WaitsForTest | WaitsForRun],
    expected: float | None,
    **values: object,
) -> EngineError:
    """Return why a run waits. ``expected`` is when its turn comes, None where nobody
    knows."""
    if expected is None:
        return kind(**values)
    moment = datetime.fromtimestamp(expected, timezone.utc)
    told = f"{moment:%Y-%m-%d %H:%M}"
    return kind(remedy=kind.remedy_expected, expected=told, **values)


def begins_at(ticket: Ticket) -> float | None:
    """Return when the turn of a run comes, None where nobody knows."""
    with contextlib.suppress(SlotsUnusable):
        place = queue().place(ticket)
        return place.expected if place.has_to_wait else time.time()
    return None


def request(ticket: Ticket, is_counted: bool) -> None:
    """Let a committed run begin as soon as it may. ``is_counted``: its row says already
    that a process was started for it. What goes wrong is logged: supervision asks
    again."""
    try:
        queue().enter(ticket)
    except SlotsUnusable as error:
        _logger.error("Run %s has no ticket: %s", ticket.job, error.in_full)
    _start(ticket, is_counted)


def start_next() -> None:
    """Start those that wait, as far as there are slots for them."""
    _start(None, False)


def _start(mine: Ticket | None, is_counted: bool) -> None:
    try:
        while odoo_config.is_enabled() and (turn := queue().next(mine)):
            ticket = turn.ticket
            is_mine = bool(mine) and ticket.name == mine.name
            with contextlib.closing(turn):
                if (is_mine and is_counted) or _begins(ticket):
                    _spawn(turn, is_mine)
            if is_mine:
                mine = None
    except SlotsUnusable as error:
        _logger.error("No run can start: %s", error.in_full)


def _spawn(turn: Turn, is_mine: bool) -> None:
    ticket = turn.ticket
    try:
        runner.spawn(ticket.database, ticket.job, ticket.run, turn.files, is_mine)
    except OSError as error:  # no memory for a process, for example
        _logger.error("Run %s was not started: %s", ticket.job, error)


def _begins(ticket: Ticket) -> bool:
    """Write down that a process is started for a run that still waits for one; tell
    whether it does. A database that cannot be asked asks again by itself."""
    connection = odoo_config.connection(ticket.database, "dfr_backup queue")
    try:
        session = connection.connect()
        with contextlib.closing(session), session, session.cursor() as cr:
            require_version(cr, ticket.database, odoo_config.CODE_VERSION)
            cr.execute("SET LOCAL lock_timeout = '2s'")
            values = {
                "lock_class": runner.LOCK_CLASS,
                "job": ticket.job,
                "run": ticket.run,
            }
            cr.execute(IS_FREE, values)
            if cr.fetchone()[0]:
                cr.execute(BEGIN, values)
                return bool(cr.rowcount)
    except (EngineError, psycopg2.Error) as error:
        _logger.info("Run %s of %s: %s", ticket.job, ticket.database, error)
    return False


def leave(database: str, job_uuid: str) -> None:
    """Let a run wait no longer: it was closed."""
    queue().leave(ticket_name(odoo_config.server_name(), database, job_uuid))


def is_waiting(database: str, job_uuid: str) -> bool:
    """Tell whether somebody who starts runs has just said that this one waits."""
    name = ticket_name(odoo_config.server_name(), database, job_uuid)
    return queue().is_waiting(name)


def still_waits(database: str, job_uuid: str) -> bool:
    """Tell whether a run has a ticket, and say that it is still meant."""
    waits = is_waiting(database, job_uuid)
    if waits:
        queue().touch(ticket_name(odoo_config.server_name(), database, job_uuid))
    return waits


def what_runs() -> list[Holder]:
    """Return what runs on this server; nothing where nobody can know."""
    with contextlib.suppress(SlotsUnusable):
        return queue().holders()
    return []


def line() -> Line | None:
    """Return what runs and what waits on this server, None where nobody can know."""
    with contextlib.suppress(SlotsUnusable):
        return queue().line()
    return None


def perform(database: str, job_id: int, slot: Sequence[int]) -> int:
    """Perform a run in this process, which holds the open files ``slot``; then go on
    with the run that is next, if any. Return the exit status."""
    for file in slot:
        os.set_inheritable(file, False)  # pg_dump would keep the slot for itself
    try:
        status = runner.main(database, job_id)
    except Exception:  # what this run does keeps no other one waiting
        _logger.exception("Run %s ended", job_id)
        status = 1
    for file in slot:
        os.close(file)
    _go_on()
    return status


def _go_on() -> None:
    try:
        while odoo_config.is_enabled() and (turn := queue().next()):
            with contextlib.closing(turn):
                if _begins(turn.ticket):
                    ticket = turn.ticket
                    runner.become(ticket.database, ticket.job, ticket.run, turn.files)
    except (SlotsUnusable, OSError) as error:
        _logger.error("No other run was started: %s", error)
