"""When a plan runs next. Pure functions: the clock is an argument."""

import calendar
import hashlib
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

QUIET = range(60, 300)  # minutes of the day
_EQUAL = {
    "hourly": timedelta(hours=1),
    "daily": timedelta(days=1),
    "weekly": timedelta(weeks=1),
}
# between two runs, by frequency
SHORTEST_GAP = {**_EQUAL, "monthly": timedelta(days=28)}
LONGEST_GAP = {**_EQUAL, "monthly": timedelta(days=31)}


class UnknownFrequency(ValueError):
    """Nobody has said what a schedule of this frequency is."""


@dataclass(frozen=True)
class Schedule:
    """A repeated moment in a time zone.

    ``minute_of_day`` is 0..1439 (for hourly schedules only its minutes count),
    ``weekday`` is 0 (Monday)..6, ``monthday`` 1..31, where months that are too short
    use their last day.
    """

    frequency: str
    minute_of_day: int = 0
    weekday: int = 0
    monthday: int = 1
    tz: str = "UTC"


def quiet_hours(uuid: str) -> float:
    """Return a time between 01:00 and 05:00, in hours: always the same for a database,
    and another one for most of the others, which need not all begin at once."""
    number = int.from_bytes(hashlib.sha256(uuid.encode()).digest()[:8], "big")
    return QUIET[number % len(QUIET)] / 60


def next_time(schedule: Schedule, after: datetime) -> datetime:
    """Return the first moment of ``schedule`` later than ``after``, both aware, in UTC.

    A local time that the clock skips in spring is taken as much later as the clock
    jumps (02:30 becomes 03:30); one that comes twice in autumn is taken once, the first
    time. So a daily plan runs exactly once a day. Raise ValueError for an unknown
    frequency.
    """
    if schedule.frequency == "hourly":
        return _next_hour(schedule, after)
    zone = ZoneInfo(schedule.tz)
    day = after.astimezone(zone).date() - timedelta(days=1)
    for _ in range(64):  # two months hold a moment of every frequency
        if _matches(schedule, day):
            moment = _instant(day, schedule.minute_of_day, zone)
            if moment > after:
                return moment
        day += timedelta(days=1)
    raise ValueError(f"no next time for {schedule!r}")


def _next_hour(schedule: Schedule, after: datetime) -> datetime:
    minute = schedule.minute_of_day % 60
    moment = after.astimezone(timezone.utc).replace(
        minute=minute, second=0, microsecond=0
    )
    return moment if moment > after else moment + timedelta(hours=1)


def _matches(schedule: Schedule, day: date) -> bool:
    if schedule.frequency == "daily":
        return True
    if schedule.frequency == "weekly":
        return day.weekday() == schedule.weekday
    if schedule.frequency == "monthly":
        last = calendar.monthrange(day.year, day.month)[1]
        return day.day == min(schedule.monthday, last)
    raise UnknownFrequency(schedule.frequency)


def _instant(day: date, minute_of_day: int, zone: ZoneInfo) -> datetime:
    # fold=0 is the first of two equal wall times, and in a gap the offset before it
    wall = datetime.combine(day, time(*divmod(minute_of_day, 60)), tzinfo=zone)
    return wall.astimezone(timezone.utc)
