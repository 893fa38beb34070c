"""A progress that is cancelled while a storage is at work."""

import time

from dfr_backup.engine.errors import Cancelled
from dfr_backup.engine.progress import Progress


def cancelled_after(seconds):
    """Return one that is cancelled so many seconds from now."""
    end = time.monotonic() + seconds

    def report(_progress):
        if time.monotonic() > end:
            raise Cancelled()

    progress = Progress(report)
    progress.tick = lambda: report(progress)
    return progress
