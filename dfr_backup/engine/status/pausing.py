"""The backups of a database are paused and resumed, without Odoo."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..postgres.connection import Connection
from .facts import OpenRun, asking, open_runs
from .pause import PARAMETER, Pause, read_pause

READ = "SELECT value FROM ir_config_parameter WHERE key = %(key)s FOR UPDATE"
WRITE = """
    INSERT INTO ir_config_parameter (key, value) VALUES (%(key)s, %(value)s)
        ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value
"""
DELETE = "DELETE FROM ir_config_parameter WHERE key = %(key)s"
# what was due meanwhile is begun, as after a time in which the server was down
WAKE = """
    INSERT INTO ir_cron_trigger (cron_id, call_at)
    SELECT res_id, now() AT TIME ZONE 'UTC' FROM ir_model_data
     WHERE module = 'dfr_backup' AND name = 'ir_cron_supervise'
"""


@dataclass(frozen=True)
class Change:
    """What was found: the pause that there was before, None without one, and the runs
    that go on."""

    before: Pause | None
    open_runs: tuple[OpenRun, ...] = ()


def pause(connection: Connection, code: str, wanted: Pause) -> Change:
    """Pause the backups of a database; a pause that there is already is replaced. Raise
    as ``asking``."""
    with asking(connection, code, writes=True) as cr:
        before = _present(cr, wanted.since)
        cr.execute(WRITE, {"key": PARAMETER, "value": wanted.to_text()})
        return Change(before, open_runs(cr))


def resume(connection: Connection, code: str, now: datetime) -> Change:
    """Let scheduled runs start again. Raise as ``asking``."""
    with asking(connection, code, writes=True) as cr:
        before = _present(cr, now)
        cr.execute(DELETE, {"key": PARAMETER})
        if cr.rowcount:
            cr.execute(WAKE)
        return Change(before)


def _present(cr: Any, now: datetime) -> Pause | None:
    cr.execute(READ, {"key": PARAMETER})
    found = cr.fetchone()
    return read_pause(found[0], now) if found else None
