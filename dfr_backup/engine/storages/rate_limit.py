"""How many bytes per second a storage may take: one limit for all that it does at a
time."""

import threading
import time
from collections.abc import Callable

from ..progress import POLL_INTERVAL


class RateLimit:
    """Holds all threads together to ``bandwidth`` bytes per second (0: does not)."""

    def __init__(self, bandwidth: int):
        self.bandwidth = bandwidth
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def spend(self, count: int, pause: Callable[[float], object]) -> None:
        """Wait until ``count`` more bytes may pass. ``pause`` waits for so many
        seconds, never long; what it raises ends the transfer."""
        if not self.bandwidth:
            return
        with self._lock:
            begin = max(self._free_at, time.monotonic())
            until = self._free_at = begin + count / self.bandwidth
        while (left := until - time.monotonic()) > 0:
            pause(min(left, POLL_INTERVAL))
