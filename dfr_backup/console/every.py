"""The same command for several databases: run, list and doctor."""

import contextlib
import json
import sys
import time
from dataclasses import dataclass

import psycopg2

from odoo.exceptions import UserError
from odoo.modules.registry import Registry
from odoo.sql_db import close_db

from .. import odoo_config, run_queue
from ..engine.errors import EngineError, RetryableError
from ..engine.errors.runs import SwitchedOff
from ..engine.errors.server import RunFailed, RunRefused
from ..engine.messages import Size
from ..engine.postgres.sessions import require_sessions
from ..engine.status.facts import asking, module_waits, read_copies, status_facts
from ..engine.status.verdict import status_of
from ..models.job import turn
from . import doctor, runs, several, worker
from .archives import explained
from .report import ALL, SOME, Row, as_json, passed_over, told

APPLICATION = "dfr_backup all"
POLL_INTERVAL = 2.0  # seconds between two looks at the runs
SUPERVISE = 30.0  # seconds; Odoo's scheduled actions may not run
ENDED = """
    SELECT state, error, error_code, duration,
           archive_size + coalesce(packed_size, 0)
      FROM backup_job WHERE id = %s AND state NOT IN ('pending', 'running')
"""
FAILED = 1
HINT = "Look at it: odoo backup doctor -d DATABASE, which asks the storages, too."


@dataclass(frozen=True)
class Started:
    """A run that was requested, and whether it waits for its turn."""

    id: int
    name: str
    uuid: str
    waits: bool


@explained
def run(options):
    """Let each database run a plan, each when its turn comes, and follow them. Whoever
    ends this command ends no run."""
    if not odoo_config.is_enabled():
        raise SwitchedOff
    if options.here:
        odoo_config.be_right_server()
    statuses = several.looked(options, APPLICATION)
    counter = several.Counter(len(statuses), options)
    rows, started = [], {}
    for status in statuses:
        counter.advance(status.database)
        found = _begun(status, options)
        if isinstance(found, Row):
            rows.append(found)
        elif found.waits and options.no_wait:
            rows.append(Row(status.database, "waiting", cells=(found.name,)))
        else:
            started[status.database] = found
        counter.advance()
    counter.end()
    if started and not odoo_config.starts_runs():
        print("A worker starts them: odoo backup worker", file=sys.stderr)
    rows += _followed(started, options)
    rows.sort(key=lambda row: row.database)
    return told(rows, options, ("RUN", "SECONDS", "SIZE"), _exit_status(rows))


def _begun(status, options):
    """Request the run of a database; return it, or the row that says why not."""
    if status.facts is None:
        return passed_over(status)
    if status.facts.waiting_module:
        problem = module_waits(status.database, status.facts.waiting_module)
        return Row(status.database, "blocked", problem)
    try:
        return _requested(status.database, options)
    except EngineError as error:
        return Row(status.database, "refused", error)
    finally:
        Registry.delete(status.database)
        close_db(status.database)


def _requested(database, options):
    try:
        with runs.environment(database) as env:
            runs.require_startable(env)
            job_id = runs.request(env, options).id
        with runs.environment(database) as env:
            job = env["backup.job"].browse(job_id)
            return Started(job.id, job.name, job.uuid, turn.has_to_wait(job))
    except (UserError, psycopg2.OperationalError) as error:
        if isinstance(error.__cause__, EngineError):
            raise error.__cause__ from error
        raise RunRefused(reason=str(error).strip()) from error


def _followed(started, options):
    """Yield a row for each run, once it has ended."""
    troubles, known, left = {}, {}, dict(started)
    counter, looked = several.Counter(len(left), options), time.monotonic()
    while left:
        for database, one in list(left.items()):
            if run_queue.is_waiting(database, one.uuid):
                continue
            if row := _ended(database, one):
                del left[database]
                counter.advance()
                yield row
        if odoo_config.starts_runs() and time.monotonic() > looked + SUPERVISE:
            looked = time.monotonic()
            for database in left:
                worker.look(database, troubles, known)
            run_queue.start_next()
        counter.tick()
        if left:
            time.sleep(POLL_INTERVAL)
    counter.end()


