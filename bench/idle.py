"""What an idle database costs: the processor time of one call of the scheduled action,
Odoo's and PostgreSQL's, and what 200 such databases take of one core.

    python -m bench.idle DATABASE
"""

import argparse
import contextlib
import os
import time
from pathlib import Path

from odoo import SUPERUSER_ID, api
from odoo.modules.registry import Registry
from odoo.tools import config

from odoo.addons.base.models.ir_cron import IrCron

CALLS = 100
DATABASES = 200
DAY = 86_400  # seconds
TICK = os.sysconf("SC_CLK_TCK")
OURS = "SELECT res_id FROM ir_model_data WHERE name = 'ir_cron_supervise'"
DUE = f"UPDATE ir_cron SET nextcall = now() AT TIME ZONE 'UTC' WHERE id = ({OURS})"
OTHERS = (
    "UPDATE ir_cron SET nextcall = now() AT TIME ZONE 'UTC' + interval '1 day'"
    f" WHERE id <> ({OURS})"
)
SESSIONS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"


def main():
    parser = argparse.ArgumentParser(prog="bench.idle", description=__doc__)
    parser.add_argument("database")
    database = parser.parse_args().database
    config.parse_config(["-d", database, "--no-http"], setup_logging=False)
    asked(database, OTHERS)
    asked(database, DUE)
    IrCron._process_jobs(database)  # loads the registry, and does what is due
    asked(database, DUE)
    before = spent(database)
    for _call in range(CALLS):
        IrCron._process_jobs(database)
        asked(database, DUE)
    call = (spent(database) - before) / CALLS
    calls = DAY / interval(database)
    share = call * calls * DATABASES / DAY
    print(f"{call * 1000:.1f} ms for one call, {calls:.0f} calls a day")
    print(f"{DATABASES} databases: {share:.2%} of one core")


def asked(database, query):
    with Registry(database).cursor() as cr:
        cr.execute(query)
        return cr.fetchall() if cr.description else []


def interval(database):
    """Return the seconds between two calls in which nothing is due."""
    with Registry(database).cursor() as cr:
        env = api.Environment(cr, SUPERUSER_ID, {})
        return env["backup.scheduler"]._action().interval.total_seconds()


def spent(database):
    """Return the seconds of processor time of this process, and of its sessions."""
    sessions = sum(_seconds(pid) for (pid,) in asked(database, SESSIONS))
    return time.process_time() + sessions


def _seconds(pid):
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK
    return 0.0


if __name__ == "__main__":
    main()
