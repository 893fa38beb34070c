"""Named instants between which a backup may be interrupted."""

import sys

EVENT = "dfr_backup.checkpoint"


def checkpoint(name: str) -> None:
    """Mark the border ``name``. Does nothing, unless an audit hook listens to
    ``EVENT``.

    The fault tests kill, stall or fail the process from such a hook, so that production
    code holds no test switch at all.
    """
    sys.audit(EVENT, name)