def _ended(database, one):
    """Return what became of a run, None while it goes on, or while its database does
    not answer: it is asked again, unless it is gone."""
    connection = odoo_config.connection(database, APPLICATION)
    try:
        with asking(connection, odoo_config.CODE_VERSION) as cr:
            cr.execute(ENDED, [one.id])
            found = cr.fetchone()
    except EngineError as error:
        if isinstance(error, RetryableError) and several.exists(database, APPLICATION):
            return None
        return Row(database, "failure", error, (one.name,))
    if not found:
        return None
    state, error, code, seconds, size = found
    problem = None
    if state != "success":
        problem = RunFailed(run=one.name, reason=error or state)
        problem.code = code or problem.code
    facts = {"run": one.name, "seconds": seconds, "size": int(size or 0)}
    cells = (one.name, f"{seconds or 0:.0f}", str(Size(int(size or 0))))
    return Row(database, state, problem, cells, facts=facts)


def _exit_status(rows):
    states = {row.state for row in rows}
    if states & {"failure", "cancelled", "refused"}:
        return FAILED
    if any(row.problem and not row.is_ignored for row in rows):
        return SOME
    return runs.WAITS if "waiting" in states else ALL


@several.naming
@explained
def listing(options):
    """List what each database knows to be stored, the newest first."""

    def work(name):
        connection = odoo_config.connection(name, APPLICATION)
        copies = read_copies(connection, odoo_config.CODE_VERSION)
        for copy in copies:
            copy.update(date=f"{copy['date']} UTC", size=int(copy["size"] or 0))
        lines = [
            f"{copy['date']}  {copy['size']:>14,}  {copy['state']:<9} "
            f"{copy['storage']}  {copy['key']}"
            for copy in copies
        ]
        state = "listed" if copies else "empty"
        facts = {"copies": copies}
        return Row(name, state, None, (str(len(copies)),), tuple(lines), facts)

    return told(several.each(options, APPLICATION, work), options, ("COPIES",))


# === DOCTOR === #

# a failed test, unless a use has begun since: what ``storage.health`` says, in SQL
STORAGES = """
    SELECT s.name AS storage, s.last_test_error AS problem,
           s.last_test_error_code AS error_code
      FROM backup_storage s
      LEFT JOIN LATERAL (
            SELECT date_start FROM backup_step
             WHERE storage_id = s.id AND kind IN ('upload', 'verify')
               AND state IN ('success', 'warning', 'failure')
             ORDER BY id DESC LIMIT 1
           ) AS used ON true
     WHERE s.active AND coalesce(s.last_test_error, '') <> ''
       AND (used.date_start IS NULL OR s.last_test > used.date_start)
     ORDER BY s.name
"""


@several.naming
@explained
def examine(options):
    """Look for what would make backups fail: on the server, and in what each database
    says in SQL. Return 1 when something would."""
    enabled, code = odoo_config.is_enabled(), odoo_config.CODE_VERSION

    def work(name):
        with asking(odoo_config.connection(name, APPLICATION), code) as cr:
            facts = status_facts(cr, several.now())
            cr.execute(STORAGES)
            names = [column[0] for column in cr.description]
            tests = [dict(zip(names, found, strict=True)) for found in cr.fetchall()]
            sessions = require_sessions(cr) or "not limited"
        status = status_of(name, facts, several.now(), enabled)
        told = {"sessions": sessions, "storages": tests}
        return Row(name, status.state, status.problem, facts=told)

    every = several.each(options, APPLICATION, work)
    rows = [row for row in every if not row.is_ignored]
    server = odoo_config.connection("postgres", APPLICATION)
    with contextlib.closing(server.connect()) as session, session.cursor() as cr:
        found = doctor.checked(cr)
    lines = [*found, *(line for row in rows for line in _lines(row))]
    level = int(not all(line["ok"] for line in lines))
    if options.json:
        databases = list(map(as_json, rows))
        whole = {"status": level, "checks": found, "databases": databases}
        print(json.dumps(whole, indent=2))
    else:
        doctor.show(lines)
    return level


def _lines(row):
    """Return what was found of a database as doctor's rows."""
    if row.problem:
        yield doctor.failed(row.database, row.problem)
    else:
        yield doctor.row(row.database, True, row.state)
    for test in row.facts.get("storages", ()):
        what = f"{row.database}: Storage “{test['storage']}”"
        yield doctor.row(what, False, test["problem"], HINT, test["error_code"])
