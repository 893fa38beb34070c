"""The storages that the profile of the server gives to each of its databases."""

import logging

from odoo.exceptions import UserError

from .. import odoo_config
from ..engine.errors import EngineError
from .engine_messages import translate_engine_errors

_logger = logging.getLogger(__name__)


def require_usable(env):
    """Raise UserError when the profile cannot be used by this database: before
    anything of it is."""
    with translate_engine_errors(env):
        for section in _sections(env):
            section.require_base()


def provision(env):
    """Create the storages of the profile that this database does not have yet; return
    those that it has. Raise EngineError or UserError."""
    found = env["backup.storage"].sudo().with_context(active_test=False)
    for section in _sections(env):
        name = section.name.upper()
        known = found.search([("external_name", "=", name)], limit=1)
        found |= known or found.create(
            {
                "name": section.title,
                "provider": section.kind.name,
                "external_name": name,
            }
        )
    return found.with_context(active_test=True)


def follow(env):
    """Let this database have what the profile says now. What is wrong is logged, and
    shown where people look; each use of such a storage says it."""
    try:
        with env.cr.savepoint():
            provision(env)
    except (EngineError, UserError) as error:
        _logger.warning("The server's profile: %s", error)
    storages = env["backup.storage"].sudo()
    for storage in storages.search([("in_profile", "=", True)]):
        try:
            with env.cr.savepoint():
                storage._adopt_operator_address()
        except (EngineError, UserError) as error:
            _logger.warning("Storage %s: %s", storage.name, error)


def _sections(env):
    profile = odoo_config.profile()
    return profile.storages_for(env.cr.dbname) if profile else []
