"""Whether a storage goes on with what it does: somebody may have cancelled it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import Cancelled


class CancelCheck(threading.local):
    """Asks whether to go on: each thread the progress that it reports to, if any."""

    _tick: Callable[[], object] | None = None

    def __call__(self) -> None:
        """Raise Cancelled when this thread shall not go on."""
        if self._tick:
            self._tick()

    @property
    def is_heard(self) -> bool:
        """Whether this thread can be cancelled."""
        return self._tick is not None

    @contextmanager
    def by(self, tick: Callable[[], object] | None) -> Iterator[None]:
        """Meanwhile, ask ``tick``; None: nobody, so that what is done now is done to
        its end."""
        before, self._tick = self._tick, tick
        try:
            yield
        finally:
            self._tick = before


def time_is_up(seconds: float) -> Callable[[], None]:
    """Return a tick that raises Cancelled after so many seconds: what is tidied up
    after a cancel must not wait for a server that has fallen silent."""
    end = time.monotonic() + seconds

    def tick() -> None:
        if time.monotonic() > end:
            raise Cancelled()

    return tick
