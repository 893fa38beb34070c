"""A process in the foreground that starts what waits, for a container or a service with
limits of its own. What is to be done with a run, the models decide as for Odoo."""

import contextlib
import logging
import signal

from odoo.modules.registry import Registry
from odoo.service.db import list_dbs
from odoo.sql_db import close_db
from odoo.tools import config

from .. import odoo_config, runner
from ..engine.errors.runs import SwitchedOff
from ..engine.postgres.installed import require_version
from .runs import environment

_logger = logging.getLogger(__name__)

POLL = 5.0  # seconds between two looks at all databases
GRACE = 10.0  # seconds for runners to end
STOP = (signal.SIGTERM, signal.SIGINT)
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
    troubles = {}
    try:
        while not signal.sigtimedwait(STOP, POLL):
            for database in _databases(troubles):
                _look(database, troubles)
    finally:
        _logger.info("Stopping")
        runner.end_started(GRACE)
    return 0


def _databases(troubles):
    """Return the names of the databases to look at: none while PostgreSQL is away."""
    with _named_once(troubles, "postgres"):
        return config["db_name"] or list_dbs(force=True)
    return []


def _look(database, troubles):
    """Start what waits in a database."""
    with _named_once(troubles, database):
        if _needs_process(database):
            _supervise(database)


@contextlib.contextmanager
def _named_once(troubles, database):
    """Say once that a database cannot be looked at: it ends no run of another."""
    try:
        yield
        troubles.pop(database, None)
    except Exception as error:
        trouble = str(error)
        if troubles.get(database) != trouble:
            _logger.warning("Database %s: %s", database, trouble, exc_info=True)
        troubles[database] = trouble


def _needs_process(database):
    """Ask in SQL: loading Odoo for each database would cost memory for nothing."""
    connection = odoo_config.connection(database, "dfr_backup worker").connect()
    with contextlib.closing(connection), connection.cursor() as cr:
        cr.execute(HAS_RUNS)
        if not cr.fetchone()[0]:
            return False
        require_version(cr, database, odoo_config.CODE_VERSION)
        if not runner.untaken_since(cr):
            return False
        if other := runner.other_server(cr, database):
            raise other
        return True


def _supervise(database):
    try:
        with environment(database) as env:
            env["backup.job"]._supervise()
    finally:
        Registry.delete(database)
        close_db(database)
