"""Who hears how a run has ended: the alarms of a plan, which its runs open and close,
and its mails."""

from dataclasses import dataclass

BAD = ("failure", "partial")


@dataclass(frozen=True)
class EndedRun:
    """``keeps_promise`` tells whether a good run of its kind ends that its plan is
    overdue, ``is_smaller`` whether its archive has become much smaller with it, and
    ``found_damage`` whether it has found other backups damaged."""

    kind: str
    state: str
    keeps_promise: bool = False
    is_smaller: bool = False
    found_damage: bool = False


@dataclass(frozen=True)
class Alarms:
    """Kinds of runs of which the last did not end well; and whether somebody was told
    that the plan is overdue."""

    kinds: frozenset[str] = frozenset()
    is_overdue: bool = False


@dataclass(frozen=True)
class MailWishes:
    """What a plan sends mails about."""

    failure: bool = False
    recovery: bool = False
    success: bool = False


def after_run(run: EndedRun, before: Alarms) -> Alarms:
    """Return the alarms of a plan once this run of it has ended."""
    if run.state in BAD:
        return Alarms(before.kinds | {run.kind}, before.is_overdue)
    if run.state != "success":
        return before
    overdue = before.is_overdue and not run.keeps_promise
    return Alarms(before.kinds - {run.kind}, overdue)


def has_recovered(run: EndedRun, before: Alarms) -> bool:
    """Tell whether this run has ended an alarm."""
    return run.state == "success" and after_run(run, before) != before


def is_worth_a_mail(run: EndedRun, recovered: bool, wishes: MailWishes) -> bool:
    if run.state in BAD:
        return wishes.failure
    if run.state != "success":
        return False
    return (
        wishes.success
        or (recovered and wishes.recovery)
        or ((run.is_smaller or run.found_damage) and wishes.failure)
    )
