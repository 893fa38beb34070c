"""What a running step tells about itself."""

import time
from collections.abc import Callable

from .messages import Message, Text, _

REPORT_INTERVAL = 1.0  # seconds
POLL_INTERVAL = 0.25  # seconds between two looks at whether to go on, while waiting
LOG_LINES = 500
WARNING = _("WARNING: %(line)s")


class Progress:
    """Count bytes, keep log lines and warnings, and pass them on at most once a second.

    ``report(progress)`` is called from the thread that works; it may raise
    ``Cancelled``. Times are taken from a monotonic clock, in seconds.
    """

    def __init__(self, report: Callable[["Progress"], None] | None = None):
        self._report = report
        self._started = time.monotonic()
        self._next_report = self._started + REPORT_INTERVAL
        self.done = 0  # bytes
        self.total = 0  # bytes, 0 when unknown
        self.lines: list[Text] = []
        self.dropped_lines = 0
        self.warnings: list[Text] = []
        self.retrying = False  # something has failed, and no byte has moved since
        self._taken = 0  # lines

    def expect(self, total: int) -> None:
        """Set the number of bytes that the step will probably handle."""
        self.total = max(int(total), 0)

    def advance(self, count: int) -> None:
        """Add ``count`` bytes, and report when a second has passed. Raise
        ``Cancelled``."""
        self.done += count
        self.retrying = False
        self.tick()

    def tick(self) -> None:
        """Report when a second has passed. Call it also while waiting. Raise
        ``Cancelled``."""
        now = time.monotonic()
        if self._report and now >= self._next_report:
            self._next_report = now + REPORT_INTERVAL
            self._report(self)

    def elapsed(self) -> float:
        """Return the seconds since this progress began."""
        return time.monotonic() - self._started

    def log(self, line: Text) -> None:
        """Keep one line for the step's log; past ``LOG_LINES`` lines are only
        counted."""
        if len(self.lines) < LOG_LINES:
            self.lines.append(line)
        else:
            self.dropped_lines += 1

    def take_lines(self) -> list[Text]:
        """Return the lines that were kept since this was last asked."""
        new = self.lines[self._taken :]
        self._taken += len(new)
        return new

    def retry(self, line: Text) -> None:
        """Keep one line that says what has failed and is tried again: who watches
        wants to know what is waited for."""
        self.retrying = True
        self.log(line)

    def warn(self, line: Text) -> None:
        """Keep one line and make the step end as a warning."""
        self.warnings.append(line)
        self.log(Message(WARNING, line=line))
