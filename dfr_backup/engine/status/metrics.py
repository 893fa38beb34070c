"""The same for Prometheus: what /dfr_backup/metrics tells of one database under the
same names, with a label for the database."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeAlias

from ..monitoring.metrics import Metric
from .verdict import STATES, PlanStatus, Status

PerPlan = Callable[[PlanStatus], float | None]
Samples: TypeAlias = list[tuple[Mapping[str, str], float | None]]
PerDatabase = Callable[[Status], float | None]


def metrics_of(statuses: list[Status], now: datetime) -> list[Metric]:
    """Return the metrics of all databases."""
    shown = [status for status in statuses if not status.is_ignored]
    asked = [status for status in shown if status.facts is not None]
    return [
        Metric(
            "dfr_backup_status_timestamp_seconds",
            "gauge",
            "When the databases were looked at.",
            [({}, now.timestamp())],
        ),
        Metric(
            "dfr_backup_database_state",
            "gauge",
            "1 for the state that a database is in.",
            [
                ({"database": status.database, "state": state}, status.state == state)
                for status in shown
                for state in STATES
            ],
        ),
        _of_databases(
            "dfr_backup_database_status",
            "The exit status that the state stands for: 0 fine, 1 warning, 2 critical, "
            "3 unknown.",
            shown,
            lambda status: status.level,
        ),
        _of_databases(
            "dfr_backup_last_restore_test_timestamp_seconds",
            "When a restore test last succeeded.",
            asked,
            lambda status: _seconds(status.tested_at),
        ),
        _of_databases(
            "dfr_backup_scheduler_ok",
            "Whether the scheduled action that starts the runs does its work.",
            asked,
            lambda status: status.state != "scheduler",
        ),
        _of_databases(
            "dfr_backup_version_ok",
            "Whether the database was upgraded to the code of the addon.",
            [s for s in shown if s.facts or s.state == "version"],
            lambda status: status.state != "version",
        ),
        *_of_all_plans(asked),
    ]


def _of_all_plans(statuses: list[Status]) -> Iterable[Metric]:
    yield _of_plans(
        "dfr_backup_last_successful_timestamp_seconds",
        "When the last verified backup was completed.",
        statuses,
        lambda each: _seconds(each.plan.promise.last_good),
    )
    yield _of_plans(
        "dfr_backup_overdue",
        "Whether there is no verified backup within the plan's time limit.",
        statuses,
        lambda each: each.state == "overdue",
    )
    yield _of_plans(
        "dfr_backup_promise_seconds",
        "The age that the last verified backup may reach.",
        statuses,
        lambda each: each.plan.promise.promise.total_seconds(),
    )
    yield _of_plans(
        "dfr_backup_running",
        "Whether a backup is being made.",
        statuses,
        lambda each: each.plan.promise.open_state == "running",
    )


def _of_databases(
    name: str, text: str, statuses: Iterable[Status], value: PerDatabase
) -> Metric:
    samples: Samples = [({"database": each.database}, value(each)) for each in statuses]
    return Metric(name, "gauge", text, samples)


def _of_plans(name: str, text: str, statuses: list[Status], value: PerPlan) -> Metric:
    samples: Samples = [
        (
            {
                "database": status.database,
                "plan_id": str(each.plan.id),
                "plan": each.plan.name,
            },
            value(each),
        )
        for status in statuses
        for each in status.plans
        if each.plan.active
    ]
    return Metric(name, "gauge", text, samples)


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
