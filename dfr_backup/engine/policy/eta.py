"""How long a run still takes. Pure functions of what was measured."""

from collections.abc import Sequence
from dataclasses import dataclass

TRUSTED_SECONDS = 3.0  # a speed measured for a shorter time says nothing
TRUSTED_SHARE = 0.05  # nor does one of less than this part of the whole


@dataclass(frozen=True)
class StepTime:
    """What is known of one step that has not ended.

    ``expected`` is how many seconds it took the last time, None when it never ran;
    ``elapsed`` seconds have passed since it began, and ``done`` of about ``total``
    bytes are done.
    """

    expected: float | None = None
    elapsed: float = 0.0
    done: float = 0.0
    total: float = 0.0


def seconds_left(steps: Sequence[StepTime]) -> float | None:
    """Given every step that has not ended, return how many seconds they still take.

    Return None when that is not known of one of them: a guess would only jump about.
    """
    parts = [_step_left(step) for step in steps]
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _step_left(step: StepTime) -> float | None:
    if step.elapsed >= TRUSTED_SECONDS and step.done > step.total * TRUSTED_SHARE > 0:
        return max(step.elapsed * (step.total - step.done) / step.done, 0.0)
    if step.expected is None:
        return None
    return max(step.expected - step.elapsed, 0.0)
