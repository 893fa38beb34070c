"""When copies will be deleted, if backups go on as they do now. An estimate for the
form."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from statistics import median
from zoneinfo import ZoneInfo

from .retention import PERIODS, Copy, Policy, Reason, plan_retention
from .schedule import LONGEST_GAP, Schedule, next_time

DEFAULT_GAP = timedelta(days=1)  # between two backups, while there are fewer than two
MOST_MONTHS = 1200  # that are looked ahead
SMALLEST_GAP = timedelta(minutes=1)
RECENT = 10  # verified copies that tell the rhythm


def expires_at(
    copies: Iterable[Copy],
    policy: Policy,
    tz: str,
    now: datetime,
    schedule: Schedule | None = None,
    paused_until: datetime | None = None,
) -> dict[str, datetime | None]:
    """Return for each identifier the moment (UTC) of the run that will delete the copy.

    Future backups are taken to succeed at the times of the schedule, so the moment
    moves when they do not; none comes before ``paused_until``.
    Without a schedule they come in the rhythm of the last ten verified ones (the median
    of what lies between them). It is ``now`` for a copy that the next cleanup deletes,
    and None for one that stays until somebody changes something: protected, foreign,
    running, or all of them while retention refuses to delete.
    """
    copies = list(copies)
    decision = plan_retention(copies, policy, tz, now)
    if decision.refused:
        return {verdict.identifier: None for verdict in decision.verdicts}
    future = _Future.of(copies, max(now, paused_until or now), schedule)
    forecast = _Forecast(copies, policy, ZoneInfo(tz), future)
    by_identifier = {copy.identifier: copy for copy in copies}
    found: dict[str, datetime | None] = {}
    for verdict in decision.verdicts:
        copy = by_identifier[verdict.identifier]
        if copy.protected or copy.running or not copy.ours:
            found[copy.identifier] = None
        elif verdict.keep:
            found[copy.identifier] = forecast.end(copy, verdict.reasons)
        else:
            found[copy.identifier] = now.astimezone(timezone.utc)
    return found


@dataclass(frozen=True)
class _Future:
    """The verified copies there are, the oldest first, and the regular ones to come."""

    present: Sequence[datetime]
    first: datetime
    gap: timedelta

    @classmethod
    def of(
        cls, copies: Iterable[Copy], now: datetime, schedule: Schedule | None
    ) -> "_Future":
        taken = sorted(
            c.taken_at for c in copies if c.verified and c.ours and not c.running
        )
        taken = [moment.astimezone(timezone.utc) for moment in taken]
        if schedule:
            first = next_time(schedule, now).astimezone(timezone.utc)
            if schedule.frequency != "monthly":
                return cls(taken, first, LONGEST_GAP[schedule.frequency])
            return _MonthlyFuture(taken, first, DEFAULT_GAP, schedule)
        recent = taken[-RECENT:]
        gaps = [(b - a).total_seconds() for a, b in pairwise(recent)]
        usual = timedelta(seconds=median(gaps)) if gaps else DEFAULT_GAP
        gap = max(usual, SMALLEST_GAP)
        now = now.astimezone(timezone.utc)
        return cls(taken, max(taken[-1] + gap, now) if taken else now, gap)

    def run(self, number: int) -> datetime:
        """Return the moment of the 1st, 2nd… run to come."""
        return self.first + (max(number, 1) - 1) * self.gap

    def first_run_from(self, moment: datetime) -> int:
        """Return the number of the first run to come that is not before ``moment``."""
        return max(-((self.first - moment) // self.gap), 0) + 1

    def run_that_outdates(self, limit: datetime, minimum: int) -> int:
        """Return the run after which the ``minimum`` newest copies are all after
        ``limit``."""
        newer = sum(moment > limit for moment in self.present)
        if newer:
            return minimum - newer
        return self.first_run_from(limit + timedelta(microseconds=1)) + minimum - 1


@dataclass(frozen=True)
class _MonthlyFuture(_Future):
    """Backups that no equal time lies between."""

    schedule: Schedule
    _moments: list[datetime] = field(default_factory=list)

    def run(self, number: int) -> datetime:
        if number > MOST_MONTHS:
            raise OverflowError
        self._moments[:] = self._moments or [self.first]
        while len(self._moments) < number:
            self._moments.append(next_time(self.schedule, self._moments[-1]))
        return self._moments[max(number, 1) - 1]

    def first_run_from(self, moment: datetime) -> int:
        number = 1
        while self.run(number) < moment:
            number += 1
        return number


class _Forecast:
    """How long each reason holds."""

    def __init__(
        self, copies: Sequence[Copy], policy: Policy, zone: ZoneInfo, future: _Future
    ):
        ours = [c for c in copies if c.ours and not c.running]
        self._taken = {
            True: sorted((c.taken_at for c in ours if c.verified), reverse=True),
            False: sorted((c.taken_at for c in ours), reverse=True),
        }
        self._policy, self._zone, self._future = policy, zone, future
        self._starts: dict[tuple[str, str], list[datetime]] = {}

    def end(self, copy: Copy, reasons: Iterable[Reason]) -> datetime | None:
        """Return the run that deletes ``copy``, None when it lies beyond all
        calendars."""
        try:
            ends = [self._end(copy, reason) for reason in reasons]
            if self._policy.within_days or not copy.verified:
                limit = copy.taken_at + timedelta(days=self._policy.within_days)
                number = self._future.run_that_outdates(limit, self._policy.minimum)
                ends.append(self._future.run(number))
            return max(ends)
        except (OverflowError, ValueError):
            return None

    def _end(self, copy: Copy, reason: Reason) -> datetime:
        if reason.rule in PERIODS:
            return self._end_of_period(copy, reason)
        left = {"last": self._policy.keep_last, "minimum": self._policy.minimum}
        if reason.rule in left:
            return self._future.run(left[reason.rule] - int(reason.period) + 1)
        return self._future.run(1)

    def _end_of_period(self, copy: Copy, reason: Reason) -> datetime:
        """A copy goes when a newer one takes its period, or when enough newer
        periods came."""
        if self._period(reason.rule, self._future.run(1)) == reason.period:
            return self._future.run(1)
        newer = {
            self._period(reason.rule, moment)
            for moment in self._taken[copy.verified]
            if moment > copy.taken_at
        } - {reason.period}
        missing: int = getattr(self._policy, reason.rule) - len(newer)
        newest = self._period(reason.rule, self._taken[copy.verified][0])
        return self._new_periods(reason.rule, newest)[missing - 1]

    def _new_periods(self, rule: str, newest: str) -> list[datetime]:
        """Return the first run in each of the periods to come after the period
        ``newest``."""
        if (rule, newest) not in self._starts:
            found: list[datetime] = []
            number, period = 1, newest
            while len(found) < getattr(self._policy, rule):
                moment = self._future.run(number)
                if self._period(rule, moment) != period:
                    found.append(moment)
                    period = self._period(rule, moment)
                start = _next_start(rule, moment.astimezone(self._zone))
                number = max(self._future.first_run_from(start), number + 1)
            self._starts[rule, newest] = found
        return self._starts[rule, newest]

    def _period(self, rule: str, moment: datetime) -> str:
        return PERIODS[rule](moment.astimezone(self._zone))


def _next_start(rule: str, local: datetime) -> datetime:
    """Return when the next period begins after ``local``, which is in the plan's
    time zone."""
    if rule == "hourly":
        moment = local.astimezone(timezone.utc) + timedelta(hours=1)
        return moment - timedelta(minutes=local.minute, seconds=local.second)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    first_of_month = midnight.replace(day=1)
    starts = {
        "daily": midnight + timedelta(days=1),
        "weekly": midnight + timedelta(days=7 - local.weekday()),
        "monthly": (first_of_month + timedelta(days=32)).replace(day=1),
        "yearly": midnight.replace(year=local.year + 1, month=1, day=1),
    }
    return starts[rule].astimezone(timezone.utc)
