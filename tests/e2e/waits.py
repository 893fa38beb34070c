"""Waiting for what a test is about, and for nothing else."""

import time


def until(condition, seconds=300, pause=0.1):
    """Return what ``condition`` returns, as soon as it is true.

    The time is for machines that have other things to do: no test is about it.
    """
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(pause)
    return found


class Hold:
    """Where the next process of a run stands still, until the test lets it go on."""

    def __init__(self, folder, checkpoint):
        self._marker, self.go_on = folder / "held", folder / "go-on"
        self.fault = f"hold:{checkpoint}:{self._marker}:{self.go_on}"

    @property
    def reached(self):
        return self._marker.exists()

    def await_it(self):
        until(self._marker.exists)

    def let_go(self):
        self.go_on.touch()

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.let_go()
