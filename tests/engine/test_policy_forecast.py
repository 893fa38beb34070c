"""What a storage will hold, if backups go on as they do now."""

from datetime import datetime, timedelta, timezone

import pytest

from dfr_backup.engine.policy.forecast import (
    DAY,
    Series,
    Trend,
    days_until_full,
    growth,
)
from dfr_backup.engine.policy.retention import Copy, Policy, plan_retention

NOW = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
WEEK = Policy(daily=7, weekly=0, monthly=0)


def series(days=(), policy=WEEK, trend=None, gap=DAY, **values):
    """Return the backups of so many days ago, 100 bytes each, and those to come."""
    copies = [
        Copy(str(n), NOW - day * DAY, verified=True) for n, day in enumerate(days)
    ]
    return Series(
        copies=copies,
        sizes={copy.identifier: 100.0 for copy in copies},
        policy=policy,
        tz="Europe/Paris",
        first=NOW + gap,
        gap=gap,
        trend=trend or Trend(100),
        **values,
    )


def test_what_retention_keeps_does_not_grow():
    settled = series(range(7))
    assert settled.growth(NOW + 30 * DAY) == 0
    begun = series(range(2))
    assert begun.growth(NOW + 3 * DAY) == 300
    assert begun.growth(NOW + 30 * DAY) == 500


def test_without_rules_everything_stays():
    kept = series(range(7), policy=None)
    assert kept.growth(NOW) == 0
    assert kept.growth(NOW + 30 * DAY) == 3000
    growing = series(range(7), policy=None, trend=Trend(100, daily=2))
    assert growing.growth(NOW + 30 * DAY) == pytest.approx(30 * (100 + 29))


def test_backups_that_grow_take_more_when_as_many_stay():
    growing = series(range(7), trend=Trend(100, daily=10))
    last = [100 + 10 * day for day in range(23, 30)]
    assert growing.growth(NOW + 30 * DAY) == pytest.approx(sum(last) - 700)


def test_packs_stay_and_add_up():
    shared = series(range(7), packed=5)
    assert shared.growth(NOW + 30 * DAY) == 30 * 5


@pytest.mark.parametrize(
    "policy",
    [
        Policy(),
        Policy(hourly=48, daily=10, weekly=6, monthly=12, yearly=2),
        Policy(keep_last=30, daily=0, weekly=0, monthly=0, within_days=5),
    ],
)
def test_days_stand_for_hours_that_no_rule_keeps(policy):
    """As many stay as if each backup to come had been looked at."""
    hourly, until = series(range(3), policy=policy, gap=HOUR), NOW + 60 * DAY
    each = [
        Copy(f"each {n}", NOW + n * HOUR, verified=True) for n in range(1, 60 * 24 + 1)
    ]
    decision = plan_retention([*hourly.copies, *each], policy, hourly.tz, until)
    kept = len(decision.verdicts) - len(decision.deletions)
    assert hourly.growth(until) == (kept - 3) * 100
    assert len(list(hourly._to_come(until, policy))) < 300


def test_a_disk_is_full_on_the_day_on_which_nothing_more_fits():
    kept = series(range(7), policy=None)
    assert days_until_full([kept], 1000, NOW) == 11
    assert days_until_full([kept], 0, NOW) == 1
    assert days_until_full([kept, kept], 1000, NOW) == 6
    assert days_until_full([kept], 100 * 365, NOW) is None
    assert days_until_full([series(range(7))], 0, NOW) is None
    assert days_until_full([], 0, NOW) is None
    assert growth([kept, kept], NOW + DAY) == 200


def test_the_trend_is_that_of_the_last_backups():
    def sizes(*values):
        return [(NOW - n * DAY, size) for n, size in enumerate(reversed(values))]

    assert Trend.of(sizes(100)) == Trend(100)
    assert Trend.of(sizes(50, 100)) == Trend(100), "two are no trend"
    grown = Trend.of(sizes(100, 110, 120, 130))
    assert (grown.now, grown.daily) == (130, pytest.approx(10))
    assert Trend.of(sizes(130, 120, 110)) == Trend(110), "none is taken to shrink"
    assert Trend.of([(NOW, 5), (NOW, 6), (NOW, 7)]) == Trend(7)
    by_hand = [(NOW + n * HOUR / 4, 100.0 + n) for n in range(3)]
    assert Trend.of(by_hand) == Trend(102), "minutes are no trend"
    assert grown.after(-DAY) == 130
