"""Whether somebody has paused the backups of this database."""

from odoo import fields
from odoo.tools import SQL

from ..engine.status.pause import PARAMETER, read_pause
from .moments import from_odoo_datetime


def current_pause(env):
    """Return the pause of this database, None without one. The command writes it past
    Odoo, whose cache would know it too late."""
    query = SQL("SELECT value FROM ir_config_parameter WHERE key = %s", PARAMETER)
    found = env.execute_query(query)
    now = from_odoo_datetime(fields.Datetime.now())
    return read_pause(found[0][0], now) if found else None


def pause_problem(env):
    """Return what is wrong while backups are paused: an EngineError, or None."""
    pause = current_pause(env)
    return pause and pause.problem(env.cr.dbname)
