"""What a database says about its backups, read with a few statements and without
Odoo. The models read the same by the ORM: ``dfr_backup/tests/test_status.py`` holds
both against each other."""

import contextlib
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg2
from psycopg2 import errorcodes

from ..errors import EngineError
from ..errors.command_line import NotAnOdooDatabase
from ..errors.dump import ServerUnreachable
from ..errors.server import (
    ModuleWaits,
    NoAnswer,
    NotOpened,
    OtherRelease,
    TablesUnreadable,
)
from ..policy.overdue import PlanFacts
from ..policy.scheduler import Action
from ..postgres.connection import Connection, words_of_server
from ..postgres.installed import IS_ODOO, require_version
from ..postgres.sessions import at_work
from .pause import PARAMETER, Pause, read_pause

SECONDS = 5  # for a database to answer
LOCK_SECONDS = 2
SEEN_DAYS = 7  # after which nobody knows whether a copy still exists
CLOCK_TOLERANCE = timedelta(minutes=5)
NO_ANSWER = (errorcodes.LOCK_NOT_AVAILABLE, errorcodes.QUERY_CANCELED)
OPEN_STATES = ("running", "pending")

WAITING_MODULE = """
    SELECT name FROM ir_module_module
     WHERE state IN ('to install', 'to upgrade', 'to remove') ORDER BY name LIMIT 1
"""
SERIES = "SELECT latest_version FROM ir_module_module WHERE name = 'base'"
PLANS = """
    SELECT id, name, active, frequency, coalesce(promise_hours, 0), promised_since,
           next_run, last_proven
      FROM backup_plan ORDER BY sequence, id
"""
# the last run that has ended in each way, and those that are open
RUNS = """
    SELECT r.plan_id, r.state, r.ended, r.id, j.error, j.error_code, j.hint
      FROM (SELECT plan_id, state, max(date_end) AS ended, max(id) AS id
              FROM backup_job
             WHERE kind = 'backup' AND (date_end IS NULL OR date_end <= %(latest)s)
             GROUP BY plan_id, state) r
      JOIN backup_job j ON j.id = r.id
"""
# as backup.copy counts them
GOOD = """
    SELECT DISTINCT ON (c.plan_id)
           c.plan_id, coalesce(j.date_end, c.date) AS complete,
           c.size + coalesce(c.packed_size, 0) AS size
      FROM backup_copy c
      JOIN backup_storage s ON s.id = c.storage_id
      LEFT JOIN backup_job j ON j.id = c.job_id
     WHERE c.state = 'verified' AND c.complete AND s.active
       AND (coalesce(s.owner_uuid, '') = '' OR s.owner_uuid = %(uuid)s)
       AND c.seen_at >= %(seen)s AND c.seen_at <= %(tomorrow)s
       AND coalesce(j.date_end, c.date) <= %(latest)s
       AND (j.id IS NULL OR j.state = 'success' OR j.kind <> 'backup')
     ORDER BY c.plan_id, complete DESC, size DESC
"""
OPEN = f"""
    SELECT j.uuid, j.name, j.kind,
           CASE WHEN j.state = 'pending' OR {at_work("j.id")}
                THEN j.state ELSE 'interrupted' END,
           coalesce(j.date_start, j.create_date),
           j.error, j.error_code,
           (SELECT s.kind FROM backup_step s WHERE s.job_id = j.id
               AND s.state = 'running' ORDER BY s.sequence LIMIT 1)
      FROM backup_job j WHERE j.state IN ('running', 'pending')
     ORDER BY j.state DESC, j.id
"""  # noqa: S608 (nothing of it comes from outside)
ACTION = """
    SELECT c.active, c.nextcall, c.lastcall, c.interval_number, c.interval_type,
           coalesce(c.failure_count, 0), c.first_failure_date
      FROM ir_cron c JOIN ir_model_data d ON d.model = 'ir.cron' AND d.res_id = c.id
     WHERE d.module = 'dfr_backup' AND d.name = 'ir_cron_supervise'
"""
COPIES = """
    SELECT s.name AS storage, c.key, c.date, c.size, c.sha256, c.state
      FROM backup_copy c JOIN backup_storage s ON s.id = c.storage_id
     WHERE c.state <> 'deleted' ORDER BY c.date DESC, c.id DESC
"""
NEUTRALIZED = "database.is_neutralized"  # as Odoo marks a harmless copy
PARAMETERS = "SELECT key, value FROM ir_config_parameter WHERE key = ANY(%s)"
INTERVALS = {
    "minutes": timedelta(minutes=1),
    "hours": timedelta(hours=1),
    "days": timedelta(days=1),
    "weeks": timedelta(weeks=1),
    "months": timedelta(days=30),
}


