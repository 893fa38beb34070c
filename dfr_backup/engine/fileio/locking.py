"""Files that one process has at a time. A lock dies with the last process that has the
file open."""

import fcntl


def lock(file: int) -> None:
    """Lock an open file, when everybody else is done with it."""
    fcntl.flock(file, fcntl.LOCK_EX)


def try_lock(file: int) -> bool:
    """Lock an open file, unless another process has it; tell whether it is ours."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
