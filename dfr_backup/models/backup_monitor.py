"""What monitors read: a health report, and metrics. With a few queries, whatever the
history."""

import hashlib
import hmac
import secrets

from odoo import api, fields, models

from .. import odoo_config
from ..engine.monitoring.metrics import Metric
from ..runs.drill import DrillRun
from ..runs.registry import kinds_with
from .moments import as_iso, from_odoo_datetime, to_odoo_datetime
from .neutralized import is_resting
from .pause import pause_problem
from .plan.overdue import gone_in_words, promise_facts

MONITORS = ("health", "metrics")
TOKEN_BYTES = 32
GOOD_STATUSES = ("ok", "neutralized")
# the worst first
BAD_STATUSES = (
    "switched_off",
    "no_plan",
    "overdue",
    "paused",
    "failing",
    "scheduler",
)


class BackupMonitor(models.AbstractModel):
    _name = "backup.monitor"
    _description = "What Monitors Read about Backups"

    # === TOKENS === #

    @api.model
    def _new_token(self, monitor):
        """Switch a monitor's address on with a new token, and return that. Only its
        hash is kept; the one before stops working."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._monitor_params().set_param(monitor_param(monitor), _hash(token))
        return token

    @api.model
    def _switch_off(self, monitor):
        self._monitor_params().set_param(monitor_param(monitor), False)

    @api.model
    def _is_on(self, monitor):
        return bool(self._monitor_params().get_param(monitor_param(monitor)))

    @api.model
    def _is_token(self, monitor, token):
        """Tell whether ``token`` is the monitor's, in a time that does not depend on
        it."""
        return hmac.compare_digest(
            _hash(token), self._monitor_params().get_param(monitor_param(monitor))
        )

    @api.model
    def _monitor_params(self):
        return self.env["ir.config_parameter"].sudo()

    # === HEALTH === #

    @api.model
    def _health(self):
        """Return the health of all backups as a JSON object; "ok" is whether all is
        well.

        ``status`` is "ok", "version" (see ``_version_health``), "failing" (the last run
        of a plan did not end well, or none of its backups exists any more), "overdue",
        "paused" by ``odoo backup pause``, "no_plan" when no active plan promises
        anything, "switched_off" when odoo.conf says dfr_backup_enabled = False, or
        "scheduler" when the scheduled action does not do its work. A neutralized copy
        is "neutralized", and well. Times are UTC. ``identity_problem`` is why this
        database deletes nothing and pings nobody, ``scheduler_problem`` what is wrong
        with the action, with its code, ``pause_problem`` who has paused the backups,
        since when.
        """
        now = fields.Datetime.now()
        plans = self.env["backup.plan"].search([])
        facts = promise_facts(plans)
        sizes = self._last_good_sizes(plans)
        reports = [
            {**self._health_of(plan, facts[plan.id], now), "size": sizes.get(plan.id)}
            for plan in plans
        ]
        found = {report["status"] for report in reports}
        paused = pause_problem(self.env)
        if paused:
            found.add("paused")
        elif not any(plan.promise_hours for plan in plans):
            found.add("no_plan")
        if not odoo_config.is_enabled():
            found.add("switched_off")
        problem = self.env["backup.scheduler"]._look()
        if problem:
            found.add("scheduler")
        worst = next((status for status in BAD_STATUSES if status in found), "ok")
        if is_resting(self.env):
            worst = "neutralized"
        return {
            "ok": worst in GOOD_STATUSES,
            "status": worst,
            "database": self.env.cr.dbname,
            "version": odoo_config.CODE_VERSION,
            "checked_at": as_iso(now),
            "identity_problem": self._identity_problem(),
            "pause_problem": paused and str(paused.in_full),
            "pause_code": paused and paused.code,
            "scheduler_problem": problem and str(problem.in_full),
            "scheduler_code": problem and (problem.code or None),
            "plans": reports,
        }

    @api.model
    def _version_health(self, mismatch):
        """Return the report of a database whose tables cannot be read, see
        ``backup.version``."""
        return {
            "ok": False,
            "status": "version",
            "database": self.env.cr.dbname,
            "version": odoo_config.CODE_VERSION,
            "checked_at": as_iso(fields.Datetime.now()),
            "version_problem": str(mismatch.in_full),
            "version_code": mismatch.code,
            "plans": [],
        }

    @api.model
    def _version_metrics(self, mismatch):
        return [
            Metric(
                "dfr_backup_version_ok",
                "gauge",
                "Whether the database was upgraded to the code of the addon.",
                [({}, mismatch is None)],
            )
        ]

    @api.model
    def _identity_problem(self):
        """Return why this database pings no monitor, None when it may."""
        error = self.env["backup.identity"].sudo()._objection()
        return error and str(error.in_full)

    def _health_of(self, plan, facts, now):
        good = to_odoo_datetime(facts.last_good)
        failing = facts.last_state in ("failure", "partial") or facts.gone
        reason = gone_in_words(self.env) if facts.gone else str(facts.last_error)
        return {
            "plan": plan.name,
            "status": "overdue" if plan.is_overdue else "failing" if failing else "ok",
            "reason": plan.overdue_reason or (reason if failing else ""),
            "last_good": as_iso(good),
            "age_seconds": round((now - good).total_seconds()) if good else None,
            "deadline": as_iso(plan.promise_deadline),
            "running": facts.open_state == "running",
        }

    def _last_good_sizes(self, plans):
        """Return the size in bytes of the last good backup, by the id of its plan."""
        jobs = self.env["backup.job"]
        good = [("kind", "in", kinds_with("keeps_promise"))]
        good += [("plan_id", "in", plans.ids), ("state", "=", "success")]
        newest = jobs._read_group(good, ["plan_id"], ["id:max"])
        last = jobs.browse([number for _plan, number in newest])
        return {job.plan_id.id: _size_of(job) for job in last}

    # === METRICS === #

    @api.model
    def _metrics(self):
        """Return the metrics of all active plans and storages."""
        plans = self.env["backup.plan"].search([])
        labels = {
            plan.id: {"plan_id": str(plan.id), "plan": plan.name} for plan in plans
        }
        return [
            *self._promise_metrics(plans, labels),
            *self._run_metrics(plans, labels),
            *self._storage_metrics(),
            *self._scheduler_metrics(),
        ]

    def _scheduler_metrics(self):
        problem = self.env["backup.scheduler"]._look()
        return [
            Metric(
                "dfr_backup_scheduler_ok",
                "gauge",
                "Whether the scheduled action that starts the runs does its work.",
                [({}, problem is None)],
            ),
            Metric(
                "dfr_backup_paused",
                "gauge",
                "Whether somebody has paused the scheduled runs.",
                [({}, pause_problem(self.env) is not None)],
            ),
        ]

    def _promise_metrics(self, plans, labels):
        facts = promise_facts(plans)
        last_good = [(labels[p.id], _timestamp(facts[p.id].last_good)) for p in plans]
        running = [(labels[p.id], facts[p.id].open_state == "running") for p in plans]
        return [
            Metric(
                "dfr_backup_last_successful_timestamp_seconds",
                "gauge",
                "When the last verified backup was completed.",
                last_good,
            ),
            Metric(
                "dfr_backup_overdue",
                "gauge",
                "Whether there is no verified backup within the plan's time limit.",
                [(labels[plan.id], plan.is_overdue) for plan in plans],
            ),
            Metric(
                "dfr_backup_promise_seconds",
                "gauge",
                "The age that the last verified backup may reach.",
                [(labels[plan.id], plan.promise_hours * 3600) for plan in plans],
            ),
            Metric(
                "dfr_backup_running",
                "gauge",
                "Whether a backup is being made.",
                running,
            ),
        ]

    def _run_metrics(self, plans, labels):
        jobs = self.env["backup.job"]
        mine = [("plan_id", "in", plans.ids)]
        counts = jobs._read_group(mine, ["plan_id", "kind", "state"], ["__count"])
        last, tests = self._last_ended(plans, "backup", "drill")
        return [
            Metric(
                "dfr_backup_runs_total",
                "counter",
                "Runs in the history, by kind and state.",
                [
                    ({**labels[plan.id], "kind": kind, "state": state}, count)
                    for plan, kind, state, count in counts
                ],
            ),
            Metric(
                "dfr_backup_last_status",
                "gauge",
                "1 when the last backup was good, 0 when it failed or was only partly "
                "good.",
                [(labels[job.plan_id.id], job.state == "success") for job in last],
            ),
            Metric(
                "dfr_backup_last_duration_seconds",
                "gauge",
                "How long the last backup took.",
                [(labels[job.plan_id.id], job.duration) for job in last],
            ),
            Metric(
                "dfr_backup_last_size_bytes",
                "gauge",
                "The size of the last backup, with its attachments in packs.",
                [(labels[job.plan_id.id], _size_of(job)) for job in last],
            ),
            *self._restore_test_metrics(tests, labels),
        ]

    def _last_ended(self, plans, *kinds):
        """Return, for each kind, the last runs of these plans that have ended and were
        not cancelled."""
        jobs = self.env["backup.job"]
        closed = [
            ("plan_id", "in", plans.ids),
            ("kind", "in", kinds),
            ("state", "in", ("success", "partial", "failure")),
        ]
        newest = jobs._read_group(closed, ["kind", "plan_id"], ["id:max"])
        ended = {name: [] for name in kinds}
        for name, _plan, number in newest:
            ended[name].append(number)
        return [jobs.browse(ended[name]) for name in kinds]

    def _restore_test_metrics(self, last, labels):
        """Return the metrics of the plans' restore tests, of which these are the last
        that have ended."""
        tests = [("plan_id", "in", last.plan_id.ids), ("kind", "=", DrillRun.kind)]
        good = last._read_group(
            [*tests, ("state", "=", "success")], ["plan_id"], ["date_end:max"]
        )
        return [
            Metric(
                "dfr_backup_last_restore_test_status",
                "gauge",
                "1 when the last restore test succeeded, 0 when it failed.",
                [(labels[job.plan_id.id], job.state == "success") for job in last],
            ),
            Metric(
                "dfr_backup_last_restore_test_timestamp_seconds",
                "gauge",
                "When a restore test last succeeded.",
                [
                    (labels[plan.id], _timestamp(from_odoo_datetime(ended)))
                    for plan, ended in good
                ],
            ),
        ]

    def _storage_metrics(self):
        storages = self.env["backup.storage"].search([])
        labels = {s.id: {"storage_id": str(s.id), "storage": s.name} for s in storages}
        stored = self.env["backup.copy"]._read_group(
            [("storage_id", "in", storages.ids), *self.env["backup.copy"]._countable()],
            ["storage_id"],
            ["__count", "size:sum"],
        )
        return [
            Metric(
                "dfr_backup_storage_copies",
                "gauge",
                "Verified copies in a storage.",
                [(labels[storage.id], count) for storage, count, _size in stored],
            ),
            Metric(
                "dfr_backup_storage_bytes",
                "gauge",
                "The size of the verified copies in a storage, and of the packs that "
                "they share.",
                [
                    (labels[storage.id], size + storage.packs_size)
                    for storage, _count, size in stored
                ],
            ),
            Metric(
                "dfr_backup_storage_free_bytes",
                "gauge",
                "Space that is left in a storage, when it was last asked.",
                [
                    (labels[storage.id], storage.free_space)
                    for storage in storages.filtered("space_at")
                ],
            ),
        ]


def monitor_param(monitor):
    if monitor not in MONITORS:
        raise ValueError(f"no monitor {monitor!r}")
    return f"dfr_backup.{monitor}_token"


def _hash(token):
    # the token is random and long: a fast hash keeps it from whoever reads the database
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _timestamp(moment):
    return moment.timestamp() if moment else None


def _size_of(job):
    """Return the bytes of a backup, None when it has no archive: attachments in packs
    belong to it, whoever has stored them."""
    return int(job.archive_size + job.packed_size) or None