@dataclass(frozen=True)
class Plan:
    """A plan, with what the engine judges it by. ``size`` is that of the last good
    backup in bytes; times are UTC. ``last_code`` is the code of ``promise.last_error``,
    ``last_hint`` what to do about it.
    """

    id: int
    name: str
    active: bool
    frequency: str
    promise: PlanFacts
    size: int | None = None
    next_run: datetime | None = None
    tested_at: datetime | None = None
    last_code: str = ""
    last_hint: str = ""


@dataclass(frozen=True)
class OpenRun:
    """A run that goes on ("running") or waits ("pending"), since ``since``. No process
    is at work on one that is "interrupted": its server was shut down, or this is a copy
    of the database that was made meanwhile. ``step`` is the kind of the step that is at
    work. ``reason``, with its ``code``, is what the run says about why it waits."""

    name: str
    kind: str
    state: str
    since: datetime | None
    step: str | None = None
    uuid: str = ""
    reason: str = ""
    code: str = ""


@dataclass(frozen=True)
class Facts:
    """What a database with this addon says. ``action`` is None when it was deleted,
    ``waiting_module`` the name of one that holds all scheduled actions up,
    ``neutralized`` whether Odoo calls it a harmless copy."""

    plans: tuple[Plan, ...] = ()
    open_runs: tuple[OpenRun, ...] = ()
    action: Action | None = None
    action_ran: datetime | None = None
    waiting_module: str = ""
    pause: Pause | None = None
    neutralized: bool = False

    @property
    def is_resting(self) -> bool:
        """Whether this is a neutralized copy whose action is off, as neutralizing
        leaves it: nobody expects backups of it."""
        return self.neutralized and not (self.action and self.action.active)


@contextlib.contextmanager
def asking(connection: Connection, code: str, writes: bool = False) -> Iterator[Any]:
    """Yield a cursor of a database with this addon in the version ``code``, that waits
    for nothing for long. Unless it ``writes``, and commits, it reads only. Raise
    EngineError: NotAnOdooDatabase, AddonMissing, NotUpgraded, CodeTooOld, NotOpened,
    NoAnswer, TablesUnreadable."""
    with _asking_odoo(connection, writes) as cr:
        require_version(cr, connection.database, code)
        yield cr


@contextlib.contextmanager
def _asking_odoo(connection: Connection, writes: bool = False) -> Iterator[Any]:
    name = connection.database
    limits = (
        f"-c statement_timeout={1000 * SECONDS} -c lock_timeout={1000 * LOCK_SECONDS}"
        f" -c default_transaction_read_only={'off' if writes else 'on'}"
    )
    params = {**connection.params, "options": limits, "connect_timeout": SECONDS}
    try:
        session = replace(connection, params=params).connect(patience=SECONDS)
    except ServerUnreachable as error:
        reason = words_of_server(error.log) or str(error.message)
        raise NotOpened(database=name, reason=reason, log=error.log) from error
    with contextlib.closing(session), session.cursor() as cr:
        try:
            cr.execute(IS_ODOO)
            if not cr.fetchone()[0]:
                raise NotAnOdooDatabase(database=name)
            yield cr
            session.commit()
        except psycopg2.Error as error:
            raise _explained(error, name) from error


def read_facts(connection: Connection, code: str) -> Facts:
    """Return what a database says about its backups. Raise as ``asking``."""
    with asking(connection, code) as cr:
        return status_facts(cr, datetime.now(timezone.utc))


def read_copies(connection: Connection, code: str) -> list[dict[str, Any]]:
    """Return what a database knows to be stored, the newest first. Raise as
    ``asking``."""
    with asking(connection, code) as cr:
        cr.execute(COPIES)
        names = [column[0] for column in cr.description]
        return [dict(zip(names, row, strict=True)) for row in cr.fetchall()]


