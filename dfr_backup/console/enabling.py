"""Databases get this addon, a plan, and the storages that the profile gives them."""

import psycopg2

from odoo import release
from odoo.exceptions import UserError
from odoo.modules.registry import Registry
from odoo.sql_db import close_db

from .. import odoo_config
from ..engine.errors import EngineError
from ..engine.errors.server import NotEnabled, NothingPlanned
from ..engine.status.facts import require_installable
from ..models.plan.beginning import create_default
from ..models.server_profile import provision
from . import runs, several
from .archives import explained
from .report import Row, passed_over, told

APPLICATION = "dfr_backup enable"
ADDON = "dfr_backup"


@several.naming
@explained
def enable(options):
    """Let each database make backups: one that does so already is left as it is."""
    odoo_config.profile()  # what is wrong with it is said once, before anything is done
    statuses = several.looked(options, APPLICATION)
    counter = several.Counter(len(statuses), options)
    rows = []
    for status in statuses:
        counter.advance(status.database)
        rows.append(_enabled(status))
        counter.advance()
    counter.end()
    return told(rows, options)


def _enabled(status):
    is_new = status.state == "not_backed_up"
    if status.facts is None and not is_new:
        return passed_over(status)
    database = status.database
    try:
        connection = odoo_config.connection(database, APPLICATION)
        require_installable(connection, release.series)
        if is_new:
            _install(database)
        done = _provisioned(database)
    except EngineError as error:
        return Row(database, "refused", error)
    except (UserError, psycopg2.Error) as error:
        cause = error.__cause__
        if not isinstance(cause, EngineError):
            cause = NotEnabled(database=database, reason=str(error).strip())
        return Row(database, "refused", cause)
    finally:
        Registry.delete(database)
        close_db(database)
    state = "enabled" if is_new else "was_enabled"
    # as after a restore, which leaves the plans archived
    problem = None if done["plans"] else NothingPlanned()
    notes = (f"storages: {', '.join(done['storages'])}",)
    return Row(database, state, problem, notes=notes, facts=done)


def _install(database):
    """Let Odoo install the addon, as its button does."""
    with runs.environment(database) as env:
        modules = env["ir.module.module"]
        modules.update_list()
        modules.search([("name", "=", ADDON)]).button_immediate_install()


def _provisioned(database):
    """Give a database the storages of the profile, and a plan when it has never had
    one; return what it has."""
    with runs.environment(database) as env:
        provision(env)
        plans = env["backup.plan"].with_context(active_test=False)
        if not plans.search_count([], limit=1):
            create_default(plans)
        storages = env["backup.storage"].search([])
        return {
            "plans": env["backup.plan"].search([]).mapped("name"),
            "storages": storages.mapped("name"),
        }
