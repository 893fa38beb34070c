import itertools
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfr_backup.engine.policy.schedule import (
    Schedule,
    UnknownFrequency,
    next_time,
    quiet_hours,
)

UTC = timezone.utc
ZONES = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
]
BORDERS = datetime(2020, 1, 1), datetime(2035, 1, 1)  # noqa: DTZ001  # UTC is added
moments = st.datetimes(*BORDERS, timezones=st.just(UTC))


def utc(*args):
    return datetime(*args, tzinfo=UTC)


@pytest.mark.parametrize(
    "schedule, after, expected",
    [
        (Schedule("daily", 120), utc(2026, 1, 1, 1, 59), utc(2026, 1, 1, 2)),
        (Schedule("daily", 120), utc(2026, 1, 1, 2), utc(2026, 1, 2, 2)),
        (
            Schedule("daily", 120, tz="Europe/Paris"),
            utc(2026, 7, 1, 12),
            utc(2026, 7, 2, 0),
        ),
        (Schedule("hourly", 75), utc(2026, 1, 1, 1, 15), utc(2026, 1, 1, 2, 15)),
        (Schedule("weekly", 0, weekday=0), utc(2026, 11, 24), utc(2026, 11, 30)),
        (Schedule("monthly", 0, monthday=31), utc(2026, 2, 1), utc(2026, 2, 28)),
        (Schedule("monthly", 0, monthday=31), utc(2026, 2, 28), utc(2026, 3, 31)),
        # in spring 02:30 does not exist in Paris: it becomes 03:30
        (
            Schedule("daily", 150, tz="Europe/Paris"),
            utc(2026, 3, 28, 12),
            utc(2026, 3, 29, 1, 30),
        ),
        (
            Schedule("daily", 150, tz="Europe/Paris"),
            utc(2026, 3, 29, 12),
            utc(2026, 3, 30, 0, 30),
        ),
        # in autumn 02:30 comes twice: the first one counts, and only that
        (
            Schedule("daily", 150, tz="Europe/Paris"),
            utc(2026, 10, 24, 12),
            utc(2026, 10, 25, 0, 30),
        ),
        (
            Schedule("daily", 150, tz="Europe/Paris"),
            utc(2026, 10, 25, 0, 30),
            utc(2026, 10, 26, 1, 30),
        ),
    ],
)
def test_next_time(schedule, after, expected):
    assert next_time(schedule, after) == expected


@given(moments, st.sampled_from(ZONES), st.integers(0, 1439))
def test_a_daily_plan_runs_exactly_once_a_day(start, zone, minute):
    schedule = Schedule("daily", minute, tz=zone)
    days = []
    moment = start
    for _ in range(400):
        moment = next_time(schedule, moment)
        days.append(moment.astimezone(ZoneInfo(zone)).date())
    assert all(
        later - day == timedelta(days=1) for day, later in itertools.pairwise(days)
    )


@given(
    moments,
    st.sampled_from(ZONES),
    st.sampled_from(["hourly", "daily", "weekly", "monthly"]),
    st.integers(0, 1439),
    st.integers(0, 6),
    st.integers(1, 31),
)
def test_always_later_and_never_far(after, zone, frequency, minute, weekday, monthday):
    found = next_time(Schedule(frequency, minute, weekday, monthday, zone), after)
    limit = {"hourly": 1 / 24, "daily": 2, "weekly": 8, "monthly": 32}[frequency]
    assert after < found <= after + timedelta(days=limit)


def test_unknown_frequency():
    with pytest.raises(UnknownFrequency):
        next_time(Schedule("never"), utc(2026, 1, 1))


def test_databases_begin_at_different_times_of_the_night():
    times = [quiet_hours(f"uuid-{number}") for number in range(200)]
    assert times == [quiet_hours(f"uuid-{number}") for number in range(200)]
    assert all(1 <= hours < 5 for hours in times)
    assert all(abs(hours * 60 - round(hours * 60)) < 1e-9 for hours in times)
    assert len(set(times)) > 100
    for hour in (1, 2, 3, 4):
        assert 25 < sum(int(hours) == hour for hours in times) < 80
