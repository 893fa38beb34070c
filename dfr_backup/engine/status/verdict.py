"""In a word: how is a database backed up? Pure functions: the clock is an argument,
times are aware."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ..errors import EngineError
from ..errors.command_line import DatabaseMissing, NotAnOdooDatabase
from ..errors.identity import AddonMissing, CodeTooOld, NotUpgraded
from ..errors.runs import SwitchedOff
from ..errors.server import (
    InvalidDatabase,
    NoneLeft,
    NothingPlanned,
    NotSuccessful,
    PlanLate,
)
from ..policy.overdue import Scheduler, judge
from ..policy.schedule import SHORTEST_GAP
from ..policy.scheduler import judge_action
from .databases import Listed
from .facts import Facts, Plan, module_waits

OK, WARNING, CRITICAL, UNKNOWN = range(4)  # exit statuses of a monitor
LEVELS = ("ok", "warning", "critical", "unknown")
STATES = {
    "ok": OK,
    "failing": WARNING,
    "paused": WARNING,
    "no_plan": WARNING,
    "not_backed_up": WARNING,
    "blocked": WARNING,
    "switched_off": WARNING,
    "invalid": WARNING,
    "overdue": CRITICAL,
    "scheduler": CRITICAL,
    "version": CRITICAL,
    "unreachable": UNKNOWN,
    "neutralized": OK,
    "not_odoo": OK,
    "template": OK,
    "closed": OK,
}
IGNORED = ("not_odoo", "template", "closed")
# a state for what is raised, else "unreachable"
RAISED: dict[type[EngineError], str] = {
    NotAnOdooDatabase: "not_odoo",
    AddonMissing: "not_backed_up",
    NotUpgraded: "version",
    CodeTooOld: "version",
}


@dataclass(frozen=True)
class PlanStatus:
    """A plan with its state ("ok", "failing" or "overdue") and its deadline."""

    plan: Plan
    state: str
    deadline: datetime | None
    problem: EngineError | None = None


@dataclass(frozen=True)
class Status:
    """How a database is backed up: one of ``STATES``, what is wrong with it, and what
    it says itself, None when it could not be asked."""

    database: str
    state: str
    problem: EngineError | None = None
    facts: Facts | None = None
    plans: tuple[PlanStatus, ...] = ()

    @property
    def level(self) -> int:
        """The exit status that the state stands for."""
        return STATES[self.state]

    @property
    def is_ignored(self) -> bool:
        """Whether nobody backs such a database up."""
        return self.state in IGNORED

    @property
    def last_good(self) -> Plan | None:
        """The plan with the newest good backup."""
        found = [
            (each.plan.promise.last_good, -number, each.plan)
            for number, each in enumerate(self.plans)
            if each.plan.promise.last_good
        ]
        return max(found)[-1] if found else None

    @property
    def tested_at(self) -> datetime | None:
        """When a restore test last succeeded."""
        moments = [each.plan.tested_at for each in self.plans]
        return max(filter(None, moments), default=None)

    @property
    def next_run(self) -> datetime | None:
        """When the next run is due."""
        moments = [each.plan.next_run for each in self.plans if each.plan.active]
        return min(filter(None, moments), default=None)


def worst(levels: Iterable[int]) -> int:
    """Return the exit status of several: critical before unknown before a warning."""
    found = set(levels)
    order = (CRITICAL, UNKNOWN, WARNING)
    return next((level for level in order if level in found), OK)


def status_of_shut(listed: Listed) -> Status:
    """Return the status of a database that nobody opens."""
    name = listed.name
    if listed.shut == "missing":
        return Status(name, "unreachable", DatabaseMissing(database=name))
    if listed.shut == "invalid":
        command = f"dropdb {shlex.quote(name)}"
        problem = InvalidDatabase(database=name, command=command)
        return Status(name, "invalid", problem)
    return Status(name, listed.shut)


def status_of_error(database: str, error: EngineError) -> Status:
    """Return the status of a database that could not be asked."""
    state = next((s for kind, s in RAISED.items() if isinstance(error, kind)), None)
    if state == "not_backed_up":
        command = f"odoo backup enable -d {shlex.quote(database)}"
        remedy = AddonMissing.remedy_enable
        error = AddonMissing(database=database, command=command, remedy=remedy)
    if state == "not_odoo":
        return Status(database, state)
    return Status(database, state or "unreachable", error)


def status_of(database: str, facts: Facts, now: datetime, enabled: bool) -> Status:
    """Return the status of a database from what it says. ``enabled`` tells whether
    backups are switched on on this server."""
    scheduler = Scheduler(
        active=bool(facts.action and facts.action.active),
        last_run=facts.action_ran,
        failing_since=facts.action.failing_since if facts.action else None,
        blocking_module=facts.waiting_module,
        pause=facts.pause.problem(database).message if facts.pause else "",
    )
    plans = tuple(_judged(plan, scheduler, now, database) for plan in facts.plans)
    if facts.is_resting:
        return Status(database, "neutralized", None, facts)
    found = [*_server_wide(database, facts, now, enabled), *_of_plans(plans)]
    found.sort(key=lambda each: _severity(each[0]), reverse=True)  # stable
    state, problem = found[0] if found else ("ok", None)
    return Status(database, state, problem, facts, plans)


def _severity(state: str) -> int:
    return STATES[state]


def _server_wide(
    database: str, facts: Facts, now: datetime, enabled: bool
) -> list[tuple[str, EngineError]]:
    """Return what is wrong with more than one plan, the worst first of equals."""
    if not enabled:
        return [("switched_off", SwitchedOff())]
    found: list[tuple[str, EngineError]] = []
    if facts.pause:
        found.append(("paused", facts.pause.problem(database)))
    elif not any(plan.promise.promise for plan in facts.plans):
        found.append(("no_plan", NothingPlanned()))
    if facts.waiting_module:
        problem = module_waits(database, facts.waiting_module)
        found.append(("blocked", problem))
        return found
    gaps = (SHORTEST_GAP[p.frequency] for p in facts.plans if p.active and p.next_run)
    wrong = judge_action(facts.action, min(gaps, default=None), now)
    return [*found, ("scheduler", wrong)] if wrong else found


def _of_plans(plans: Iterable[PlanStatus]) -> list[tuple[str, EngineError]]:
    return [(each.state, each.problem) for each in plans if each.problem]


def _judged(
    plan: Plan, scheduler: Scheduler, now: datetime, database: str
) -> PlanStatus:
    verdict = judge(plan.promise, scheduler, now)
    about = {"plan": plan.name, "database": shlex.quote(database)}
    if verdict.overdue and verdict.deadline:
        late = f"{verdict.deadline:%Y-%m-%d %H:%M} UTC"
        remedy = PlanLate.remedy_paused if verdict.reason == "paused" else None
        pause = verdict.detail if remedy else ""
        problem = PlanLate(remedy=remedy, deadline=late, pause=pause, **about)
        return PlanStatus(plan, "overdue", verdict.deadline, problem)
    if not plan.active:
        return PlanStatus(plan, "ok", None)
    if plan.promise.gone:
        return PlanStatus(plan, "failing", verdict.deadline, NoneLeft(**about))
    if plan.promise.last_state in ("failure", "partial"):
        reason, hint = plan.promise.last_error or "–", plan.last_hint
        remedy = NotSuccessful.remedy_known if hint else None
        failed = NotSuccessful(remedy=remedy, reason=reason, hint=hint, **about)
        failed.code = plan.last_code or failed.code
        return PlanStatus(plan, "failing", verdict.deadline, failed)
    return PlanStatus(plan, "ok", verdict.deadline)
