"""Who is told how a run goes. Nothing here may hurt a run: what goes wrong is written
down."""

import logging
from datetime import timedelta

from odoo import fields

from ... import odoo_config, runner
from ...engine.errors import EngineError
from ...engine.messages import Message
from ...engine.monitoring.ping import send_all
from ...engine.policy.alarms import (
    Alarms,
    EndedRun,
    MailWishes,
    after_run,
    has_recovered,
    is_worth_a_mail,
)
from ...runs import words
from ..engine_messages import stored_text
from ..locks import try_lock
from ..plan import monitors
from ..plan.chats import chat_messages, say_after_commit
from ..plan.mails import make_mails, queue
from ..server_alerts import tell_operator
from ..states import BAD_STATES, OPEN_STATES
from .in_words import compose_mail, summary_for_monitors, summary_line
from .sizes import is_shrinking_news

_logger = logging.getLogger(__name__)

START_PATIENCE = 10.0  # seconds that a run waits for monitors before it begins
ANNOUNCE_PATIENCE = timedelta(minutes=2)


def announce_start(job):
    """Tell the monitors that a run begins, unless it goes on."""
    if job.attempt <= 1 and job._may_speak():
        with job.plan_id._harmless():
            ping(job, "started", START_PATIENCE, attempts=1)


def announce_forgotten(jobs):
    """Tell how those runs ended whose runner died, or was killed, before it could."""
    now = fields.Datetime.now()
    for job in _unannounced(jobs):
        # a run of the future has ended under a clock that was ahead
        waits = now - ANNOUNCE_PATIENCE <= job.date_end <= now + ANNOUNCE_PATIENCE
        if not waits and not job._is_alive() and try_lock(job):
            announce(job)


def announce_withheld(jobs):
    """Tell what a snooze has held back, once it is over: of the runs of a kind that
    did not end well only the newest, and none when all is well again."""
    told = set()
    for job in jobs.search([("withheld", "=", True)], order="id desc"):
        if not job.plan_id._is_snoozed() and try_lock(job):
            job.withheld = False
            if job._may_speak() and not _is_outdated(job, told):
                _tell_people(job, job.plan_id.sudo())


def _tell_people(job, plan):
    with plan._harmless():
        _update_attention(job, False)
    if is_worth_a_mail(_ended(job), False, _wishes_of(plan)):
        with plan._harmless():
            queue(
                job.env, make_mails(plan, lambda plan: compose_mail(job, plan, False))
            )
        with plan._harmless():
            _say_in_chat(job, lambda plan: compose_mail(job, plan, False))


def _is_alarming(job):
    """Tell whether a run has found something wrong: what it has found only once would
    never be told again."""
    return job.state in BAD_STATES or is_shrinking_news(job) or _found_damage(job)


def _is_outdated(job, told):
    """Tell whether a bad run says nothing new: a later one of its kind was good, or is
    among those that were ``told``."""
    if job.state not in BAD_STATES:
        return False
    kind = (job.plan_id, job.kind)
    is_old = kind in told or job.kind not in (job.plan_id.sudo().alarm_kinds or ())
    told.add(kind)
    return is_old


def due_moments(jobs):
    """Return when somebody has to be told about runs that have ended."""
    return [job.date_end + ANNOUNCE_PATIENCE for job in _unannounced(jobs)]


def _unannounced(jobs):
    closed = [("to_announce", "=", True), ("state", "not in", OPEN_STATES)]
    return jobs.search([*closed, ("date_end", "!=", False)])


def announce(job):
    """Tell everybody who wants to know how a run ended."""
    plan = job.plan_id.sudo()
    recovered, mails = False, job.env["mail.mail"].sudo()
    is_told = withheld = False
    with plan._harmless():
        recovered = _note_alarms(job, _ended(job))
    with plan._harmless():
        _update_attention(job, recovered)
    with plan._harmless():
        wanted = is_worth_a_mail(_ended(job), recovered, _wishes_of(plan))
        is_snoozed = plan._is_snoozed()
        is_told = wanted and not is_snoozed
        withheld = is_snoozed and _is_alarming(job)
        if is_told:
            mails = make_mails(plan, lambda plan: compose_mail(job, plan, recovered))
    with plan._harmless():
        if job.state in BAD_STATES or recovered or _found_damage(job):
            tell_operator(plan, lambda plan: compose_mail(job, plan, recovered))
    with plan._harmless():
        # from here on the mails are queued
        job._persist(job, {"to_announce": False, "withheld": withheld})
    with plan._harmless():
        ping(job, job.state, monitors.END_PATIENCE)
    with plan._harmless():
        if is_told:
            _say_in_chat(job, lambda plan: compose_mail(job, plan, recovered))
    with plan._harmless():
        _deliver(job, mails)


