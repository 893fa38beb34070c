"""What the scheduler does for staging copies: it looks at them once a day, announces
their end, and deletes them when it has come."""

import logging
from datetime import timedelta

from odoo import fields

from ...compat import commit_of_cron
from ...engine.errors import EngineError
from ..engine_messages import error_columns
from . import looking, mails
from .states import ANNOUNCED_BEFORE, GRACE

_logger = logging.getLogger(__name__)

LOOK_AGAIN = timedelta(days=1)


def do_due(env):
    """Look at the staging copies of this database, and delete those whose time has
    come."""
    known = env["backup.staging"].sudo().search([("state", "!=", "deleted")])
    own = known.filtered(looking.is_own)
    if not own:
        return
    with env["backup.plan"]._harmless():
        looking.clean_up()
    for staging in own:
        with env["backup.plan"]._harmless():
            if _is_to_be_looked_at(staging):
                staging._settle()
            if _is_to_be_announced(staging):
                _announce(staging)
    for staging in own.filtered(_is_to_be_deleted):
        if _delete(staging):
            commit_of_cron(env)  # what was dropped does not come back


def _is_to_be_looked_at(staging):
    now = fields.Datetime.now()
    last = staging.looked_at
    # what was looked at in the future was so under a clock that was ahead
    return staging.state == "making" or not last or not now - LOOK_AGAIN < last <= now


def _is_announced(staging):
    return staging.announced_at and staging.announced_at <= fields.Datetime.now()


def _is_to_be_announced(staging):
    soon = fields.Datetime.now() + ANNOUNCED_BEFORE
    is_soon = staging.delete_on and staging.delete_on <= soon
    return staging.state == "ready" and is_soon and not _is_announced(staging)


def _announce(staging):
    staging.announced_at = fields.Datetime.now()
    mails.tell(staging)


def _is_to_be_deleted(staging):
    now = fields.Datetime.now()
    is_due = staging.state == "ready" and staging.delete_on and staging.delete_on <= now
    return is_due and _is_announced(staging) and staging.announced_at <= now - GRACE


def _delete(staging):
    """Delete a copy; tell whether that was done. One that is no harmless copy any more
    is left alone."""
    try:
        looking.delete(staging)
    except EngineError as error:
        _logger.warning("Staging copy %s: %s", staging.database, error.in_full)
        staging.write({**looking.found(staging, 0), **error_columns(error)})
        return False
    days = f"{staging.keep_days} days"
    staging.env["backup.audit"]._note("staging", staging, staging._in_words(), days)
    _logger.info("Staging copy %s was deleted: its time has come", staging.database)
    return True
