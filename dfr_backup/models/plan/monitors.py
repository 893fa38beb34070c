"""The monitors elsewhere that a plan tells how its runs go."""

import logging
from functools import partial

from ... import odoo_config, runner
from ...engine.concurrency.background import in_thread
from ...engine.errors import EngineError
from ...engine.monitoring.ping import healthchecks, send_all, uptime_kuma, webhook
from ..moments import as_iso

_logger = logging.getLogger(__name__)

MONITORS = {"ping_url": healthchecks, "push_url": uptime_kuma, "webhook_url": webhook}
END_PATIENCE = 40.0  # seconds


def pings_of(plan, event, summary, names=tuple(MONITORS)):
    """Return the requests to make to those monitors that the plan has. Raise
    EngineError when an address cannot be read."""
    made = [
        MONITORS[name](url, event, summary)
        for name in names
        if (url := plan.sudo()._read_secret(name))
    ]
    return [ping for ping in made if ping]


def ping_overdue(plan):
    """Tell the webhook that ``plan`` is overdue; other monitors notice by
    themselves."""
    summary = {
        "database": plan.env.cr.dbname,
        "plan": plan.name,
        "error": plan.overdue_reason,
        "hint": plan.overdue_remedy or None,
        "error_code": None,
        "last_good": as_iso(plan.last_success),
    }
    try:
        pings = pings_of(plan, "overdue", summary, ["webhook_url"])
    except EngineError as error:  # the mail and the activity must not go with it
        _logger.warning("Plan %s: %s", plan.name, error.message)
        return
    if pings and not plan.env["backup.identity"]._objection():
        ping_after_commit(plan, pings)


def ping_after_commit(plan, pings):
    """Tell monitors of ``plan`` once the transaction is committed, in a thread: nobody
    here may wait for them, nor for its storages, where a look goes before."""
    send = partial(_look_and_send, plan.env.registry, plan.id, pings)
    plan.env.cr.postcommit.add(lambda: in_thread(send, "dfr_backup pings"))


def _look_and_send(registry, plan_id, pings):
    with runner.committing_environment(registry) as env:
        storages = env["backup.plan"].browse(plan_id).exists().storage_ids
        objection = env["backup.identity"]._objection_after_a_look(storages)
    if objection:
        _logger.warning("No monitor was told: %s", objection.in_full)
    else:
        send_and_log(pings)


def send_and_log(pings):
    for problem in send_all(pings, END_PATIENCE, outbound=odoo_config.outbound_rules()):
        _logger.warning("%s", problem.in_full)
