"""What a storage will hold, if backups go on as they do now. An estimate for people."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import linear_regression

from .retention import Copy, Policy, plan_retention

DAY = timedelta(days=1)
FEWEST = 3  # backups that show a trend
SHORTEST = 3 * DAY  # of history that shows one
LONGEST = 365  # days: what comes later, nobody knows


def is_enough(moments: Sequence[datetime]) -> bool:
    """Tell whether backups of these moments say how it goes on: a few by hand, one
    after the other, do not."""
    return max(moments) - min(moments) >= SHORTEST


@dataclass(frozen=True)
class Trend:
    """How large the backups to come are: the first has ``now`` bytes, and each day
    adds ``daily``."""

    now: float
    daily: float = 0.0

    @classmethod
    def of(cls, sizes: Sequence[tuple[datetime, float]]) -> "Trend":
        """Return how sizes go on, given moments and bytes of the last backups, at
        least one. They are never taken to shrink."""
        newest = max(sizes)
        days = [(moment - newest[0]) / DAY for moment, _size in sizes]
        if len(sizes) < FEWEST or not is_enough([moment for moment, _size in sizes]):
            return cls(newest[1])
        trend = linear_regression(days, [size for _moment, size in sizes])
        return cls(newest[1], max(trend.slope, 0.0))

    def after(self, time: timedelta) -> float:
        return self.now + self.daily * max(time / DAY, 0.0)


@dataclass(frozen=True)
class Series:
    """The backups of one plan in one storage, and those to come: the next one at
    ``first``, then one every ``gap``. All stay where there is no ``policy``. Each adds
    ``packed`` bytes of attachments that the others share, and that stay."""

    copies: Sequence[Copy]
    sizes: Mapping[str, float]
    policy: Policy | None
    tz: str
    first: datetime
    gap: timedelta
    trend: Trend
    packed: float = 0.0

    def growth(self, until: datetime) -> float:
        """Return how many bytes more they will be then."""
        count = max((until - self.first) // self.gap + 1, 0)
        packed = count * self.packed
        if self.policy is None:
            middle = self.trend.after((until - self.first) / 2)
            return packed + count * middle
        return packed + self._kept(until, self.policy) - sum(self.sizes.values())

    def _kept(self, until: datetime, policy: Policy) -> float:
        coming = list(self._to_come(until, policy))
        sizes = {**self.sizes, **{c.identifier: self._size(c) for c in coming}}
        decision = plan_retention([*self.copies, *coming], policy, self.tz, until)
        return sum(sizes[verdict.identifier] for verdict in decision.verdicts) - sum(
            sizes[identifier] for identifier in decision.deletions
        )

    def _size(self, copy: Copy) -> float:
        return self.trend.after(copy.taken_at - self.first)

    def _to_come(self, until: datetime, policy: Policy) -> Iterator[Copy]:
        """Yield the backups until then. One a day stands for all of those that no rule
        for hours or numbers will keep: a year of hours would take its time."""
        each = max(policy.keep_last, policy.hourly, policy.minimum) + 1
        recent = until - each * self.gap - timedelta(days=policy.within_days) - DAY
        moment, number = self.first, 0
        while moment <= until:
            yield Copy(f"to come {number}", moment, verified=True)
            moment += self.gap if moment >= recent else max(self.gap, DAY)
            number += 1


def growth(series: Iterable[Series], until: datetime) -> float:
    """Return how many bytes more they all will be then."""
    return sum(one.growth(until) for one in series)


def days_until_full(series: Sequence[Series], free: float, now: datetime) -> int | None:
    """Return after how many days more than ``free`` bytes will have come, None when
    not within a year."""
    if growth(series, now + LONGEST * DAY) <= free:
        return None
    fits, full = 0, LONGEST
    while full - fits > 1:
        middle = (fits + full) // 2
        if growth(series, now + middle * DAY) <= free:
            fits = middle
        else:
            full = middle
    return full
