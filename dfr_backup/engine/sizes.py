"""Sizes: in words, and whether one is much smaller than it should be. Then data is
gone, and nobody may know."""

from collections.abc import Sequence
from statistics import median

ENOUGH = (
    3  # archives that must have been made before: two say nothing about what is usual
)
LOOK_BACK = 5
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


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


def in_words(size: float) -> str:
    """Return a number of bytes as the web client shows it: 1536 -> "1.5 KiB"."""
    unit = 0
    while size >= 1024 and unit < len(UNITS) - 1:
        size /= 1024
        unit += 1
    return f"{size:.1f} {UNITS[unit]}" if unit else f"{size:.0f} B"