def status_facts(cr: Any, now: datetime) -> Facts:
    """Return the same by a cursor. Raise psycopg2.Error."""
    cr.execute(WAITING_MODULE)
    module = cr.fetchone()
    cr.execute(PARAMETERS, [["database.uuid", PARAMETER, NEUTRALIZED]])
    params = dict(cr.fetchall())
    action, ran = _action(cr)
    return Facts(
        plans=_plans(cr, params.get("database.uuid") or "", now),
        open_runs=open_runs(cr),
        action=action,
        action_ran=ran,
        waiting_module=module[0] if module else "",
        pause=read_pause(params.get(PARAMETER), now),
        neutralized=bool(params.get(NEUTRALIZED)),
    )


def require_installable(connection: Connection, series: str) -> None:
    """Raise OtherRelease when a database is of another release of Odoo than ``series``,
    ModuleWaits when an installation would carry out what waits there; and as
    ``asking``."""
    with _asking_odoo(connection) as cr:
        cr.execute(SERIES)
        (version,) = cr.fetchone() or ("",)
        if not f"{version}.".startswith(f"{series}."):
            name, found = connection.database, version or "?"
            raise OtherRelease(database=name, found=found, series=series)
        cr.execute(WAITING_MODULE)
        if module := cr.fetchone():
            raise module_waits(connection.database, module[0])


def module_waits(database: str, module: str) -> ModuleWaits:
    """Return what is wrong with a database while one of its modules waits."""
    command = f"odoo -u base -d {shlex.quote(database)} --stop-after-init"
    return ModuleWaits(module=module, command=command)


def _explained(error: psycopg2.Error, database: str) -> EngineError:
    if error.pgcode in NO_ANSWER or isinstance(error, psycopg2.OperationalError):
        return NoAnswer(database=database, seconds=SECONDS, log=str(error))
    reason = str(error).strip().partition("\n")[0]
    return TablesUnreadable(database=database, reason=reason, log=str(error))


def _plans(cr: Any, uuid: str, moment: datetime) -> tuple[Plan, ...]:
    now = moment.replace(tzinfo=None)  # as Odoo stores it
    moments = {
        "latest": now + CLOCK_TOLERANCE,
        "seen": now - timedelta(days=SEEN_DAYS),
        "tomorrow": now + timedelta(days=1),
        "uuid": uuid,
    }
    cr.execute(RUNS, moments)
    runs: dict[int, dict[str, Any]] = {}
    for plan, state, *rest in cr.fetchall():
        runs.setdefault(plan, {})[state] = rest
    cr.execute(GOOD, moments)
    goods = {plan: (complete, size) for plan, complete, size in cr.fetchall()}
    cr.execute(PLANS)
    return tuple(
        _plan(row, runs.get(row[0], {}), goods.get(row[0], (None, None)))
        for row in cr.fetchall()
    )


def _plan(row: Any, runs: Mapping[str, Any], good: Any) -> Plan:
    number, name, active, frequency, hours, since, next_run, tested = row
    complete, size = good
    # of two that ended in one second, the later one counts
    ended = {s: run[:2] for s, run in runs.items() if s not in OPEN_STATES and run[0]}
    newest = max(ended, key=lambda state: ended[state], default="")
    last = newest if newest != "success" else ""
    error, code, hint = runs[last][2:] if last else ("", "", "")
    promise = PlanFacts(
        promise=timedelta(hours=hours if active else 0),
        promised_since=_aware(since),
        last_good=_aware(complete),
        last_state=last,
        last_error=error or "",
        open_state=next((state for state in OPEN_STATES if state in runs), ""),
        gone="success" in ended and not complete,
    )
    return Plan(
        id=number,
        name=name,
        active=bool(active),
        frequency=frequency,
        promise=promise,
        size=None if size is None else int(size),
        next_run=_aware(next_run),
        tested_at=_aware(tested),
        last_code=code or "",
        last_hint=hint or "",
    )


def open_runs(cr: Any) -> tuple[OpenRun, ...]:
    cr.execute(OPEN)
    return tuple(
        OpenRun(name, kind, state, _aware(since), step, uuid, why or "", code or "")
        for uuid, name, kind, state, since, why, code, step in cr.fetchall()
    )


def _action(cr: Any) -> tuple[Action | None, datetime | None]:
    cr.execute(ACTION)
    found = cr.fetchone()
    if not found:
        return None, None
    active, next_call, ran, number, unit, failures, failing_since = found
    action = Action(
        active=active,
        next_call=next_call.replace(tzinfo=timezone.utc),
        interval=number * INTERVALS[unit],
        failures=failures,
        failing_since=_aware(failing_since),
    )
    return action, _aware(ran)


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=timezone.utc) if moment else None
