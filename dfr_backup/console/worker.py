"""A process in the foreground that starts what waits, for a container or a service with
limits of its own. What is to be done with a run, the models decide as for Odoo."""

import contextlib
import logging
import signal

from odoo.modules.registry import Registry
from odoo.service.db import list_dbs
from odoo.sql_db import close_db

from .. import odoo_config, run_queue, runner
from ..compat import named_databases
from ..engine.errors import EngineError
from ..engine.errors.runs import SwitchedOff
from ..engine.postgres.installed import require_version
from .runs import environment

_logger = logging.getLogger(__name__)

POLL_INTERVAL = 5.0  # seconds between two looks at all databases
GRACE = 10.0  # seconds for runners to end
STOP = (signal.SIGTERM, signal.SIGINT)
OPEN = """
    SELECT id, uuid FROM backup_job WHERE state IN ('pending', 'running') ORDER BY id
"""
HAS_RUNS = "SELECT to_regclass('backup_job') IS NOT NULL"


def worker(_options):
    """Start the runs that wait, until a signal comes; then end those that were started
    here. They go on when a worker is back."""
    if not odoo_config.is_enabled():
        raise SwitchedOff
    odoo_config.be_worker()
    # blocked, a signal waits for sigtimedwait: nothing is half done when it is heard
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    _logger.info("Waiting for runs")
    troubles, known = {}, {}
    try:
        while not signal.sigtimedwait(STOP, POLL_INTERVAL):
            for database in _databases(troubles):
                look(database, troubles, known)
            run_queue.start_next()
    finally:
        _logger.info("Stopping")
        runner.end_started(GRACE)
    return 0


def _databases(troubles):
    """Return the names of the databases to look at: none while PostgreSQL is away."""
    with _named_once(troubles, "postgres"):
        return named_databases() or list_dbs(force=True)
    return []


def look(database, troubles, known):
    """Start what waits in a database, or let it wait for its turn. ``known`` is up to
    which run each database was looked after: one that waits for others of this server
    need not be asked again."""
    with _named_once(troubles, database):
        runs = _open_runs(database)
        newest = max(runs, default=0)
        waiting = [
            uuid for uuid in runs.values() if run_queue.still_waits(database, uuid)
        ]
        if runs and not (waiting and known.get(database) == newest):
            _supervise(database)
            known[database] = newest


@contextlib.contextmanager
def _named_once(troubles, database):
    """Say once that a database cannot be looked at: it ends no run of another."""
    try:
        yield
        troubles.pop(database, None)
    except Exception as error:
        is_known = isinstance(error, EngineError)
        trouble = str(error.in_full) if is_known else str(error)
        if troubles.get(database) != trouble:
            _logger.warning("Database %s: %s", database, trouble, exc_info=not is_known)
        troubles[database] = trouble


def _open_runs(database):
    """Return the runs that are open where one of them waits for a process, their uuids
    by their numbers. Ask in SQL: loading Odoo for each database would cost memory for
    nothing."""
    connection = odoo_config.connection(database, "dfr_backup worker").connect()
    with contextlib.closing(connection), connection.cursor() as cr:
        cr.execute(HAS_RUNS)
        if not cr.fetchone()[0]:
            return {}
        require_version(cr, database, odoo_config.CODE_VERSION)
        if not runner.untaken_since(cr):
            return {}
        if other := runner.other_server(cr, database):
            raise other
        cr.execute(OPEN)
        return dict(cr.fetchall())


def _supervise(database):
    try:
        with environment(database) as env:
            env["backup.job"]._supervise()
    finally:
        Registry.delete(database)
        close_db(database)
