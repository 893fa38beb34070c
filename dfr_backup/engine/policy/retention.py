"""Which copies stay and which may go. Pure functions: the clock is an argument.

A rule "N daily" keeps the newest copy of each of the N newest days that have one, in
the plan's time zone; hourly, weekly (ISO weeks), monthly and yearly in the same way, as
restic does it. A copy stays when any rule wants it.

Only verified copies count: one that nobody has read back never takes the place of one
that is known to be good. It is not thrown away early either, because a storage that was
scanned anew holds nothing but such copies: it stays as long as it would if all copies
were verified.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta, timezone
from math import ceil
from zoneinfo import ZoneInfo

from ..errors import EngineError
from ..errors.other import ClockBehind, ClocksDisagree, PolicyUnusable
from ..messages import NOTHING, Joined, Message, _
from .schedule import LONGEST_GAP

CLOCK_TOLERANCE = timedelta(minutes=5)
LARGEST = 10_000  # of any number in a policy
NO_COUNT = _("“%(rule)s” must be a whole number from 0 to %(largest)s.")
NO_RULE = _("No rule keeps anything: set at least one number above 0.")
NO_MINIMUM = _("At least one verified backup must always stay: set the minimum to 1.")

PERIODS: dict[str, Callable[[datetime], str]] = {
    # the offset tells the two equal hours apart when the clock is put back
    "hourly": lambda moment: moment.strftime("%Y-%m-%d %H:00 %z"),
    "daily": lambda moment: moment.strftime("%Y-%m-%d"),
    "weekly": lambda moment: moment.strftime("%G-W%V"),
    "monthly": lambda moment: moment.strftime("%Y-%m"),
    "yearly": lambda moment: moment.strftime("%Y"),
}

LONGEST_PERIOD = {**LONGEST_GAP, "yearly": timedelta(days=366)}


class EqualCopies(ValueError):
    """Two copies have the same identifier."""


class NaiveTime(ValueError):
    """A copy's time has no time zone."""


@dataclass(frozen=True)
class Policy:
    """How many copies to keep, per rule; 0 is a rule that is not used.

    ``within_days``: every copy of so many days stays, counted back from the oldest of
    the ``minimum`` newest verified copies, so that one run under a wrong clock does not
    void it. ``minimum``: so many of the newest verified copies stay, whatever the rules
    say.
    """

    keep_last: int = 0
    hourly: int = 0
    daily: int = 7
    weekly: int = 4
    monthly: int = 3
    yearly: int = 0
    within_days: int = 2
    minimum: int = 2

    def problems(self) -> list[Message]:
        """Return why these numbers cannot be used; nothing when they can."""
        found = [
            Message(NO_COUNT, rule=rule.name, largest=LARGEST)
            for rule in fields(self)
            if not _is_count(getattr(self, rule.name))
        ]
        if found:
            return found
        if not (self.keep_last or self.within_days or any(_counts(self).values())):
            found.append(Message(NO_RULE))
        if not self.minimum:
            found.append(Message(NO_MINIMUM))
        return found

    def most_copies(self) -> int:
        """Return about how many copies stay in the long run, when no two rules want
        the same."""
        return max(
            self.keep_last + sum(_counts(self).values()), self.within_days, self.minimum
        )

    def days_kept(self, gap: timedelta) -> int:
        """Return for about how many days the oldest copy stays in the long run, when a
        backup is made every ``gap``. Nobody knows how often that is: a gap of 0; the
        rules that only count backups are left out then."""
        longest = max(
            gap * max(self.keep_last, self.minimum),
            *(
                count * max(gap, LONGEST_PERIOD[rule])
                for rule, count in _counts(self).items()
            ),
        )
        return max(self.within_days, ceil(longest / timedelta(days=1)))


PRESETS = {
    "odoo_sh": Policy(),  # 7 daily, 4 weekly, 3 monthly
    "month": Policy(daily=31, weekly=0, monthly=0),
    "year": Policy(daily=7, weekly=5, monthly=12, yearly=1),
    "ten_years": Policy(daily=14, weekly=8, monthly=12, yearly=10),
}


@dataclass(frozen=True)
class Copy:
    """One stored archive. ``taken_at`` is aware; ``ours``: its manifest carries the
    UUID of this database; ``running``: a run is still busy with it."""

    identifier: str
    taken_at: datetime
    verified: bool
    protected: bool = False
    ours: bool = True
    running: bool = False


@dataclass(frozen=True)
class Reason:
    """Why a copy stays or goes: a rule, and the period it stands for there ("" for
    none).

    Stays: a key of ``PERIODS`` ("daily", "2026-11-24"); "last" and "minimum" with its
    rank from the newest; "within" with the days; "foreign", "protected", "running";
    "unverified" (not older than the newest verified ones, or too few are verified);
    "refused", see ``Decision``. Goes: "surplus", no rule wants it.
    """

    rule: str
    period: str = ""


@dataclass(frozen=True)
class Verdict:
    """What becomes of one copy, and why. There is always at least one reason."""

    identifier: str
    keep: bool
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Decision:
    """A verdict for every copy, the newest first.

    ``error`` says why nothing at all may be deleted now: in ``refused``, with a
    ``hint``.
    """

    verdicts: tuple[Verdict, ...]
    error: EngineError | None = field(default=None, compare=False)

    @property
    def refused(self) -> Message:
        return self.error.message if self.error else NOTHING

    @property
    def hint(self) -> Message:
        return self.error.hint if self.error else NOTHING

    @property
    def deletions(self) -> list[str]:
        """The identifiers of what goes, the oldest first."""
        return [v.identifier for v in reversed(self.verdicts) if not v.keep]