def _say_in_chat(job, compose):
    try:
        messages = chat_messages(job.plan_id, compose)
    except EngineError as error:
        _note(job, error.message)
        return
    if runner.is_runner(job.env):
        _ping_now(job, messages, monitors.END_PATIENCE, attempts=3)
    else:
        say_after_commit(job.plan_id, messages)


def _ended(job):
    keeps_promise = job._run().keeps_promise
    smaller, damage = is_shrinking_news(job), _found_damage(job)
    return EndedRun(job.kind, job.state, keeps_promise, smaller, damage)


def _found_damage(job):
    return bool(job.bad_packs or job.unread_packs)


def _wishes_of(plan):
    return MailWishes(plan.alert_failure, plan.alert_recovery, plan.alert_success)


def _note_alarms(job, run):
    """Open or close the alarm of this kind of run; tell whether this run closed it."""
    plan = job.plan_id.sudo()
    kinds = frozenset(plan.alarm_kinds or ())
    before = Alarms(kinds, bool(plan.overdue_told_at))
    after = after_run(run, before)
    values = {}
    if after.kinds != before.kinds:
        values["alarm_kinds"] = sorted(after.kinds)
    if after.is_overdue != before.is_overdue:
        values |= {"overdue_told_at": False, "overdue_reported_at": False}
    if values:
        job._persist(plan, values)
    return has_recovered(run, before)


def _update_attention(job, recovered):
    plan = job.plan_id.sudo()
    if job.state in BAD_STATES:
        if plan._is_snoozed():
            return
        note = stored_text(job, "error")
        plan._ask_attention(job.kind, lambda plan: summary_line(job, plan), note=note)
    elif recovered:
        plan._close_attention(job.kind, job.env._("%s succeeded.", job.name))


def _deliver(job, mails):
    """Send at once from the runner, which has the time for it. Leave the mails to
    Odoo's queue elsewhere, and those that could not be sent: it tries them once
    more."""
    if not runner.is_runner(job.env):
        queue(job.env, mails)
        return
    mails.send(auto_commit=True)
    unsent = mails.exists().filtered(lambda mail: mail.state == "exception")
    for mail in unsent:
        reason = mail.failure_reason or ""
        _note(job, Message(words.MAIL_NOT_SENT, recipient=mail.email_to, reason=reason))
    unsent.write({"state": "outgoing"})


def ping(job, event, patience, attempts=3):
    """Tell the monitors of the plan about a backup.

    The runner waits for them, for ``patience`` seconds at most. In an Odoo worker
    nobody may wait, and they are told when the transaction has been committed.
    """
    if not job._run().tells_monitors:
        return
    try:
        pings = monitors.pings_of(job.plan_id, event, summary_for_monitors(job))
    except EngineError as error:
        _note(job, error.message)
        return
    objection = pings and _objection_to_pings(job)
    if objection:
        if event != "started":  # once is enough
            _note(job, Message(words.NOT_PINGED, problem=objection.in_full))
    elif runner.is_runner(job.env):
        _ping_now(job, pings, patience, attempts)
    elif pings:
        monitors.ping_after_commit(job.plan_id, pings)


def _ping_now(job, pings, patience, attempts):
    job.env.cr.commit()  # pylint: disable=invalid-commit  # do not wait in a transaction
    outbound = odoo_config.outbound_rules()
    for problem in send_all(pings, patience, attempts, outbound):
        _note(job, problem.in_full)


def _objection_to_pings(job):
    """Return why nobody is pinged. What is deleted is not all that a look goes before:
    some storages are never cleaned up, and a run begins with a ping."""
    identities = job.env["backup.identity"]
    if not runner.is_runner(job.env):  # the look comes after the commit
        return identities._objection()
    job.env.cr.commit()  # pylint: disable=invalid-commit  # as above
    # a run's last step looks where it deletes: nothing of it was stored since
    begun = job.step_ids[-1:].date_start
    return identities._objection_after_a_look(job.plan_id.storage_ids, begun)


def _note(job, line):
    """Write down what could not be told, where people look: in the log of the last
    step."""
    _logger.warning("Backup %s: %s", job.name, line)
    closed = job.step_ids.filtered(lambda step: step._is_closed())
    step = closed[-1:] or job.step_ids[:1]
    if step:
        step._note(line)
