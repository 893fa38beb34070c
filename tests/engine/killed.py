"""A process that is killed in the middle of its work."""

import multiprocessing
import os
import signal
import sys
import threading

from dfr_backup.engine.checkpoints import EVENT

LONGEST = 60  # seconds


def killed_at(point, times, work):
    """Do the work in a process that is killed when it comes to a checkpoint so many
    times."""
    process = multiprocessing.get_context("fork").Process(
        target=_work_until, args=(point, times, work)
    )
    process.start()
    process.join(LONGEST)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    assert code == -signal.SIGKILL


def _work_until(point, times, work):
    # beside a hook that hears of each tracing, as that of coverage, a thread may end
    # before it has begun (Python 3.11: "another trace function is being installed")
    threading.settrace(None)
    sys.settrace(None)
    seen = []

    def hear(event, arguments):
        if event == EVENT and point in arguments:
            seen.append(point)
            if len(seen) == times:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hear)
    work()
