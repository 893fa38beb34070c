"""Whether this database is a neutralized copy, which backs nothing up."""

from ..engine.status.facts import NEUTRALIZED


def is_neutralized(env):
    """Tell whether Odoo has neutralized this database, as a harmless copy."""
    return bool(env["ir.config_parameter"].sudo().get_param(NEUTRALIZED))


def is_resting(env):
    """Tell whether this is a neutralized copy whose scheduled action is off, as
    neutralizing leaves it: nobody expects backups of it. Whoever switches the action
    on again does."""
    return is_neutralized(env) and not env["backup.scheduler"]._cron().active
