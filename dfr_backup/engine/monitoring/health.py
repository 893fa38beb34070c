"""What a server says about its backups, read without believing its shape; and what
follows from that, or from its silence. Pure functions."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..messages import _
from ..untrusted import Unusable, parse_json

LONGEST_ANSWER = 1 << 20  # bytes: some thousands of plans
LONGEST_PROBLEM = 500  # characters
LONGEST_NAME = 63  # of a database
MOST_PLANS = 5000
MOST_SECONDS = 100 * 366 * 86400
MOST_BYTES = 1 << 60
VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){1,5}")
CODE = re.compile(r"[A-Z][A-Z0-9]{0,11}-\d{2,4}")
STATUS = re.compile(r"[a-z_]{1,30}")
OVERDUE = "overdue"
# what somebody there has decided, and what nobody there may have been told
QUIET = ("switched_off", "no_plan", "paused")
STOPPED = ("version", "scheduler")
MOST_FAILURES = 1_000_000
PROBLEMS = ("version", "scheduler", "identity", "pause")


@dataclass(frozen=True)
class Health:
    """What a server reports. ``status`` is its own word (docs/monitoring.rst),
    ``overdue`` whether any of its plans is. ``age`` are seconds since its newest good
    backup, ``size`` the bytes of that; None where it has none or does not say."""

    ok: bool
    status: str
    overdue: bool = False
    has_problem: bool = False
    problem: str = ""
    code: str = ""
    database: str = ""
    version: str = ""
    age: float | None = None
    size: int | None = None


@dataclass(frozen=True)
class Standing:
    """How a watched server stands: ``state`` is "never" (asked), "good", "warning",
    "failing" or "silent"; ``failures`` counts the questions without an answer since its
    last one; ``alarm`` is what its watchers were told last: "", "overdue", "stopped"
    or "silent"."""

    state: str = "never"
    failures: int = 0
    alarm: str = ""


def heard(health: Health) -> Standing:
    """Return how a server stands that has answered."""
    if health.status in QUIET:
        return Standing("warning")
    if not health.ok:
        return Standing("failing", alarm=_alarm(health))
    return Standing("warning" if health.has_problem else "good")


def _alarm(health: Health) -> str:
    if health.overdue or health.status == OVERDUE:
        return OVERDUE
    return "stopped" if health.status in STOPPED else ""


def unheard(before: Standing, patience: int) -> Standing:
    """Return how a server stands that has not answered once more. It is silent from the
    ``patience``-th time on; until then its watchers know no more than before."""
    failures = min(before.failures + 1, MOST_FAILURES)
    if failures >= patience:
        return Standing("silent", failures, "silent")
    known = before.state in ("failing", "silent")
    return Standing(before.state if known else "warning", failures, before.alarm)


def read_health(body: bytes) -> Health:
    """Return what an answer of the health endpoint says. Raise Unusable."""
    if len(body) > LONGEST_ANSWER:
        raise Unusable(_("it is too long"))
    report = _mapping(parse_json(body))
    status, plans = report.get("status"), _plans(report)
    if not isinstance(report.get("ok"), bool):
        raise _wrong("ok")
    if not isinstance(status, str) or not STATUS.fullmatch(status):
        raise _wrong("status")
    problem, code = _problem(report, plans)
    newest = min(
        (plan for plan in plans if _age(plan) is not None),
        key=lambda plan: _age(plan) or 0.0,
        default={},
    )
    return Health(
        ok=report["ok"],
        status=status,
        overdue=any(plan.get("status") == OVERDUE for plan in plans),
        has_problem=bool(problem),
        problem=problem,
        code=code,
        database=clean(_text(report, "database"), LONGEST_NAME),
        version=_matching(VERSION, _text(report, "version")),
        age=_age(newest),
        size=_size(newest),
    )


def clean(text: str, most: int) -> str:
    """Return a text of somebody unknown as one line without characters that do
    something: control characters, and those that turn the direction of writing."""
    shown = (" " if unicodedata.category(c)[0] in "CZ" else c for c in text[: 4 * most])
    line = " ".join("".join(shown).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _problem(
    report: Mapping[str, Any], plans: list[Mapping[str, Any]]
) -> tuple[str, str]:
    """Return what is wrong first, and its code."""
    for name in PROBLEMS:
        told = clean(_text(report, f"{name}_problem"), LONGEST_PROBLEM)
        if told:
            return told, _matching(CODE, _text(report, f"{name}_code"))
    for plan in sorted(plans, key=lambda plan: plan.get("status") != OVERDUE):
        reason = _text(plan, "reason")
        if reason:
            return clean(f"{_text(plan, 'plan')}: {reason}", LONGEST_PROBLEM), ""
    return "", ""


def _plans(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    plans = report.get("plans")
    if not isinstance(plans, list) or len(plans) > MOST_PLANS:
        raise _wrong("plans")
    return [_mapping(plan) for plan in plans]


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Unusable(_("it is not a JSON object"))
    return value


def _text(report: Mapping[str, Any], name: str) -> str:
    value = report.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(name)
    return value


def _age(plan: Mapping[str, Any]) -> float | None:
    return _number(plan, "age_seconds", MOST_SECONDS)


def _size(plan: Mapping[str, Any]) -> int | None:
    size = _number(plan, "size", MOST_BYTES)
    return None if size is None else int(size)


def _number(report: Mapping[str, Any], name: str, most: int) -> float | None:
    value = report.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name)
    if value > most:
        raise _wrong(name)
    return max(value, 0)  # its clock was set back since


def _matching(pattern: re.Pattern[str], text: str) -> str:
    return text if pattern.fullmatch(text) else ""


def _wrong(name: str) -> Unusable:
    return Unusable(_("“%(name)s” in it has an unexpected value"), name=name)
