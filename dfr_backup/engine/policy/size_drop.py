"""Whether a size is much smaller than it should be. Then data is gone, and nobody may
know."""

from collections.abc import Sequence
from statistics import median

ENOUGH = 3  # earlier archives: two say nothing about what is usual
LOOK_BACK = 5


def shrinkage(size: float, earlier: Sequence[float], threshold: int) -> int:
    """Return by how many percent ``size`` is below the median of the ``earlier`` ones.

    Return 0 when that is less than ``threshold`` percent, when the threshold is 0, or
    when there are too few earlier ones to compare with.
    """
    if not threshold or len(earlier) < ENOUGH:
        return 0
    usual = median(earlier)
    percent = int(100 * (usual - size) / usual) if usual > 0 else 0
    return percent if percent >= threshold else 0
