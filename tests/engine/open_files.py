"""Files that this process has open."""

import contextlib
import os


def open_below(folder):
    """Return how many are open below ``folder``: of all that the process has open, the
    garbage collector may close one meanwhile."""
    places = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one of this list
            places.append(os.readlink(f"/proc/self/fd/{number}"))
    return sum(f"{place}/".startswith(f"{folder}/") for place in places)
