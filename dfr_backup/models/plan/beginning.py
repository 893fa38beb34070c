"""What a new plan begins with."""

import logging

from odoo import fields

from ... import odoo_config
from ...engine.errors import EngineError
from ...engine.policy.schedule import quiet_hours
from ..mixins.backup_retention_mixin import RULES
from ..server_profile import provision

_logger = logging.getLogger(__name__)


def profile_defaults(env, names):
    """Return the values of these fields that the profile gives to a new plan. One that
    cannot be read gives none."""
    try:
        profile = odoo_config.profile()
    except EngineError as error:
        _logger.warning("The server's profile: %s", error)
        return {}
    found = {**_given(profile.plan), **_storages(env)} if profile else {}
    return {name: value for name, value in found.items() if name in names}


def _given(plan):
    """Return the values of fields for what the profile says, and for nothing else."""
    known = {
        "frequency": plan.frequency,
        "weekday": plan.weekday is not None and str(plan.weekday),
        "monthday": plan.monthday,
        "tz": plan.timezone,
        "retention": plan.keep,
        "alert_emails": ", ".join(plan.recipients),
    }
    found = {name: value for name, value in known.items() if value}
    if plan.minute_of_day is not None:
        found["time"] = plan.minute_of_day / 60
    if plan.rules:
        found["retention"] = "custom"
        found |= {name: plan.rules[rule] for name, rule in RULES.items()}
    if plan.public_keys:
        found |= {"encryption": "recipients", "age_recipients": plan.public_keys}
    return found


def _storages(env):
    of_profile = env["backup.storage"].search([("in_profile", "=", True)])
    return {"storage_ids": [fields.Command.set(of_profile.ids)]} if of_profile else {}


def create_default(plans):
    """Create the plan and the storages that a new installation has."""
    env = plans.env
    admin = env.ref("base.user_admin", raise_if_not_found=False)
    if admin and admin.lang:  # an installation has no language of its own
        plans = plans.with_context(lang=admin.lang)
        env = plans.env
    values = profile_defaults(env, ["tz"]) or {
        "tz": (admin and admin.tz) or env.user.tz or "UTC"
    }
    if not provision(env):
        values["storage_ids"] = [fields.Command.set(_own_storage(env).ids)]
    return plans.create({"name": env._("Every night"), **values})


def _own_storage(env):
    uuid = env["backup.job"]._current_database_uuid()
    path = str(odoo_config.default_storage_path(env.cr.dbname, uuid))
    storages = env["backup.storage"].with_context(active_test=False)
    mine = [("provider", "=", "local"), ("local_path", "=", path)]
    archived = storages.search([*mine, ("active", "=", False)], limit=1)
    if archived:  # two storages cannot share one directory
        archived.active = True
        return archived
    return env["backup.storage"].create(
        {"name": env._("This server"), "provider": "local", "local_path": path}
    )


def quiet_time(env):
    """Return when the plans of this database begin unless somebody says otherwise."""
    return quiet_hours(env["backup.job"]._current_database_uuid() or "")