def plan_retention(
    copies: Iterable[Copy],
    policy: Policy,
    tz: str,
    now: datetime,
    storage_now: datetime | None = None,
) -> Decision:
    """Given all copies in one storage, return which stay and which go.

    ``storage_now`` is the storage's own clock where it has one: without it, a server
    whose clock runs ahead is not noticed. Nothing is deleted when the policy has
    problems, when the newest verified copy was taken more than 5 minutes after ``now``,
    or when the two clocks are further apart than that. Raise ValueError for equal
    identifiers and naive datetimes.
    """
    ordered = _newest_first(copies)
    error = _objection(ordered, policy, now, storage_now)
    if error:
        verdicts = tuple(
            Verdict(c.identifier, True, (Reason("refused"),)) for c in ordered
        )
        return Decision(verdicts, error)
    reasons = _all_reasons(ordered, policy, ZoneInfo(tz))
    return Decision(
        tuple(
            Verdict(c.identifier, True, tuple(reasons[c.identifier]))
            if reasons[c.identifier]
            else Verdict(c.identifier, False, (Reason("surplus"),))
            for c in ordered
        )
    )


def _objection(
    ordered: Sequence[Copy], policy: Policy, now: datetime, storage_now: datetime | None
) -> EngineError | None:
    """Return why nothing may be deleted, if so."""
    if problems := policy.problems():
        return PolicyUnusable(problems=Joined(problems))
    if storage_now is not None and abs(now - storage_now) > CLOCK_TOLERANCE:
        return ClocksDisagree(now=_utc(now), storage_now=_utc(storage_now))
    newest = next((c for c in ordered if _counts_for_rules(c) and c.verified), None)
    if newest and newest.taken_at > now + CLOCK_TOLERANCE:
        return ClockBehind(newest=_utc(newest.taken_at), now=_utc(now))
    return None


def _all_reasons(
    ordered: Sequence[Copy], policy: Policy, zone: ZoneInfo
) -> dict[str, list[Reason]]:
    """Return for each copy why it stays; an empty list for one that may go."""
    ours = [c for c in ordered if _counts_for_rules(c)]
    verified = [c for c in ours if c.verified]
    wanted = _wanted(verified, policy, zone)
    wanted_if_verified = _wanted(ours, policy, zone)
    by_floor = _floor(ours, verified, policy)
    found = {}
    for copy in ordered:
        rules = wanted if copy.verified else wanted_if_verified
        found[copy.identifier] = [
            *_exempt(copy),
            *rules.get(copy.identifier, []),
            *by_floor.get(copy.identifier, []),
        ]
    return found


def _exempt(copy: Copy) -> list[Reason]:
    exemptions = {
        "foreign": not copy.ours,
        "protected": copy.protected,
        "running": copy.running,
    }
    return [Reason(rule) for rule, holds in exemptions.items() if holds]


def _wanted(
    ordered: Sequence[Copy], policy: Policy, zone: ZoneInfo
) -> dict[str, list[Reason]]:
    """Return the reasons that the rules give if ``ordered``, the newest first, were
    all."""
    found: dict[str, list[Reason]] = {c.identifier: [] for c in ordered}
    for rank, copy in enumerate(ordered[: policy.keep_last], 1):
        found[copy.identifier].append(Reason("last", str(rank)))
    local = [(c.identifier, c.taken_at.astimezone(zone)) for c in ordered]
    for rule, count in _counts(policy).items():
        seen: set[str] = set()
        for identifier, moment in local if count else ():
            period = PERIODS[rule](moment)
            if period in seen:
                continue
            if len(seen) == count:
                break
            seen.add(period)
            found[identifier].append(Reason(rule, period))
    return found


def _floor(
    ours: Sequence[Copy], verified: Sequence[Copy], policy: Policy
) -> dict[str, list[Reason]]:
    """Return what stays whatever the rules say."""
    if (
        len(verified) < policy.minimum
    ):  # too few are good: then the others are all there is
        rest = {c.identifier: [Reason("unverified")] for c in ours if not c.verified}
        return rest | _minimum(verified)
    found = _minimum(verified[: policy.minimum])
    anchor = verified[policy.minimum - 1].taken_at
    since = anchor - timedelta(days=policy.within_days)
    days = Reason("within", str(policy.within_days))
    for copy in ours:
        reasons = found.setdefault(copy.identifier, [])
        if policy.within_days and copy.taken_at >= since:
            reasons.append(days)
        if not copy.verified and copy.taken_at >= anchor:
            reasons.append(Reason("unverified"))
    return found


def _minimum(verified: Sequence[Copy]) -> dict[str, list[Reason]]:
    return {
        c.identifier: [Reason("minimum", str(n))] for n, c in enumerate(verified, 1)
    }


def _newest_first(copies: Iterable[Copy]) -> list[Copy]:
    ordered = sorted(copies, key=lambda c: (c.taken_at, c.identifier), reverse=True)
    if len({c.identifier for c in ordered}) != len(ordered):
        raise EqualCopies()
    if any(c.taken_at.tzinfo is None for c in ordered):
        raise NaiveTime()
    return ordered


def _counts_for_rules(copy: Copy) -> bool:
    return copy.ours and not copy.running


def _counts(policy: Policy) -> dict[str, int]:
    return {rule: getattr(policy, rule) for rule in PERIODS}


def _is_count(value: object) -> bool:
    return (
        isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST
    )


def _utc(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
