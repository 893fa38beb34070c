"""When it will be whose turn: a guess from what runs took the last time."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FORESEEABLE = 366 * 86400.0  # seconds


@dataclass(frozen=True)
class Holder:
    """What runs in a slot since ``since``, and how many ``seconds`` it takes, where
    that is known. ``run`` is "" for one that says nothing about itself."""

    slot: int
    database: str = ""
    run: str = ""
    since: float = 0.0
    seconds: float | None = None


def expected_start(
    holders: Sequence[Holder], before: Iterable[float | None], slots: int, now: float
) -> float | None:
    """Return when whoever comes after ``before``, which take so many seconds each,
    begins; None where nobody can know: other servers say what they like."""
    free = [now] * max(0, slots - len(holders))
    for holder in holders:
        if holder.seconds is None:
            return None
        free.append(max(now, holder.since + holder.seconds))
    free = sorted(free)[-slots:]  # a limit that was lowered: some slots end as they are
    for seconds in before:
        if seconds is None:
            return None
        heapq.heapreplace(free, free[0] + seconds)
    return free[0] if free[0] <= now + FORESEEABLE else None
