"""Try again what may work later: network and servers have bad minutes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .errors import RetryableError
from .messages import Message, _
from .progress import POLL_INTERVAL, Progress

Result = TypeVar("Result")
AGAIN = _("Attempt %(attempt)s failed, again in %(seconds)s s: %(problem)s")
GIVING_UP = _("Attempt %(attempt)s failed, giving up: %(problem)s")


@dataclass(frozen=True)
class RetryPolicy:
    """How long to go on: ``patience`` seconds without any progress, with pauses that
    double from ``first`` to ``longest`` seconds."""

    patience: float = 900.0
    first: float = 2.0
    longest: float = 120.0


DEFAULT_RETRIES = RetryPolicy()


def with_retries(
    operation: Callable[[], Result],
    progress: Progress,
    retries: RetryPolicy = DEFAULT_RETRIES,
) -> Result:
    """Return what ``operation`` returns, calling it again after each RetryableError.

    Each failure stands in the log of ``progress``, with its number and its reason. A
    call that got further than any before it starts the patience anew; when it is used
    up, the last error leaves. Raise Cancelled also while waiting.
    """
    deadline = time.monotonic() + retries.patience
    pause, furthest, failures = retries.first, 0, 0
    while True:
        progress.done = 0
        try:
            result = operation()
        except RetryableError as error:
            failures += 1
            if progress.done > furthest:
                furthest, pause = progress.done, retries.first
                deadline = time.monotonic() + retries.patience
            if time.monotonic() + pause > deadline:
                progress.log(Message(GIVING_UP, attempt=failures, problem=error))
                raise
            seconds = round(pause)
            progress.retry(
                Message(AGAIN, attempt=failures, seconds=seconds, problem=error)
            )
            _wait(pause, progress)
            pause = min(2 * pause, retries.longest)
        else:
            progress.retrying = False
            return result


def _wait(seconds: float, progress: Progress) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(POLL_INTERVAL, left))
        progress.tick()
