"""Who is told how a run goes. Nothing here may hurt a run: what goes wrong is
written down."""

import logging
import threading
from datetime import timedelta

from odoo import api, fields, models

from ... import odoo_config, runner
from ...engine.errors import EngineError
from ...engine.messages import Message
from ...engine.monitoring.ping import healthchecks, send_all, uptime_kuma, webhook
from ...runs import words
from ..engine_messages import displayed, stored_text
from ..locks import try_lock
from ..plan.mails import link_to, mail_facts, make_mails, queue
from ..states import OPEN_STATES

_logger = logging.getLogger(__name__)

MONITORS = {"ping_url": healthchecks, "push_url": uptime_kuma, "webhook_url": webhook}
START_PATIENCE = 10.0  # seconds that a run waits for monitors before it begins
END_PATIENCE = 40.0
ANNOUNCE_PATIENCE = timedelta(minutes=2)
BAD = ("failure", "partial")


class BackupJob(models.Model):
    _inherit = "backup.job"

    to_announce = fields.Boolean(
        copy=False, help="This run has ended, and nobody knows yet."
    )

    _to_announce_idx = models.Index("(id) WHERE to_announce")

    def _perform(self):
        if self.attempt <= 1 and self._may_speak():
            with self.plan_id._harmless():
                self._ping("started", START_PATIENCE, attempts=1)
        return super()._perform()

    def _close(self, state, error=None):
        self._persist(self, {"to_announce": self._may_speak()})
        result = super()._close(state, error)
        if self.to_announce:
            self._announce()
        return result

    @api.model
    def _announce_forgotten(self):
        """Tell how those runs ended whose runner died, or was killed, before it
        could."""
        now = fields.Datetime.now()
        for job in self._unannounced():
            # a run of the future has ended under a clock that was ahead
            waits = now - ANNOUNCE_PATIENCE <= job.date_end <= now + ANNOUNCE_PATIENCE
            if not waits and not job._is_alive() and try_lock(job):
                job._announce()

    @api.model
    def _unannounced(self):
        closed = [("to_announce", "=", True), ("state", "not in", OPEN_STATES)]
        return self.search([*closed, ("date_end", "!=", False)])

    @api.model
    def _due_moments(self):
        return [job.date_end + ANNOUNCE_PATIENCE for job in self._unannounced()]

    def _may_speak(self):
        """Tell whether this run is about a plan of this database, and not of its
        original."""
        return bool(self.plan_id) and self._is_own() and self.plan_id._may_speak()

    def _announce(self):
        """Tell everybody who wants to know how this run ended."""
        plan = self.plan_id.sudo()
        recovered, mails = False, self.env["mail.mail"].sudo()
        with plan._harmless():
            recovered = self._note_alarm()
        with plan._harmless():
            self._update_attention(recovered)
        with plan._harmless():
            if self._is_worth_a_mail(recovered):
                mails = make_mails(plan, lambda plan: self._compose(plan, recovered))
        with plan._harmless():
            self._persist(
                self, {"to_announce": False}
            )  # from here on the mails are queued
        with plan._harmless():
            self._ping(self.state, END_PATIENCE)
        with plan._harmless():
            self._deliver(mails)

    def _note_alarm(self):
        """Open or close the alarm of this kind of run; tell whether this run closed
        it."""
        plan, alarms = self.plan_id.sudo(), set(self.plan_id.sudo().alarm_kinds or [])
        if self.state in BAD:
            self._persist(plan, {"alarm_kinds": sorted({*alarms, self.kind})})
        overdue = self._run().keeps_promise and bool(plan.overdue_told_at)
        if self.state != "success" or not (overdue or {self.kind} & alarms):
            return False
        values = {"alarm_kinds": sorted(alarms - {self.kind})}
        self._persist(plan, {**values, "overdue_told_at": False} if overdue else values)
        return True

    def _update_attention(self, recovered):
        plan = self.plan_id.sudo()
        if self.state in BAD:
            plan._ask_attention(
                self.kind, self._summarize, note=stored_text(self, "error")
            )
        elif recovered:
            plan._close_attention(self.kind, self.env._("%s ended well.", self.name))

    def _is_worth_a_mail(self, recovered):
        plan = self.plan_id
        if self.state in BAD:
            return plan.alert_failure
        wanted = plan.alert_success or (recovered and plan.alert_recovery)
        wanted |= plan.alert_failure and self._is_shrinking_news()
        return self.state == "success" and wanted

    # === WORDS === #

    def _summarize(self, plan, recovered=False):
        """Return how this run ended, in one line, in the language of ``plan``."""
        env = plan.env
        kind = self._kind_in_words(env)
        about = {"kind": kind, "plan": plan.name, "database": env.cr.dbname}
        if self.state == "failure":
            return env._("%(kind)s failed: %(plan)s (%(database)s)", **about)
        if self.state == "partial":
            return env._("%(kind)s only partly good: %(plan)s (%(database)s)", **about)
        if self.size_drop:
            drop = {**about, "drop": self.size_drop}
            return env._(
                "%(kind)s is %(drop)s%% smaller: %(plan)s (%(database)s)", **drop
            )
        if recovered:
            return env._("%(kind)s works again: %(plan)s (%(database)s)", **about)
        return env._("%(kind)s is good: %(plan)s (%(database)s)", **about)

    def _kind_in_words(self, env):
        kinds = dict(self._fields["kind"]._description_selection(env))
        return kinds.get(self.kind, self.kind)

    def _compose(self, plan, recovered):
        """Return the values of the mail about this run, in the language of ``plan``."""
        job = self.with_env(plan.env)
        colors = {"failure": "#b02a37", "partial": "#997404"}
        return {
            "title": job._summarize(plan, recovered),
            "color": colors.get("partial" if job.size_drop else job.state, "#146c43"),
            "intro": False,
            "problems": job._problems(),
            "facts": [
                (plan.env._("Run"), job.name),
                (plan.env._("Started"), plan._in_words(job.date_start)),
                *mail_facts(plan),
            ],
            "link": link_to(plan, self),
            "button": plan.env._("Open the Run"),
        }

    def _problems(self):
        """Return what went wrong, as dicts of what, why and todo."""
        failed = self.step_ids.filtered(lambda step: step.state == "failure")
        problems = [self._problem(step.display_name, step) for step in failed]
        if self.size_drop:
            why, todo = self._shrinking_in_words(self.env)
            problems.append({"what": False, "why": why, "todo": todo})
        if problems or self.state not in BAD:
            return problems
        return [self._problem(False, self)]

    def _problem(self, what, told):
        why = displayed(told, "error")
        if told.error_code:
            why = f"{why} [{told.error_code}]"
        return {"what": what, "why": why, "todo": displayed(told, "hint")}

    def _summary(self):
        """Return this run as a JSON object, for monitors. Times are UTC, sizes are
        bytes."""
        return {
            "database": self.env.cr.dbname,
            "plan": self.plan_id.name,
            "run": self.name,
            "uuid": self.uuid,
            "kind": self.kind,
            "state": self.state,
            "started_at": _iso(self.date_start),
            "ended_at": _iso(self.date_end),
            "seconds": self.duration,
            "size": int(self.archive_size),
            "smaller_by": self.size_drop,
            "warnings": self.warning_count,
            "error": self.error or None,
            "hint": self.hint or None,
            "error_code": self.error_code or None,
            "last_good": _iso(self.plan_id.last_success),
            "url": link_to(self.plan_id, self),
            "steps": [
                {
                    "kind": step.kind,
                    "storage": step.storage_id.name or None,
                    "state": step.state,
                    "seconds": step.seconds,
                    "error": step.error or None,
                    "error_code": step.error_code or None,
                }
                for step in self.step_ids
            ],
        }

    # === DELIVERY === #

    def _deliver(self, mails):
        """Send at once from the runner, which has the time for it. Leave the mails
        to Odoo's queue elsewhere, and those that could not be sent: it tries them
        once more."""
        if not runner.is_runner(self.env):
            queue(self.env, mails)
            return
        mails.send(auto_commit=True)
        unsent = mails.exists().filtered(lambda mail: mail.state == "exception")
        for mail in unsent:
            self._note_alert(
                Message(
                    words.MAIL_NOT_SENT,
                    recipient=mail.email_to,
                    reason=mail.failure_reason or "",
                )
            )
        unsent.write({"state": "outgoing"})

    def _ping(self, event, patience, attempts=3):
        """Tell the monitors of the plan about this backup.

        The runner waits for them, for ``patience`` seconds at most. In an Odoo worker
        nobody may wait, and they are told when the transaction has been committed.
        """
        if not self._run().tells_monitors:
            return
        try:
            pings = self._pings(self.plan_id, MONITORS, event, self._summary())
        except EngineError as error:
            self._note_alert(error.message)
            return
        objection = pings and self._objection_to_pings()
        if objection:
            if event != "started":  # once is enough
                problem = objection.in_full
                self._note_alert(Message(words.NOT_PINGED, problem=problem))
            return
        if runner.is_runner(self.env):
            self.env.cr.commit()  # pylint: disable=invalid-commit  # do not wait in a transaction
            for problem in send_all(
                pings, patience, attempts, odoo_config.outbound_rules()
            ):
                self._note_alert(problem.in_full)
        elif pings:
            self._ping_after_commit(self.plan_id, pings)

    def _objection_to_pings(self):
        """Return why nobody is pinged. What is deleted is not all that a look goes
        before: some storages are never cleaned up, and a run begins with a ping."""
        identities = self.env["backup.identity"]
        if not runner.is_runner(self.env):  # the look comes after the commit
            return identities._objection()
        self.env.cr.commit()  # pylint: disable=invalid-commit  # as below
        # a run's last step looks where it deletes: nothing of it was stored since
        begun = self.step_ids[-1:].date_start
        return identities._objection_after_a_look(self.plan_id.storage_ids, begun)

    @api.model
    def _ping_overdue(self, plan):
        """Tell the webhook that ``plan`` is overdue; other monitors notice by
        themselves."""
        summary = {
            "database": self.env.cr.dbname,
            "plan": plan.name,
            "error": plan.overdue_reason,
            "hint": plan.overdue_remedy or None,
            "error_code": None,
            "last_good": _iso(plan.last_success),
        }
        try:
            pings = self._pings(plan, {"webhook_url": webhook}, "overdue", summary)
        except EngineError as error:  # the mail and the activity must not go with it
            _logger.warning("Plan %s: %s", plan.name, error.message)
            return
        if pings and not self.env["backup.identity"]._objection():
            self._ping_after_commit(plan, pings)

    def _pings(self, plan, monitors, event, summary):
        """Return the requests to make to those ``monitors`` that the plan has."""
        made = [
            make(url, event, summary)
            for name, make in monitors.items()
            if (url := plan.sudo()._read_secret(name))
        ]
        return [ping for ping in made if ping]

    def _ping_after_commit(self, plan, pings):
        """Tell monitors of ``plan`` beside: nobody here may wait for them, nor for its
        storages, where a look goes before."""
        thread = threading.Thread(
            target=_look_and_send,
            args=(self.env.registry, plan.id, pings),
            name="dfr_backup pings",
            daemon=True,
        )
        self.env.cr.postcommit.add(thread.start)

    def _note_alert(self, line):
        """Write down what could not be told, where people look: in the log of the
        last step."""
        _logger.warning("Backup %s: %s", self.name, line)
        step = (
            self.step_ids.filtered(lambda step: step._is_closed())[-1:]
            or self.step_ids[:1]
        )
        if step:
            step._note(line)


def _look_and_send(registry, plan_id, pings):
    with runner.committing_environment(registry) as env:
        storages = env["backup.plan"].browse(plan_id).exists().storage_ids
        objection = env["backup.identity"]._objection_after_a_look(storages)
    if objection:
        _logger.warning("No monitor was told: %s", objection.in_full)
    else:
        _send_and_log(pings)


def _send_and_log(pings):
    for problem in send_all(pings, END_PATIENCE, outbound=odoo_config.outbound_rules()):
        _logger.warning("%s", problem.in_full)


def _iso(moment):
    return f"{moment.isoformat(timespec='seconds')}Z" if moment else None
